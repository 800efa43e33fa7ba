"""What a base can do before any tuning: it is shown one solved row a label, and asked for the labels of others."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.model.base import Base
from burnish.model.choose import choose
from burnish.records import Message
from burnish.stats.rates import Estimate, wilson

MOST_ROWS = 200


class Labelled(NamedTuple):
    """A text and its right label."""

    text: str
    label: str


def read_labelled(path: Path) -> list[Labelled]:
    """Rows of a file of JSON objects with `text` and `label`, one a line, plain or packed by gzip. Raises DataError."""
    if not path.is_file():
        raise DataError(f"there is no file of labelled rows {path}", hint="Give JSON lines with text and label.")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [_row(line, f"line {number} of {path.name}") for number, line in enumerate(file, 1)]


def _row(line: str, where: str) -> Labelled:
    try:
        row = json.loads(line)
        return Labelled(str(row["text"]), str(row["label"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is no labelled row: {line[:40]!r}", hint='Write {"text": "...", "label": "..."}.'
        ) from error


def few_shot(base: Base, rows: Sequence[Labelled], *, seed: int = 0) -> Estimate:
    """Share of right answers on at most 200 rows, with one other row of each label shown before; chance is 1 / labels.

    Rows are drawn and shown in an order that the seed decides; the answer is the label of the highest summed
    log-probability, as in a round of burnish.
    """
    drawn = sorted(rows, key=lambda row: fingerprint([seed, row]))
    shown = {row.label: row for row in reversed(drawn)}
    labels = sorted(shown)
    asked = [row for row in drawn if row not in shown.values()][:MOST_ROWS]
    if not asked:
        raise DataError(f"{len(rows)} rows of {len(labels)} labels leave none to ask", hint="Give two rows a label.")
    shots = [message for label in labels for message in _turns(shown[label])]
    prompts = [base.chat.render_prompt([*shots, _turns(row)[0]]) for row in asked]
    answers = choose(base, prompts, [base.chat.answer_tokens(label) for label in labels])
    right = sum(labels[answer.index] == row.label for answer, row in zip(answers, asked, strict=True))
    return wilson(right, len(asked))


def _turns(row: Labelled) -> tuple[Message, Message]:
    return Message(role="user", content=row.text), Message(role="assistant", content=row.label)
