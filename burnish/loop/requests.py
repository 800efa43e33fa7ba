"""The requests that the monitor looks at: from the traffic of served models, or from a file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.data.formats import RawRow, raw_rows
from burnish.errors import DataError
from burnish.loop.project import Project
from burnish.store.traffic import feedback_of, feedback_since, traffic_since

AT_ONCE = 1000
FEWEST = 20
"""Requests of a file below which nothing is compared."""
MOST_SHOWN = 3
VERDICTS = ("up", "down", "correction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One text that a model was asked, and what is known of the answer."""

    seq: int
    """Place in the traffic, or line of the file, from 1."""
    text: str
    """What users asked, without system messages and earlier answers."""
    prompt: str = ""
    """All that the answer may rest on."""
    answer: str | None = None
    seconds: float | None = None
    tokens: int | None = None
    """Of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What users said of a model's answers: 1 for a wrong one, 0 for a right one."""

    wrong: tuple[float, ...]
    last: int
    """Place of the newest entry that was read."""


def requests_of(project: Project, model: str | None, after: int, last: int | None = None) -> Iterator[Request]:
    """Requests to a model (None: to any) whose texts are kept, after a place in the traffic and up to another, in their
    order.

    They are read as they are asked for, a thousand at once, so that years of traffic need no more memory than a day's.
    """
    while True:
        rows = traffic_since(project.store, after, AT_ONCE, with_text=True)
        for row in rows:
            text = "\n".join(turn.content for turn in row.messages if turn.role == "user")
            if model in (None, row.model) and text.strip() and (last is None or row.seq <= last):
                prompt = "\n".join(turn.content for turn in row.messages)
                yield Request(
                    seq=row.seq,
                    text=text,
                    prompt=prompt,
                    answer=row.answer,
                    seconds=row.seconds,
                    tokens=row.num_answer,
                )
        after = rows[-1].seq if rows else after
        if len(rows) < AT_ONCE or (last is not None and after >= last):
            return


def said_of(project: Project, model: str, after: int) -> Said:
    """Thumbs and corrections on a model's answers after a place, one value an answer, the last one counting.

    An answer that was spoken of before that place counts no more. Users choose what they speak of, so this is a rate
    among answers that somebody spoke of.
    """
    verdicts: dict[str, float] = {}
    start = after
    while True:
        entries = feedback_since(project.store, after, AT_ONCE)
        for entry in entries:
            if entry.model == model and entry.kind in VERDICTS:
                verdicts[entry.response_id] = 0.0 if entry.kind == "up" else 1.0
        after = entries[-1].seq if entries else after
        if len(entries) < AT_ONCE:
            known = _judged_before(project, list(verdicts), start)
            return Said(wrong=tuple(value for name, value in verdicts.items() if name not in known), last=after)


def _judged_before(project: Project, response_ids: Sequence[str], place: int) -> set[str]:
    said = feedback_of(project.store, response_ids)
    return {name for name, all_of in said.items() if any(one.seq <= place and one.kind in VERDICTS for one in all_of)}


def requests_in(path: Path) -> list[Request]:
    """The requests in a file of rows: `text`, and where they are known `answer`, `seconds` and `tokens`.

    Raises DataError that names the first row which is no such row, and what `raw_rows` raises for the file itself.
    """
    found = [_row(raw) for raw in raw_rows(path)]
    if len(found) < FEWEST:
        raise DataError(f"{path} holds {len(found)} requests, which say nothing", hint=f"give {FEWEST} or more")
    return found


def _row(raw: RawRow) -> Request:
    row = raw.value
    if raw.fault:
        raise _refused(raw, raw.fault)
    if not isinstance(row.get("text"), str) or not row["text"].strip():
        raise _refused(raw, "it has no text")
    answer = row.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise _refused(raw, "its answer is no text")
    seconds, tokens = (_number(raw, name) for name in ("seconds", "tokens"))
    return Request(
        seq=raw.number,
        text=row["text"],
        prompt=row["text"],
        answer=answer,
        seconds=seconds,
        tokens=None if tokens is None else int(tokens),
    )


def _number(raw: RawRow, name: str) -> float | None:
    value = raw.value.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _refused(raw, f"its {name} {json.dumps(value, default=str)[:40]} is no number from 0")
    return float(value)


def _refused(raw: RawRow, why: str) -> DataError:
    return DataError(
        f"{raw.source}, line {raw.number} is no request: {why}",
        hint='give one JSON object a line, such as {"text": "..."}',
    )


def answers_of(requests: Sequence[Request]) -> list[tuple[Request, str]]:
    """Requests with an answer, each beside it."""
    return [(request, request.answer) for request in requests if request.answer is not None]


def different_texts(rows: Sequence[int], texts: Mapping[int, str]) -> list[tuple[str, int]]:
    """The first three different texts of these requests that are still kept, each with how often it was asked."""
    return list(Counter(texts[row] for row in rows if row in texts).items())[:MOST_SHOWN]
