"""Writes finished answers down beside the server's work: one thread, small transactions, and a line that has an end.

No answer waits for it, and no fault of it reaches one: what finds the line full is dropped and counted.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from burnish.config import TrafficSettings
from burnish.data.redact import redact
from burnish.fingerprint import SHORT, fingerprint
from burnish.records import Message
from burnish.serve.asked import ChatAsked, TextAsked
from burnish.serve.engine import Ended
from burnish.serve.faults import log_of
from burnish.store.store import Store
from burnish.store.traffic import Spoken, append_traffic, drop_expired

if TYPE_CHECKING:
    from burnish.serve.exchange import Exchange

MOST_WAITING = 4096
"""Answers that wait to be written."""
MOST_CHARS = 2**26
"""Characters of all that waits: a prompt may have 4 million."""
BATCH_S = 0.25
"""Seconds in which answers gather before one transaction writes them: it costs a few milliseconds of disk."""
DROP_EVERY_S = 3600.0
"""Seconds between two looks for answers whose time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """A finished answer as the server has it."""

    response_id: str
    at: datetime
    model: str
    adapter_hash: str
    asked: ChatAsked | TextAsked
    conversation: str
    num_prompt: int
    ended: Ended
    seconds: float
    first_token_s: float | None
    size: int
    """Characters."""


class Recorder:
    """Keeps what was said where the project's settings want it, and deletes what has expired in any case.

    `close` writes the rest down.
    """

    def __init__(
        self, store: Store, settings: TrafficSettings, *, project: str | None = None, most_waiting: int = MOST_WAITING
    ) -> None:
        """`project` is who its lines in the log are about."""
        self.store, self.settings, self.most_waiting = store, settings, most_waiting
        self._log = log_of(project)
        self.num_kept = self.num_dropped = 0
        self._change = threading.Condition()
        self._waiting: deque[_Heard] = deque()
        self._num_chars = self._num_heard = self._num_done = self._num_wanted = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="burnish-recorder", daemon=True)
        self._thread.start()

    def heard(self, exchange: "Exchange", ended: Ended) -> None:
        """Takes a finished answer and returns at once."""
        if not self.settings.keep:
            return
        one = _heard(exchange, ended)
        with self._change:
            is_full = len(self._waiting) >= self.most_waiting or self._num_chars + one.size > MOST_CHARS
            if self._is_closed or is_full:
                self.num_dropped += 1
                return
            self._waiting.append(one)
            self._num_chars += one.size
            self._num_heard += 1
            self._change.notify_all()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Whether all that was heard before is written (or was dropped) within the time."""
        with self._change:
            target = self._num_wanted = self._num_heard
            self._change.notify_all()
            return self._change.wait_for(lambda: self._num_done >= target, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Writes down what waits, and ends."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def redacted(self, text: str) -> str:
        """The text as it may be kept."""
        return redact(text) if self.settings.redact else text

    def _work(self) -> None:
        drop_at = 0.0
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._is_closed, max(0.0, drop_at - time.monotonic()))
                self._change.wait_for(lambda: self._is_hurried, BATCH_S if self._waiting else 0)
                some, self._waiting, self._num_chars = list(self._waiting), deque(), 0
                is_last = self._is_closed
            self._write(some)
            if time.monotonic() >= drop_at and not is_last:
                drop_at = time.monotonic() + DROP_EVERY_S
                self._drop()
            if is_last:
                return

    @property
    def _is_hurried(self) -> bool:
        return self._is_closed or self._num_wanted > self._num_done

    def _write(self, some: list[_Heard]) -> None:
        """Writes rows; whatever goes wrong, they are done with."""
        if not some:
            return
        try:
            append_traffic(self.store, [self._row(one) for one in some])
            self.num_kept += len(some)
        except Exception as error:
            self.num_dropped += len(some)
            self._log.error("%d answers could not be kept", len(some), exc_info=error)
        with self._change:
            self._num_done += len(some)
            self._change.notify_all()

    def _drop(self) -> None:
        try:
            if count := drop_expired(self.store):
                self._log.info("%d answers were deleted: their time was over", count)
        except Exception as error:
            self._log.error("answers whose time is over could not be deleted", exc_info=error)

    def _row(self, one: _Heard) -> Spoken:
        is_task = isinstance(one.asked, ChatAsked) and one.asked.form == "task"
        has_text = drawn(one.response_id, self.settings.sample)
        messages = tuple(Message(role=turn.role, content=self.redacted(turn.content)) for turn in turns_of(one.asked))
        return Spoken(
            response_id=one.response_id,
            at=one.at.isoformat(timespec="seconds"),
            model=one.model,
            adapter_hash=one.adapter_hash,
            endpoint="task" if is_task else "chat" if isinstance(one.asked, ChatAsked) else "completions",
            conversation=one.conversation,
            messages=messages if has_text else (),
            answer=self.redacted(one.ended.text) if has_text else "",
            num_prompt=one.num_prompt,
            num_answer=one.ended.num_tokens,
            seconds=round(one.seconds, 4),
            first_token_s=None if one.first_token_s is None else round(one.first_token_s, 4),
            finish_reason=one.ended.reason,
            logprob=one.ended.logprob,
            probability=self.settings.sample,
            expires_at=end_of(one.at, self.settings.retention_days),
        )


def drawn(response_id: str, share: float) -> bool:
    """Whether the texts of this answer are kept: its id decides, which is random, so that a second look says the
    same."""
    return int(fingerprint(["drawn", response_id])[:8], 16) < share * 2**32


def conversation_key(messages: tuple[Message, ...]) -> str:
    """A key that the turns of one conversation share: a hash of how it opens, up to the first word of the user.

    Conversations that open alike share it as well.
    """
    opening = next((at for at, turn in enumerate(messages, 1) if turn.role == "user"), len(messages))
    return fingerprint([[turn.role, turn.content] for turn in messages[:opening]])[:SHORT]


def end_of(at: datetime, days: int) -> str:
    """When a row of this moment expires, as the table has it."""
    return (at + timedelta(days=days)).isoformat(timespec="seconds")


def _heard(exchange: "Exchange", ended: Ended) -> _Heard:
    assert exchange.version, exchange.endpoint
    form, asked = exchange.form, exchange.asked
    num_chars = sum(len(turn.content) for turn in asked.messages) if isinstance(asked, ChatAsked) else len(asked.text)
    return _Heard(
        response_id=form.response_id,
        at=datetime.now(UTC),
        model=exchange.version.name,
        adapter_hash=exchange.version.adapter_hash,
        asked=asked,
        conversation=exchange.conversation,
        num_prompt=form.num_prompt,
        ended=ended,
        seconds=time.monotonic() - exchange.started,
        first_token_s=exchange.first_token_s,
        size=num_chars + len(ended.text),
    )


def turns_of(asked: ChatAsked | TextAsked) -> list[Message]:
    """The messages that were asked, the prompt of a completion as one of the user."""
    if isinstance(asked, TextAsked):
        return [Message(role="user", content=asked.text)]
    return [
        Message(role="system" if turn.role == "developer" else turn.role, content=turn.text) for turn in asked.messages
    ]
