"""The demonstration: two rounds on the example help desk, in two portions as real projects get their data.

The task is what the desk does with a message (`action`, one of 7); what the message is about (`intent`) is a slice.
Nobody is there to judge synthetic rows, so the demonstration lets them train unaudited, and its reports say so.
"""

import json
from collections.abc import Callable
from pathlib import Path

from burnish.config import Settings
from burnish.fingerprint import fingerprint
from burnish.loop.attempt import add_once
from burnish.loop.past import results
from burnish.loop.project import SETTINGS_FILE, Project, create_project, open_project, settings_with
from burnish.loop.result import RoundResult
from burnish.loop.round import run_round
from burnish.talk import Talk

FIRST_PORTION = 0.7
"""Share of the groups in the first portion; the rest arrives before round 2."""

EPOCHS = 3
"""Five fewer than the default, for the patience of somebody who only looks."""

GROWTH = 0.15
"""A third of the default; with one learning rate instead of two, no second training without synthetic rows and no
repeated rows, for the same reason."""

ALPHA = 128.0
"""With half the learning rate, the first of the two adapters that a round tries on a small base (tune/search.py)."""

EXAMPLE = "claims.jsonl"


def example_file() -> Path:
    """The example messages, in the installed package or beside it in a checkout."""
    package = Path(__file__).parent.parent
    places = (package / "assets" / "claims" / EXAMPLE, package.parent / "examples" / "claims" / EXAMPLE)
    return next(place for place in places if place.exists())


def open_demo(folder: Path) -> Project:
    """The demonstration's project; a new one is made when there is none."""
    if (folder / SETTINGS_FILE).exists():
        return open_project(folder)
    changes = {
        "project": "claims",
        "data.slices": ["channel", "intent"],
        "train.epochs": EPOCHS,
        "train.search": [0.5],
        "lora.alpha": ALPHA,
        "synthesize.growth": GROWTH,
        "synthesize.compare": False,
        "synthesize.top_up": False,
        "synthesize.take_unaudited": True,
    }
    return create_project(folder, settings_with(Settings(), changes))


def run_demo(project: Project, talk: Talk, *, should_stop: Callable[[], bool] = lambda: False) -> list[RoundResult]:
    """Both rounds; done ones are not done again."""
    first, second = _portions(project)
    past = results(project)
    for number, portion in enumerate((first, second), start=1):
        if len(past) >= number:
            continue
        talk.say("")
        add_once(project, portion, talk, skip_bad=False)
        result, _ = run_round(project, talk, should_stop=should_stop)
        past.append(result)
    return past[:2]


def _portions(project: Project) -> tuple[Path, Path]:
    rows = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()]
    folder = project.folder / "data"
    folder.mkdir(exist_ok=True)
    paths = (folder / "first.jsonl", folder / "second.jsonl")
    limit = int(FIRST_PORTION * 2**32)
    early = [int(fingerprint(row["group"])[:8], 16) < limit for row in rows]
    for path, wanted in zip(paths, (True, False), strict=True):
        kept = [
            {"label": row["action"], **{name: row[name] for name in ("id", "text", "intent", "channel", "group")}}
            for row, is_early in zip(rows, early, strict=True)
            if is_early is wanted
        ]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
    return paths
