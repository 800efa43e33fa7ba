"""Takes production logs in: answers of other servers, in the shapes of OpenAI, Langfuse and OpenTelemetry.

A file is read twice, so that nothing of one with a bad line is taken; a second import finds all of it known.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from burnish.config import TrafficSettings
from burnish.data.formats import RawRow, raw_rows
from burnish.data.langfuse_log import read_langfuse
from burnish.data.logged import Logged
from burnish.data.openai_log import read_openai
from burnish.data.otel_log import read_otel
from burnish.data.redact import redact
from burnish.data.shapes import RowFault
from burnish.errors import DataError
from burnish.fingerprint import SHORT, fingerprint
from burnish.records import Message, Rejection, as_json
from burnish.store.store import Store
from burnish.store.traffic import Source, Spoken, append_feedback, append_traffic

Shape = Literal["auto", "openai", "langfuse", "otel"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
AT_ONCE = 500
"""Answers of one transaction."""
SHOWN = 5
"""Bad lines that an error lists."""
MALFORMED = (AttributeError, TypeError, KeyError, IndexError, ValueError)
"""What reading an object of another make comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a file."""

    num_new: int = 0
    num_known: int = 0
    """Answers that were here already."""
    num_other: int = 0
    """Lines without an answer, such as spans of a database."""
    num_expired: int = 0
    """Answers that are older than `serve.traffic.retention_days`, and so not kept."""
    num_feedback: int = 0
    """New entries of feedback."""
    rejected: tuple[Rejection, ...] = field(default=())
    """Lines that cannot be used."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return as_json(self)


def import_log(
    store: Store, settings: TrafficSettings, path: Path, *, shape: Shape = "auto", skip_bad: bool = False, now: datetime
) -> Taken:
    """Writes the answers of a log down; their time is counted from when they were given.

    Raises DataError, nothing taken, where a line cannot be used, unless `skip_bad` leaves those out.
    """
    rejected, total = [], 0
    for raw in raw_rows(path):
        total += 1
        if isinstance(found := _read(raw, shape), Rejection):
            rejected.append(found)
    _refuse_bad(path, rejected, total, skip_bad=skip_bad)
    counts: Counter[str] = Counter()
    waiting: list[tuple[Source, Logged]] = []
    for raw in raw_rows(path):
        found = _read(raw, shape)
        if isinstance(found, Rejection):
            continue
        counts["num_other"] += not found
        waiting += [(_source(raw, shape), one) for one in found]
        if len(waiting) >= AT_ONCE:
            counts += _take(store, settings, waiting, now)
            waiting = []
    if waiting:
        counts += _take(store, settings, waiting, now)
    return Taken(**counts, rejected=tuple(rejected))


def shape_of(row: Mapping[str, Any]) -> Source:
    """The shape that a line is written in, by its keys. Raises RowFault."""
    attributes = row.get("attributes")
    if row.keys() & {"resourceSpans", "resourceLogs"} or (attributes is not None and row.keys() & SPAN_KEYS):
        return "otel"
    if row.keys() & {"response", "choices"} or ("output" in row and row.get("object") == "response"):
        return "openai"
    if "input" in row and row.keys() & {"output", "observations"}:
        return "langfuse"
    shown = ", ".join(sorted(map(str, row))[:8])
    raise RowFault(f"shape: neither OpenAI's, Langfuse's nor OpenTelemetry's; the keys are {shown[:160]}")


SPAN_KEYS = {"spanId", "span_id", "context", "traceId", "trace_id"}
READERS: Mapping[Source, Callable[[Mapping[str, Any]], list[Logged]]] = {
    "openai": lambda row: [read_openai(row)],
    "langfuse": read_langfuse,
    "otel": read_otel,
}


def _source(raw: RawRow, shape: Shape) -> Source:
    return shape_of(raw.value) if shape == "auto" else shape


def _read(raw: RawRow, shape: Shape) -> list[Logged] | Rejection:
    """The answers of a line, or why it cannot be used."""
    if raw.fault:
        return raw.rejection(raw.fault, raw.text)
    try:
        return READERS[_source(raw, shape)](raw.value)
    except RowFault as fault:
        return raw.rejection(str(fault), str(raw.value))
    except MALFORMED as error:
        named = "" if shape == "auto" else f" as {shape} writes them"
        return raw.rejection(f"shape: the parts of the line are no objects{named} ({error})", str(raw.value))


def _refuse_bad(path: Path, rejected: Sequence[Rejection], total: int, *, skip_bad: bool) -> None:
    if not total:
        raise DataError(f"{path} holds no line", hint="give a log in JSON lines")
    if not rejected or (skip_bad and len(rejected) < total):
        return
    lines = "\n".join(f"  {one.source}:{one.row}  {one.reason}  {one.snippet}" for one in rejected[:SHOWN])
    more = f"\n  and {len(rejected) - SHOWN:,} more" if len(rejected) > SHOWN else ""
    raise DataError(
        f"{len(rejected):,} of {total:,} lines of {path} cannot be used, so nothing of it was taken:\n{lines}{more}",
        hint="give --skip-bad to take the others" if len(rejected) < total else "say what wrote it: --shape openai",
    )


def _take(
    store: Store, settings: TrafficSettings, found: Sequence[tuple[Source, Logged]], now: datetime
) -> Counter[str]:
    rows = [_spoken(one, source, settings) for source, one in found]
    fresh = [row for row in rows if row.expires_at > now.isoformat(timespec="seconds")]
    num_new = append_traffic(store, fresh)
    num_feedback = 0
    for _, one in found:
        remarks = [remark._replace(value=_kept(remark.value, settings)) for remark in one.remarks]
        taken = append_feedback(store, one.id, remarks) if remarks else None
        num_feedback += taken.num_new if taken else 0
    return Counter(
        num_new=num_new,
        num_known=len(fresh) - num_new,
        num_expired=len(rows) - len(fresh),
        num_feedback=num_feedback,
    )


def _kept(text: str, settings: TrafficSettings) -> str:
    return redact(text) if settings.redact else text


def _spoken(one: Logged, source: Source, settings: TrafficSettings) -> Spoken:
    ends = one.at.astimezone(UTC) + timedelta(days=settings.retention_days)
    return Spoken(
        response_id=one.id,
        at=one.at.astimezone(UTC).isoformat(timespec="seconds"),
        source=source,
        model=one.model,
        conversation=fingerprint(["conversation", one.conversation or one.id])[:SHORT],
        messages=tuple(Message(role=turn.role, content=_kept(turn.content, settings)) for turn in one.messages),
        answer=_kept(one.answer, settings),
        num_prompt=one.num_prompt,
        num_answer=one.num_answer,
        seconds=one.seconds,
        logprob=one.logprob,
        finish_reason=one.finish_reason,
        expires_at=ends.isoformat(timespec="seconds"),
    )
