"""What a generator writes: prompts that people's rows lead, and the samples that come after them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from burnish.errors import Interrupted
from burnish.fingerprint import fingerprint
from burnish.loop.documents import Documents
from burnish.model.base import Base
from burnish.model.generator import Generated, Generator, Request
from burnish.model.sample import Sampling
from burnish.records import Example, Task
from burnish.synthesize.generator import END, Draft, Kin, row_of
from burnish.synthesize.made import Made
from burnish.talk import Talk

TEMPERATURE, TOP_P = 1.0, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a generator has come to: its adapter, and what it says of rows that it has not seen."""

    folder: Path | None
    """Of the adapter; None: the base itself, from shots alone."""
    name: str
    """Hash of the adapter, or of the base."""
    real: tuple[float, ...]
    """Loss per token of people's rows that it was not trained on, in nats."""
    most_tokens: int
    note: str


class Sample(NamedTuple):
    """A text that came after a prompt."""

    draft: Draft
    seed: int
    answer: Generated

    def loss(self, base: Base) -> float:
        """Nats per token as it was sampled; the token that ended the row counts, whichever it was."""
        is_stopped = END in base.chat.answer_text(self.answer.tokens)
        return -self.answer.logprob / (len(self.answer.tokens) + (not is_stopped))


def row_from(sample: Sample, task: Task, generator: str) -> Made | None:
    """The row that a sample is; None where it has no end or is no row of the task."""
    found = row_of(sample.draft, sample.answer.text, task, generator=generator, seed=sample.seed)
    return found if sample.answer.stop_reason == "end" else None


class Sampler:
    """Samples of a base with or without an adapter, and the tokens that they took."""

    def __init__(self, documents: Documents, talk: Talk, should_stop: Callable[[], bool]) -> None:
        self.documents, self.talk, self.should_stop = documents, talk, should_stop
        self.num_tokens = 0

    @contextmanager
    def wearing(self, learned: Learned) -> Iterator[Base]:
        """The base with the generator's adapter in use, if it has one."""
        if learned.folder is None:
            yield self.documents.base
        else:
            with self.documents.bench.wearing_adapter(learned.folder) as base:
                yield base

    def draft(self, leads: Sequence[Example], kin: Kin, key: Sequence[Any]) -> tuple[Draft, int]:
        """A prompt with its seed, both decided by the key."""
        own = int(fingerprint(["sample", *key])[:12], 16)
        return self.documents.draft(leads[own % len(leads)], kin, own), own

    def samples(self, learned: Learned, drafts: Sequence[tuple[Draft, int]]) -> list[Sample]:
        """What the generator writes after each prompt, in their order."""
        answers: dict[int, Generated] = {}
        with self.wearing(learned) as base, self.talk.track("sample", len(drafts), "rows") as advance:
            requests = [self._request(draft, seed, learned.most_tokens) for draft, seed in drafts]
            for event in Generator(base).run(requests):
                if event.answer:
                    answers[event.number] = event.answer
                    advance(1, "")
                    if self.should_stop():
                        raise Interrupted("sampling stopped", hint="run the same command again")
        self.num_tokens += sum(len(answer.tokens) for answer in answers.values())
        return [Sample(draft, seed, answers[at]) for at, (draft, seed) in enumerate(drafts)]

    def _request(self, draft: Draft, seed: int, most_tokens: int) -> Request:
        return Request(
            prompt=tuple(self.documents.tokens(draft.head)),
            max_new_tokens=most_tokens,
            sampling=Sampling(temperature=TEMPERATURE, top_p=TOP_P, seed=seed),
            stop=(END,),
        )
