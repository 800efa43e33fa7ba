"""A review queue of any size for benchmarks: items of about a kilobyte, of all queues, a tenth of them answered."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import insert

from burnish.records import Message
from burnish.store.db import now
from burnish.store.review_state import rebuild_state
from burnish.store.reviews import Queue, ReviewItem, add_items
from burnish.store.store import Store
from burnish.store.tables import review_decision

LABELS = tuple(f"label {number}" for number in range(15))
QUEUES: tuple[Queue, ...] = ("blind", "correction", "correction", "preference")
KINDS = {"blind": "label", "correction": "accept", "preference": "prefer-a"}
ANSWERED = 0.1
DOUBLE = 0.15
CHECKS = 0.1


def items_of(count: int) -> list[ReviewItem]:
    """Items of about a kilobyte, of all queues, some for two reviewers, some hidden checks."""
    chance, found = random.Random(0), []
    for number in range(count):
        queue = QUEUES[number % len(QUEUES)]
        text = " ".join(f"word{chance.randrange(1000)}" for _ in range(80))
        draft = LABELS[number % len(LABELS)]
        found.append(
            ReviewItem(
                name=f"item-{number:07d}",
                queue=queue,
                purpose="gold",
                example=f"row-{number:07d}",
                role="dev_a" if queue == "blind" else "train",
                messages=(Message(role="user", content=f"{number} {text}"),),
                draft="" if queue == "blind" else draft,
                other="another answer" if queue == "preference" else "",
                given=draft,
                is_check=queue == "correction" and chance.random() < CHECKS,
                reason="Asked because the model is unsure of it.",
                value=chance.random(),
                wanted=2 if chance.random() < DOUBLE else 1,
            )
        )
    return found


def queue_of(name: str) -> Queue:
    """The queue of an item by its name."""
    return QUEUES[int(name[5:]) % len(QUEUES)]


def write_rows(path: Path) -> Path:
    """A few rows, from which the page takes the labels of the task."""
    rows = [
        {"text": f"where is the payment of week {number}", "label": LABELS[number % len(LABELS)]}
        for number in range(90)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fill(store: Store, count: int, reviewers: Sequence[str]) -> None:
    """The queue, a tenth of it answered by the same reviewers before, item by item from the cheap end."""
    items = items_of(count)
    add_items(store, items)
    old = sorted(range(count), key=lambda number: items[number].value)[: round(ANSWERED * count)]
    rows = [
        {
            "item": number + 1,
            "reviewer": reviewers[(place + other) % len(reviewers)],
            "turn": 1,
            "kind": KINDS[items[number].queue],
            "counts": 1,
            "text": LABELS[0] if items[number].queue == "blind" else "",
            "note": "",
            "seconds": 20.0,
            "edit_distance": 0,
            "at": now(),
        }
        for place, number in enumerate(old)
        for other in range(min(items[number].wanted, len(reviewers)))
    ]
    with store.db.write() as connection:
        if rows:
            connection.execute(insert(review_decision), rows)
        rebuild_state(connection)
