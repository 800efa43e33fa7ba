"""The files of a data batch: its examples, and the rows that are none, one JSON object a line."""

import json
from typing import Any

from burnish.records import Example, Message

ROWS, REJECTS = "rows.jsonl", "rejects.jsonl"


def example_line(example: Example) -> str:
    """The example as a line of ROWS, line end included. Same example, same bytes."""
    data = {
        "id": example.id,
        "messages": [[turn.role, turn.content] for turn in example.messages],
        "group": example.group,
        "slices": dict(example.slices),
        "source": example.source,
        "weight": example.weight,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def example_of(line: str | bytes) -> Example:
    """The example that `example_line` wrote. Raises ValueError, KeyError or TypeError for another line."""
    data: dict[str, Any] = json.loads(line)
    turns = tuple(Message(role=role, content=content) for role, content in data.pop("messages"))
    return Example(messages=turns, **data)
