"""A teacher: questions in, answers out in the same order, each kept before it is used and never paid for twice.

A reply that cannot be used gets one repair; after that the answer is a fault with the raw reply kept. The same
questions asked again are answered from what is kept, so a killed command goes on where it was.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

from burnish.client.ask import Ask, key_of, repair_of
from burnish.client.connection import Connection, Passing
from burnish.client.purse import Purse
from burnish.client.reply import read_reply
from burnish.client.traffic import Traffic
from burnish.config import EndpointSettings
from burnish.errors import BurnishError, ServiceError
from burnish.records import Cost
from burnish.store.replies import Reply, keep_reply, kept_replies
from burnish.store.store import Store
from burnish.talk import Talk

FEWEST_REPLIES = 20
"""Below these the share of unusable replies says nothing."""

Check = Callable[[str, int], str]
"""What is wrong with the text that answers a question, given its place; empty: nothing."""


class Answer(NamedTuple):
    """What a question came to."""

    text: str
    """Empty when it came to a fault."""
    fault: str
    key: str
    """Of the reply that counts, under which its raw body is kept."""
    model: str
    usd: float
    num_tokens: int
    """Both over the reply and its repair."""


class _OverError(Exception):
    """Another question ended the work."""


@dataclass(kw_only=True)
class Teacher:
    """One endpoint with everything that it takes to ask it."""

    store: Store
    connection: Connection
    purse: Purse
    traffic: Traffic
    talk: Talk
    models: Counter[str] = field(default_factory=Counter)
    """Answers by the model that says it gave them."""
    _over: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: list[str] = field(default_factory=list, repr=False)

    @property
    def settings(self) -> EndpointSettings:
        """Of its endpoint."""
        return self.connection.settings

    def answers(self, asks: Sequence[Ask], check: Check, *, name: str = "teacher") -> list[Answer]:
        """The answers to all questions, in their order; some are faults. Equal questions are asked once.

        Raises ServiceError when the endpoint refuses, is down, or sends too much that cannot be used; BudgetError when
        the next question does not fit; Interrupted when stopped. Replies until then are kept.
        """
        self._over.clear()
        self._seen.clear()
        keys = [key_of(ask, self.settings) for ask in asks]
        places: dict[str, int] = {}
        for at, key in enumerate(keys):
            places.setdefault(key, at)
        known = kept_replies(self.store, places)
        if fresh := len(places) - len(known):
            self.talk.say(f"{name}: {len(asks):,} questions to {self.settings.model}, {fresh:,} of them new")
        with self.talk.track(name, len(places), "replies") as advance:
            found = self._all({at: asks[at] for at in places.values()}, check, known, lambda: advance(1, ""))
        self._tell_models(name)
        return [found[places[key]] for key in keys]

    def close(self) -> None:
        """Ends its connections; it may be asked again, which opens them anew."""
        self.connection.close()

    def _all(
        self, asks: Mapping[int, Ask], check: Check, known: Mapping[str, Reply], done: Callable[[], None]
    ) -> dict[int, Answer]:
        with ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="teacher") as pool:
            futures = {at: pool.submit(self._or_over, ask, at, check, known) for at, ask in asks.items()}
            try:
                for future in as_completed(futures.values()):
                    future.result()
                    done()
            except BaseException as error:
                self._over.set()
                pool.shutdown(cancel_futures=True)
                raise _first(futures.values(), error) from None
        return {at: future.result() for at, future in futures.items()}

    def _or_over(self, ask: Ask, at: int, check: Check, known: Mapping[str, Reply]) -> Answer:
        """One answer; an error here keeps the others from asking further."""
        try:
            return self._one(ask, at, check, known)
        except BaseException:
            self._over.set()
            raise

    def _one(self, ask: Ask, at: int, check: Check, known: Mapping[str, Reply]) -> Answer:
        first = self._reply(ask, known)
        fault = first.fault or check(first.text, at)
        replies = [first]
        if fault:
            again = repair_of(ask, first.text or "(nothing)", fault)
            replies.append(self._reply(again, kept_replies(self.store, [key_of(again, self.settings)])))
            fault = replies[-1].fault or check(replies[-1].text, at)
        self._count(fault)
        last = replies[-1]
        return Answer(
            text="" if fault else last.text,
            fault=fault,
            key=last.key,
            model=last.model,
            usd=sum(one.usd for one in replies),
            num_tokens=sum(one.num_input + one.num_output for one in replies),
        )

    def _reply(self, ask: Ask, known: Mapping[str, Reply]) -> Reply:
        key = key_of(ask, self.settings)
        if key in known:
            return self._counted(known[key])
        attempt = 0
        while True:
            if self._over.is_set():
                raise _OverError
            self.traffic.enter()
            try:
                return self._counted(self._bought(ask, key))
            except Passing as fault:
                self.traffic.failed(fault, attempt)
                attempt += 1

    def _bought(self, ask: Ask, key: str) -> Reply:
        with self.purse.paying(ask) as charge:
            try:
                body = self.connection.send(ask)
            except (Passing, ServiceError) as error:
                if not getattr(error, "may_be_paid", False):
                    charge.tell(Cost())
                raise
            self.traffic.succeeded()
            reply = read_reply(body, key, ask, self.settings)
            charge.tell(Cost(usd=reply.usd, tokens=reply.num_input + reply.num_output))
            keep_reply(self.store, reply)
        self._refuse_overcharge(ask, reply)
        return reply

    def _refuse_overcharge(self, ask: Ask, reply: Reply) -> None:
        if reply.num_input > ask.most_input_tokens or reply.num_output > ask.max_new_tokens:
            raise ServiceError(
                f"{self.settings.base_url} counts {reply.num_input:,} + {reply.num_output:,} tokens for a question "
                f"that can have {ask.most_input_tokens:,} + {ask.max_new_tokens:,}, so no budget can hold it",
                hint=f"see whether the model obeys {self.settings.limit_name}; models that think aloud need more "
                "max_new_tokens",
            )

    def _counted(self, reply: Reply) -> Reply:
        with self._lock:
            self.models[reply.model] += 1
        return reply

    def _count(self, fault: str) -> None:
        with self._lock:
            self._seen.append(fault)
            bad = [one for one in self._seen if one]
            if len(self._seen) >= FEWEST_REPLIES and len(bad) > self.settings.most_unusable * len(self._seen):
                raise ServiceError(
                    f"{len(bad)} of {len(self._seen)} replies of {self.settings.model} are of no use, the last: "
                    f"{bad[-1]}",
                    hint="look at some with `burnish teacher --replies 5`; another model, json_mode or a higher "
                    "max_new_tokens may help",
                )

    def _tell_models(self, name: str) -> None:
        others = sorted(model for model in self.models if not model.startswith(self.settings.model))
        if len(self.models) > 1:
            self.talk.warn(f"{name}: the endpoint changed its model on the way: {', '.join(sorted(self.models))}")
        elif others:
            self.talk.say(f"{name}: asked for {self.settings.model}, {others[0]} answered")


def _first(futures: Iterable[Future[Answer]], error: BaseException) -> BaseException:
    """The error that ended the work: not one of those that it brought about in other questions."""
    for future in futures:
        with contextlib.suppress(BaseException):
            if future.done() and isinstance(found := future.exception(), BurnishError):
                return found
    return error
