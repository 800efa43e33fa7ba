"""How far company moves a row's log-probabilities: what evaluate/run.py may call rounding.

    python benchmarks/rounding.py [--rows 130]

Every label's summed log-probability after messages of the example, each message alone and all together, on the untuned
built-in base, in both precisions, with and without shots before the message, which rows in company share: quantiles of
the absolute difference in nats and of the one relative to the size.
"""

import argparse
import json

import numpy as np

from burnish.loop.demo import example_file
from burnish.model.base import load_base
from burnish.model.choose import score
from burnish.records import Message

QUANTILES = (0.5, 0.99, 0.999, 1.0)


def main() -> None:
    """Prints a line for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=130)
    asked = parser.parse_args()
    rows = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()]
    labels = sorted({row["intent"] for row in rows})
    shots = [turn for row in rows[-3:] for turn in _answered(row)]
    for precision in ("float32", "bfloat16"):
        base = load_base("builtin:english-10m", precision=precision)
        choices = [base.chat.answer_tokens(label) for label in labels]
        for before in ([], shots):
            asked_rows = [[*before, _answered(row)[0]] for row in rows[: asked.rows]]
            prompts = [base.chat.render_prompt(turns) for turns in asked_rows]
            together_NL = np.array(score(base, prompts, choices))
            alone_NL = np.array([score(base, [prompt], choices)[0] for prompt in prompts])
            moved_NL, shown = np.abs(together_NL - alone_NL), f"{precision}, {len(before) // 2} shots"
            for name, values in (("nats", moved_NL), ("relative", moved_NL / np.abs(alone_NL))):
                found = ", ".join(f"{100 * q:g}% {np.quantile(values, q):.2g}" for q in QUANTILES)
                print(f"{shown}, {values.size:,} scores of {np.median(np.abs(alone_NL)):.0f} nats, {name}: {found}")


def _answered(row: dict[str, str]) -> list[Message]:
    return [Message(role="user", content=row["text"]), Message(role="assistant", content=row["intent"])]


if __name__ == "__main__":
    main()
