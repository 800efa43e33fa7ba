"""One request and its answer out of a production log, whatever wrote the log, and what its fields have in common."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from burnish.data.ingest import clean_key
from burnish.data.shapes import RowFault, checked_turns
from burnish.data.strict_json import JsonFault, StrictJson
from burnish.records import Message
from burnish.store.traffic import Remark


class Logged(NamedTuple):
    """What a log says of one answer; None and "" where it does not say."""

    id: str
    at: datetime
    model: str
    messages: tuple[Message, ...]
    answer: str
    num_prompt: int | None = None
    num_answer: int | None = None
    seconds: float | None = None
    logprob: float | None = None
    finish_reason: str = ""
    conversation: str = ""
    """The log's own key of the conversation."""
    remarks: tuple[Remark, ...] = ()
    """What users said of the answer."""


def logged(name: Any, at: datetime | None, model: Any, turns: Sequence[Message], **more: Any) -> Logged:
    """The record of an answer, the last of the turns, if it can be used. Raises RowFault."""
    if not (key := clean_key(name)):
        raise RowFault("no-id: the answer has no id, so a second import could not know it again")
    if at is None:
        raise RowFault("time: there is no time of the answer")
    *messages, answer = checked_turns(tuple(turns))
    return Logged(key, at, clean_key(model) or "unknown", tuple(messages), answer.content, **more)


def moment(value: Any) -> datetime | None:
    """A time as logs write it: ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970; None for none.

    Raises RowFault for what is none of these.
    """
    if value in (None, ""):
        return None
    try:
        if isinstance(value, str) and not value.strip().isdecimal():
            found = datetime.fromisoformat(value.strip())
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        number = float(value)
        while number > 1e11:  # seconds reach that in the year 5138
            number /= 1000
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise RowFault(f"time: {str(value)[:40]!r} is no time") from error


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """From start to end; None where one is missing or they are in the wrong order."""
    return (end - start).total_seconds() if start and end and end >= start else None


def count(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value)
    return int(value) if (is_number and value >= 0) or (isinstance(value, str) and text.isdecimal()) else None


def picked(row: Mapping[str, Any], *names: str) -> Any:
    """The first of these that the row has and that is not empty."""
    return next((row[name] for name in names if row.get(name) not in (None, "", [], {})), None)


def unpacked(value: Any) -> Any:
    """The value, or what it holds where it is JSON written as text."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return StrictJson().parse(value)
    except JsonFault:
        return value
