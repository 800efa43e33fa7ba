"""How well the verifiers that need no endpoint tell right labels from wrong ones, where the truth is known.

    python -m benchmarks.verify --data FOLDER --sets clinc_banking,clinc_cards,hwu64,sms_spam --seeds 0,1,2

A set is cut to a few hundred seeds, a third of its labels (of sms_spam the spam) to 3 to 8 of them. One seed in ten
has another's label, in pairs, so that labels keep their frequency. All voters learn from these seeds: words and
neighbours, the champion (all seeds), two adapters by cross-fitting (half of the seeds each), and, with --band, the
generator's likelihood band.

They judge real rows that nothing was trained on, each under its own label, under one drawn from the others and under
the label that reads most alike; and rows made by rule of seeds, which are right as their parents are. A rule keeps or
drops: limits are set on the seeds alone, as burnish sets them. Intervals are 95% bootstraps over texts (of made rows
over parents), all seeds of a text drawn together.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.labelled import SETS, read
from benchmarks.line import tell
from benchmarks.options import parser_of
from benchmarks.verify_cases import case_of
from benchmarks.verify_rules import summary
from benchmarks.verify_votes import measured

SPLITS = (("train",), ("valid", "val"), ("test",))
COLUMNS = {
    "can tell, rare": "tells_rare",
    "kept, frequent": "kept_frequent",
    "kept, rare": "kept_rare",
    "caught, random": "caught_random",
    "caught, alike": "caught_alike",
    "right of kept": "precision",
    "right of kept, rare": "precision_rare",
    "made: kept, frequent": "made_kept_frequent",
    "made: kept, rare": "made_kept_rare",
    "made: caught": "made_caught",
}


def shown(found: Mapping[str, Any]) -> str:
    """The findings of a set as a Markdown table, in percent."""
    counts = found["counts"]
    lines = [
        f"{found['set']}, {found['seeds']} runs, {sum(found['seconds']):.0f} s; "
        f"{counts['fresh']} fresh rows ({counts['fresh_rare']} of rare labels), each also under 2 wrong labels; made: "
        f"{counts['made']} right ({counts['made_rare']} rare), {counts['made_wrong']} wrong",
        "",
        f"| rule | {' | '.join(COLUMNS)} |",
        f"|---|{'--:|' * len(COLUMNS)}",
    ]
    for title, told in found["rules"].items():
        lines.append(f"| {title} | {' | '.join(_percent(told[key]) for key in COLUMNS.values())} |")
    lines += ["", "| points | kept | caught | made: caught |", "|---|--:|--:|--:|"]
    for title, told in found["against"].items():
        lines.append(
            f"| {title} | {' | '.join(_percent(told[key], '+') for key in ('kept', 'caught', 'made_caught'))} |"
        )
    return "\n".join(lines)


def _percent(found: Sequence[float] | None, sign: str = "") -> str:
    return "" if found is None else "{:{s}.0f} [{:{s}.0f}, {:{s}.0f}]".format(*(100 * one for one in found), s=sign)


def main() -> None:
    """Prints a table, or a line of JSON, for each set and for all of them together."""
    parser = parser_of(__doc__, sets=SETS, seeds="0,1,2")
    parser.add_argument("--size", type=int, default=240, help="seeds, about")
    parser.add_argument("--wrong", type=float, default=0.1, help="share of the seeds with another's label")
    parser.add_argument("--bare", action="store_true", help="words and neighbours alone: nothing is trained")
    parser.add_argument("--band", action="store_true", help="train a generator, too, for the likelihood band")
    parser.add_argument("--votes", default="", help="folder: what voters said is kept there; killed runs go on")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    every = []
    for name in options.sets.split(","):
        runs = [run_of(name, seed, options) for seed in map(int, options.seeds.split(","))]
        every += runs
        found = summary(name, runs)
        tell(found, as_json=options.json, text=shown(found) + "\n")
    found = summary("all sets", every)
    tell(found, as_json=options.json, text=shown(found))


def run_of(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run, from the folder of votes where it is there, and otherwise from where a killed one was."""
    file = Path(options.votes) / f"{name}-{seed}.json" if options.votes else None
    if file and file.exists():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return kept
    rows = [row for splits in SPLITS for row in read(Path(options.data), name, splits)]
    case = case_of(rows, seed=seed, size=options.size, wrong_share=options.wrong)
    folder = file.with_suffix("") if file else None
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        Path(place).mkdir(parents=True, exist_ok=True)
        found = measured(case, seed=seed, folder=Path(place), with_adapters=not options.bare, with_band=options.band)
    found = {"set": name, **found}
    if file and folder:
        file.write_text(json.dumps(found), encoding="utf-8")
        shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    main()
