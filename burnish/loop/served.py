"""A round from traffic: it asks people about served answers once, waits for them, and then learns what they said."""

import json

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
    """Asks about `count` served answers for the next round. Raises WaitingError until people have answered.

    Skipped questions are not waited for. The same call again asks nothing new before that round is done.
    """
    number = next_number(project)
    file = round_folder(project, number) / TRAFFIC_FILE
    if not file.exists():
        planned = plan_traffic(project, count=count)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps({"items": [item.name for item in planned.items]}, indent=2).encode())
        talk.say(f"review: {planned.num_new} served answers to look at, about {planned.minutes:.0f} minutes in all")
    if missing := _missing(project, set(json.loads(file.read_bytes())["items"])):
        raise WaitingError(
            f"round {number} is waiting for {missing} answers of people about served answers",
            hint="answer them (burnish ui, or review export and import), then give the same command again; without "
            "--from-traffic the round goes on without them",
        )


def _missing(project: Project, asked: set[str]) -> int:
    """Answers that are still wanted to these items."""
    held = asked & {item.name for item in review_items(project.store, with_withdrawn=False)}
    missing = 0
    for one in reviewed(project):
        if one.item.name in held:
            skipped = sum(entry.kind == "skip" for entry in one.decisions)
            missing += max(0, one.item.wanted - one.num_answers - skipped)
    return missing
