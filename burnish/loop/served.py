"""A round from traffic: it asks people about served answers once, waits for them, and then learns what they said."""

import json

from burnish.data.provenance import TRAFFIC
from burnish.errors import WaitingError
from burnish.loop.decided import reviewed
from burnish.loop.past import next_number, round_folder
from burnish.loop.project import Project
from burnish.loop.reviewing import plan_traffic
from burnish.store.files import write_atomic
from burnish.store.reviews import review_items
from burnish.talk import Talk

TRAFFIC_FILE = "traffic.json"
"""In the folder of a round: which served answers it asked about, so that it asks once however often it is called."""


def ask_about_traffic(project: Project, count: int, talk: Talk) -> None:
    """Asks about served answers for the next round until `count` wait. Raises WaitingError until people have answered.

    Skipped questions are not waited for. The same call again asks nothing new before that round is done.
    """
    number = next_number(project)
    file = round_folder(project, number) / TRAFFIC_FILE
    if not file.exists():
        waiting = _open_items(project)
        planned = plan_traffic(project, count=max(0, count - len(waiting)))
        file.parent.mkdir(parents=True, exist_ok=True)
        names = [*waiting, *(item.name for item in planned.items)]
        write_atomic(file, json.dumps({"items": names}, indent=2).encode())
        talk.say(f"review: {planned.num_new} served answers to look at, about {planned.minutes:.0f} minutes in all")
    if missing := _missing(project, set(json.loads(file.read_bytes())["items"])):
        raise WaitingError(
            f"round {number} is waiting for {missing} answers of people about served answers",
            hint="answer them (burnish ui, or review export and import), then give the same command again; without "
            "--from-traffic the round goes on without them",
        )


def _missing(project: Project, asked: set[str]) -> int:
    """Answers that are still wanted to these items."""
    return sum(number for name, number in _open_items(project).items() if name in asked)


def _open_items(project: Project) -> dict[str, int]:
    """How many answers each question about a served answer wants still; questions that were skipped want none."""
    held = {item.name for item in review_items(project.store, with_withdrawn=False) if item.purpose == TRAFFIC}
    found = {}
    for one in reviewed(project):
        skipped = sum(entry.kind == "skip" for entry in one.decisions)
        if one.item.name in held and (left := one.item.wanted - one.num_answers - skipped) > 0:
            found[one.item.name] = left
    return found
