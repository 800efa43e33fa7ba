"""Hand-offs round by round on the demonstration's task: how many cases fewer go to a person, above all rare ones.

    python -m benchmarks.handoff [--files A.jsonl.gz,B.jsonl] [--rounds 2] [--seed 0] [--errors 0.1,0.2,0.3]
                                 [--set A.B=C] [--json]

A fifth of the groups of the example is held back and never enters the project; the rest arrives in equal portions, one
before each round. After each round challenger and champion answer the rows held back, each with a threshold of its own
set on dev_b: the share of errors among the answers that reach no person is at most the first of `--errors`; the others
are for comparison. The untuned base is asked without solved examples. Rounds run under the demonstration's settings but
for its epochs. `--files`: other rows, each with text and label.
"""

import argparse
import gzip
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.line import tell
from benchmarks.machine import progress
from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.evaluate.handoff import HandoffChange
from burnish.fingerprint import fingerprint
from burnish.loop.attempt import add_once
from burnish.loop.demo import example_file
from burnish.loop.handing import handed_off
from burnish.loop.inspection import find_model
from burnish.loop.project import Project, create_project, open_project
from burnish.loop.result import RoundResult
from burnish.loop.round import run_round
from burnish.loop.stages import Shop, score_stage, shop_outside_rounds
from burnish.records import Evaluation, Example, as_json
from burnish.report.handed import COLUMNS, handoff_words
from burnish.talk import Silence

HELD_BACK = 0.2
"""Share of the groups that no round sees."""
SETTINGS = (
    "train.search=[1.0]",
    "synthesize.growth=0.15",
    "synthesize.compare=false",
    "synthesize.take_unaudited=true",
)


def portions(rows: Sequence[Mapping[str, str]], rounds: int, seed: int) -> list[list[dict[str, str]]]:
    """The rows held back, then those of each round; by group, as a hash says."""
    kept: list[list[dict[str, str]]] = [[] for _ in range(rounds + 1)]
    for row in rows:
        place = int(fingerprint([seed, row["group"]])[:8], 16) / 2**32
        part = 0 if place < HELD_BACK else 1 + int((place - HELD_BACK) / (1 - HELD_BACK) * rounds)
        kept[min(part, rounds)].append(dict(row))
    return kept


def rows_of(files: Sequence[Path]) -> list[dict[str, str]]:
    """Rows with id, group, text, label and metadata; without files the example's, labelled by what the desk does."""
    found = []
    for file in files or [example_file()]:
        lines = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        found += [json.loads(line) for line in lines.decode().splitlines()]
    if files:
        return [
            {"id": f"r{at}", "group": f"r{at}", "text": row["text"], "label": row["label"]}
            for at, row in enumerate(found)
        ]
    names = ("id", "text", "intent", "channel", "group")
    return [{"label": row["action"], **{name: row[name] for name in names}} for row in found]


def measured(
    rows: Sequence[Mapping[str, str]],
    rounds: int,
    seed: int,
    errors: Sequence[float],
    changes: Sequence[str],
    place: Path,
) -> dict[str, Any]:
    """All rounds, with the hand-offs of each round's challenger against the champion before it."""
    held, *parts = portions(rows, rounds, seed)
    create_project(place / "claims", Settings())
    project = open_project(place / "claims", [*SETTINGS, f"seed={seed}", *changes])
    tests = [row for row in read_rows(_written(place, "held", held), project.settings) if isinstance(row, Example)]
    found: list[dict[str, Any]] = []
    for number, part in enumerate(parts, start=1):
        add_once(project, _written(place, f"part{number}", part), Silence(), skip_bad=False)
        result, _ = run_round(project, Silence())
        told = _compared(project, result, tests, errors)
        found.append(
            {
                "round": number,
                "decision": result.decision,
                "accuracy": {name: as_json(getattr(result, name)) for name in ("before", "after", "gain")},
                "handoffs": {f"{share:g}": as_json(one) for share, one in told.items()},
                "text": {f"{share:g}": shown_change(one) for share, one in told.items()},
            }
        )
        progress(shown({"rounds": found[-1:]}))
    return {"name": "handoff", "seed": seed, "num_held_back": len(tests), "rounds": found}


def _written(place: Path, name: str, rows: Sequence[Mapping[str, str]]) -> Path:
    file = place / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def _compared(
    project: Project, result: RoundResult, tests: Sequence[Example], errors: Sequence[float]
) -> dict[float, HandoffChange]:
    """Challenger against champion on the rows held back, for each target."""
    shop = shop_outside_rounds(project, Silence(), lambda: False)
    before, after = (_answers(shop, name, tests) for name in (result.previous_champion, result.challenger))
    seed = project.settings.seed
    return {share: handed_off(shop.seeds, before=before, after=after, target=share, seed=seed) for share in errors}


def _answers(shop: Shop, name: str, tests: Sequence[Example]) -> tuple[Evaluation, Evaluation]:
    version = find_model(shop.project, name, shop.bench)
    return score_stage(shop, version, "dev_b"), score_stage(shop, version, "held back", examples=tests)


def shown_change(change: HandoffChange) -> str:
    """A comparison as Markdown."""
    told = handoff_words(change, looked="rows held back")
    assert told is not None
    table = [f"| {' | '.join(COLUMNS)} |", "|---|--:|--:|--:|--:|--:|---|"]
    table += [f"| {' | '.join(map(str, row))} |" for row in (*told.rows, *told.telling)]
    return "\n".join([told.lead, "", *(f"- {side}" for side in told.sides), "", *table, "", *told.notes])


def shown(found: Mapping[str, Any]) -> str:
    """The findings as Markdown."""
    told = []
    for one in found["rounds"]:
        before, after = (100 * one["accuracy"][name]["value"] for name in ("before", "after"))
        told.append(f"## Round {one['round']}: {one['decision']}, accuracy on dev_a {before:.1f} to {after:.1f}")
        told += [f"### At most {share} wrong\n\n{text}" for share, text in one["text"].items()]
    return "\n\n".join(told)


def main() -> None:
    """Prints a table for each round, or a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="", help="rows with text and label, instead of the example")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--errors", default="0.1,0.2,0.3")
    parser.add_argument("--set", action="append", default=[], dest="options", metavar="A.B=C")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    errors = [float(share) for share in options.errors.split(",")]
    with tempfile.TemporaryDirectory() as place:
        rows = rows_of([Path(file) for file in options.files.split(",") if file])
        found = measured(rows, options.rounds, options.seed, errors, options.options, Path(place))
    tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
