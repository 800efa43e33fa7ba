"""What served models were asked and answered, and what users said of it: rows that end, unlike the rest of the history.

Texts are redacted before they come here. An answer that was not drawn for keeping leaves its line without texts, so
that feedback on it finds the version that gave it; feedback ends with its answer.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, case, delete, func, insert, select

from burnish.records import Message
from burnish.store.db import now
from burnish.store.failpoints import failpoint
from burnish.store.store import Store
from burnish.store.tables import traffic, traffic_feedback

Kind = Literal["up", "down", "correction", "outcome", "text"]
Source = Literal["serve", "openai", "langfuse", "otel"]
THUMBS = ("up", "down")
NO_TEXT = "[]"
"""Prompt of an answer that was not drawn for keeping."""
AT_ONCE = 500
"""Response ids of one query."""
SPOKEN, FEEDBACK = traffic.c, traffic_feedback.c
COLUMNS = tuple(column.name for column in SPOKEN if column.name not in ("seq", "prompt"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One request and its answer."""

    seq: int = 0
    """Place in the table, from 1; given by the database, never twice."""
    response_id: str
    """The id that the client got with the answer."""
    at: str
    """When the answer ended, ISO 8601 in UTC."""
    source: Source = "serve"
    """serve: this burnish answered; else the shape of the log that was imported."""
    model: str
    """Name of the version that answered; of imported logs the model's name as they give it."""
    adapter_hash: str = ""
    endpoint: str = "chat"
    """chat, completions (the prompt is one user message), or task: a label or fields in the task's form."""
    conversation: str = ""
    """Key that turns of one conversation share: a hash, no text."""
    messages: tuple[Message, ...] = ()
    """The prompt, redacted; empty: the answer was not drawn for keeping, and there is no text of it."""
    answer: str = ""
    num_prompt: int | None = None
    """Tokens; None in these five: the imported log does not say."""
    num_answer: int | None = None
    seconds: float | None = None
    """From the request to the whole answer."""
    first_token_s: float | None = None
    logprob: float | None = None
    """Of the answer under the model, summed over its tokens, in nats."""
    finish_reason: str = ""
    """stop or length."""
    probability: float | None = None
    """With which texts were kept when this was answered; None: imported, so nothing is estimated from it."""
    expires_at: str
    """From then on the row may not be used and is dropped, ISO 8601 in UTC."""

    @property
    def has_text(self) -> bool:
        """Whether prompt and answer are kept."""
        return bool(self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One thing that a user said of an answer."""

    seq: int
    response_id: str
    model: str
    """The version that gave the answer."""
    kind: Kind
    value: str
    """The better answer of a correction, the outcome's name, the free text; empty for thumbs."""
    at: str


class Remark(NamedTuple):
    """Feedback as it comes in."""

    kind: Kind
    value: str = ""


class Accepted(NamedTuple):
    """What became of feedback."""

    model: str
    """The version that it is about."""
    num_new: int
    """Entries written; 0: all of it was there already."""


class Held(NamedTuple):
    """What the tables hold."""

    num_answers: int
    num_with_text: int
    since: str
    """When the oldest answer was given; empty: there is none."""
    by_model: dict[str, int]
    """Answers by version."""
    feedback: dict[str, int]
    """Entries by kind."""


def append_traffic(store: Store, rows: Sequence[Spoken]) -> int:
    """Writes answers down in one transaction; returns how many are new. One that is there already stays as it is."""
    fresh = {storable(row.response_id): row for row in rows}
    with store.db.write() as connection:
        for some in _portions(list(fresh)):
            for known in connection.execute(select(SPOKEN.response_id).where(SPOKEN.response_id.in_(some))).scalars():
                del fresh[known]
        if fresh:
            connection.execute(insert(traffic), [_columns(row) for row in fresh.values()])
            failpoint("traffic.append")
    return len(fresh)


def append_feedback(store: Store, response_id: str, remarks: Sequence[Remark]) -> Accepted | None:
    """Writes feedback on an answer down, on disk when this returns; None: no answer of that id is here.

    The same again changes nothing: thumbs, correction and outcome are compared with the last of their sort, so that a
    mind can be changed and changed back; a free text is written once.
    """
    response_id = storable(response_id)
    with store.db.write() as connection:
        found = connection.execute(
            select(SPOKEN.model).where(SPOKEN.response_id == response_id, SPOKEN.expires_at > now())
        ).scalar()
        if found is None:
            return None
        given = list(connection.execute(_all_feedback(FEEDBACK.response_id == response_id)))
        said = [Remark(row.kind, row.value) for row in given]
        num_new = 0
        for remark in remarks:
            remark = Remark(remark.kind, storable(remark.value))
            if not _is_said(said, remark):
                said.append(remark)
                row = {"response_id": response_id, "model": found, **remark._asdict(), "at": now()}
                connection.execute(insert(traffic_feedback).values(row))
                num_new += 1
        if num_new:
            failpoint("traffic.feedback")
    return Accepted(found, num_new)


def traffic_since(store: Store, seq: int = 0, limit: int = 1000, *, with_text: bool = False) -> list[Spoken]:
    """The answers after place `seq`, in the order in which they were written, at most `limit` of them.

    With `with_text` only those whose texts are kept. What has expired is left out.
    """
    wanted = select(traffic).where(SPOKEN.seq > seq, SPOKEN.expires_at > now())
    if with_text:
        wanted = wanted.where(SPOKEN.prompt != NO_TEXT)
    with store.db.read() as connection:
        return [_spoken(row) for row in connection.execute(wanted.order_by(SPOKEN.seq).limit(limit))]


def find_traffic(store: Store, response_ids: Sequence[str]) -> dict[str, Spoken]:
    """The answers of those ids that are here, by id."""
    found: list[Spoken] = []
    with store.db.read() as connection:
        for some in _portions(response_ids):
            wanted = select(traffic).where(SPOKEN.response_id.in_(some), SPOKEN.expires_at > now())
            found += [_spoken(row) for row in connection.execute(wanted)]
    return {row.response_id: row for row in found}


def newest_traffic(store: Store, limit: int, *, with_text: bool = False) -> list[Spoken]:
    """The answers that were written down last, the newest first; with `with_text` those whose texts are kept."""
    wanted = select(traffic).where(SPOKEN.expires_at > now()).order_by(SPOKEN.seq.desc()).limit(limit)
    wanted = wanted.where(SPOKEN.prompt != NO_TEXT) if with_text else wanted
    with store.db.read() as connection:
        return [_spoken(row) for row in connection.execute(wanted)]


def feedback_of(store: Store, response_ids: Sequence[str]) -> dict[str, list[Feedback]]:
    """What was said of these answers, in order, by id; one of which nothing was said is not named."""
    found: dict[str, list[Feedback]] = {}
    with store.db.read() as connection:
        for some in _portions(response_ids):
            for row in connection.execute(_all_feedback(FEEDBACK.response_id.in_(some))):
                found.setdefault(row.response_id, []).append(Feedback(**row._mapping))
    return found


def feedback_since(store: Store, seq: int = 0, limit: int = 1000) -> list[Feedback]:
    """The feedback after place `seq`, in the order in which it was given, at most `limit` entries."""
    wanted = _all_feedback(FEEDBACK.seq > seq).limit(limit)
    with store.db.read() as connection:
        return [Feedback(**row._mapping) for row in connection.execute(wanted)]


def drop_expired(store: Store, at: str = "") -> int:
    """Deletes the answers whose time was over at `at` (default: now), with their feedback; returns how many answers."""
    return _drop(store, SPOKEN.expires_at <= (at or now()))


def drop_traffic(store: Store, response_ids: Sequence[str] | None = None) -> int:
    """Deletes these answers with their feedback, None: all of them; returns how many were here."""
    if response_ids is None:
        return _drop(store, SPOKEN.seq > 0)
    return sum(_drop(store, SPOKEN.response_id.in_(some)) for some in _portions(response_ids))


def traffic_held(store: Store) -> Held:
    """How much is here, and since when."""
    is_whole = func.sum(case((SPOKEN.prompt != NO_TEXT, 1), else_=0))
    totals = select(SPOKEN.model, func.count(), is_whole, func.min(SPOKEN.at)).group_by(SPOKEN.model)
    kinds = select(FEEDBACK.kind, func.count()).group_by(FEEDBACK.kind).order_by(FEEDBACK.kind)
    with store.db.read() as connection:
        rows = connection.execute(totals.order_by(SPOKEN.model)).all()
        feedback = {row[0]: row[1] for row in connection.execute(kinds)}
    return Held(
        num_answers=sum(row[1] for row in rows),
        num_with_text=sum(int(row[2]) for row in rows),
        since=min((row[3] for row in rows), default=""),
        by_model={row[0]: row[1] for row in rows},
        feedback=feedback,
    )


def _drop(store: Store, which: ColumnElement[bool]) -> int:
    with store.db.write() as connection:
        ended = select(SPOKEN.response_id).where(which)
        connection.execute(delete(traffic_feedback).where(FEEDBACK.response_id.in_(ended)))
        count = connection.execute(delete(traffic).where(which)).rowcount
        if count:
            failpoint("traffic.drop")
    return count


def storable(text: str) -> str:
    """The text with what no database can keep, NUL and halves of surrogate pairs, replaced by a mark."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _portions(names: Sequence[str]) -> Iterator[list[str]]:
    """The ids as the database keeps them: what is no text for one is then an id that is not here."""
    return ([*map(storable, names[start : start + AT_ONCE])] for start in range(0, len(names), AT_ONCE))


def _all_feedback(which: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(traffic_feedback).where(which).order_by(FEEDBACK.seq)


def _is_said(said: Sequence[Remark], remark: Remark) -> bool:
    """Whether this is what holds already."""
    if remark.kind == "text":
        return remark in said
    alike = THUMBS if remark.kind in THUMBS else (remark.kind,)
    return next((one == remark for one in reversed(said) if one.kind in alike), False)


def _columns(row: Spoken) -> dict[str, object]:
    prompt = [{"role": message.role, "content": storable(message.content)} for message in row.messages]
    columns = {name: getattr(row, name) for name in COLUMNS}
    kept = {name: storable(value) if isinstance(value, str) else value for name, value in columns.items()}
    return {**kept, "prompt": json.dumps(prompt, ensure_ascii=False)}


def _spoken(row: Row[tuple[object, ...]]) -> Spoken:
    columns = dict(row._mapping)
    messages = tuple(Message(**turn) for turn in json.loads(columns.pop("prompt")))
    return Spoken(messages=messages, **columns)
