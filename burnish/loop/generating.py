"""Rows out of a generator: an adapter that learns how people's rows read, held to rows that it has not seen.

With few rows, or where the adapter remembers instead of learning, the base itself writes on from rows that it is shown
(Zhu et al. 2025, BARE, arXiv 2502.01697, on why an untuned base writes more variedly).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from burnish.config import Settings
from burnish.data.provenance import HUMAN, provenance
from burnish.errors import Interrupted
from burnish.fingerprint import fingerprint
from burnish.loop.project import settings_with
from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.model.chat import Rendered
from burnish.model.generate import target_logprobs
from burnish.model.generator import Generated, Generator, Request
from burnish.model.sample import Sampling
from burnish.records import Cell, Example, Message, Task, as_json
from burnish.synthesize.cells import in_cell
from burnish.synthesize.generator import (
    END,
    MOST_MEMORISED,
    MOVE,
    Document,
    Draft,
    Kin,
    band_of,
    document_of,
    documents_of,
    draft_of,
    is_learnable,
    memorised_share,
    row_of,
    split_held_out,
)
from burnish.synthesize.guards import Drop
from burnish.synthesize.moves import Made
from burnish.talk import Talk
from burnish.train.batch import Row
from burnish.train.job import NO_EFFECT, TrainJob
from burnish.train.run import train
from burnish.tune.search import candidates

GENERATOR_VERSION = 1
FEWEST_ROWS = 60
"""People's rows below which nothing is trained."""
MOST_TOKENS = 1024
"""Of a document; shots go first where it is longer."""
TEMPERATURE, TOP_P = 1.0, 0.95
NUM_PROBES = 100
"""Samples by which memory is judged: two of them may be copies."""
ROUNDS = 3
"""Times that a cell is asked for what it still lacks."""
LONGER = 1.5
"""A sample may have so many times the tokens of the longest row of people."""
PATIENCE = 1
"""Epochs without a lower loss on held-out rows: what comes later is memory."""
TOKENS_A_DOCUMENT = 120
"""For the forecast of a first batch."""


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


class _Sample(NamedTuple):
    draft: Draft
    seed: int
    answer: Generated


class SeedGenerator:
    """The move "generator": trained when it is first asked, in the folder given; then it samples row after row.

    Deterministic in base, settings, task and arguments of the calls, on one machine. A killed training goes on from
    its checkpoint where folder/scratch survives.
    """

    def __init__(
        self,
        bench: Workbench,
        task: Task,
        columns: Sequence[str],
        folder: Path,
        talk: Talk,
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.bench, self.task, self.columns, self.folder = bench, task, tuple(columns), folder
        self.talk, self.should_stop = talk, should_stop
        self.learned: Learned | None = None
        self.losses: dict[str, float] = {}
        self.num_tokens = 0
        self.num_sampled = self.num_malformed = self.num_astray = 0

    def make(self, cells: Sequence[Cell], seeds: Sequence[Example], seed: int) -> list[list[Made]]:
        """Rows for each cell, at most as many as it asks for, with people's rows as their only parents."""
        rows = [row for row in seeds if provenance(row) == HUMAN and is_learnable(row) and self._fits(row)]
        if not rows:
            return [[] for _ in cells]
        if self.learned is None:
            self.learned = self._learn(rows, seed)
        kin = Kin(rows, self.task, self.columns)
        pools = [[row for row in rows if in_cell(row, cell)] for cell in cells]
        made: list[dict[str, Made]] = [{} for _ in cells]
        for turn in range(ROUNDS):
            lacking = {at: cell.count - len(made[at]) for at, cell in enumerate(cells) if pools[at]}
            places = [at for at, count in lacking.items() for _ in range(count)]
            drafts = [self._draft(pools[at], kin, [seed, at, turn, number]) for number, at in enumerate(places)]
            for at, sample in zip(places, self._samples(self.learned, drafts), strict=True):
                found = self._row(sample, cells[at])
                made[at] |= {found.example.id: found} if found else {}
        return [list(own.values()) for own in made]

    def unlikely(self, rows: Sequence[Example]) -> Sequence[Drop]:
        """The step of the sieve that drops samples which are less likely than nearly all real rows."""
        return band_of(self.losses, self.learned.real if self.learned else ())(rows)

    def notes(self) -> tuple[str, ...]:
        """What became of training and sampling, for the record; empty while nothing was asked for."""
        if self.learned is None:
            return ()
        told = f"generator: {self.num_sampled:,} sampled, {self.num_malformed:,} malformed"
        return (f"{told}, {self.num_astray:,} outside their cell; {self.learned.note}",)

    # Learning ---------------------------------------------------------------------------------------------------------

    def _learn(self, rows: Sequence[Example], seed: int) -> Learned:
        """The adapter where there are rows enough and it does not remember too much; else the base."""
        base, task = self.bench.base, self.task
        lengths = [len(base.chat.encode(document_of(row, (), task, ()).body)) for row in rows]
        plain = Learned(
            folder=None, name=base.base_hash, real=(), most_tokens=round(LONGER * max(lengths)) + 2, note=""
        )
        if len(rows) < FEWEST_ROWS:
            return self._untrained(plain, rows, seed, f"{len(rows)} rows of people are too few to train on")
        split = split_held_out(rows, seed=seed)
        if not split.learned:
            return self._untrained(plain, rows, seed, "all rows of people are of one group, so none can be held out")
        train_rows = marked(base, self._documents(split.learned, split.learned, seed), whole=True)
        dev_rows = marked(base, self._documents(split.held, split.learned, seed), whole=False)
        job = self._job(train_rows, dev_rows, seed)
        (trial,) = train(job, talk=self.talk, should_stop=self.should_stop)
        epochs = max((point.epoch for point in trial.curve), default=0.0)
        self.num_tokens += round(epochs * sum(len(row.tokens) for row in train_rows))
        if trial.stopped == "diverged" or not trial.learned:
            return self._untrained(plain, rows, seed, "its training taught it nothing")
        losses = [point.dev_loss for point in trial.curve if point.dev_loss is not None]
        trained = replace(plain, folder=self.folder / trial.folder, name=trial.adapter_hash)
        share = self._memorised(trained, split.learned, seed)
        usual = memorised_share(split.held, split.learned, task)
        told = f"{share:.1%} of {NUM_PROBES} probes are copies of rows it learned"
        if share > max(MOST_MEMORISED, usual.value or 0.0):
            return self._untrained(plain, rows, seed, f"its adapter is not used: {told}")
        note = f"held-out loss {losses[0]:.2f} before training, {min(losses):.2f} after; {told}"
        return replace(trained, real=self._real(trained, dev_rows), note=note)

    def _untrained(self, plain: Learned, rows: Sequence[Example], seed: int, why: str) -> Learned:
        """The base itself: it has seen no row, so all of them tell what is likely."""
        documents = marked(self.bench.base, self._documents(rows, rows, seed), whole=False)
        self.talk.say(f"generator: {why}; the base writes from shots alone")
        return replace(plain, real=self._real(plain, documents), note=f"{why}; the base wrote from shots alone")

    def _documents(self, rows: Sequence[Example], pool: Sequence[Example], seed: int) -> list[Document]:
        """A document for each row, without shots where they would make it too long."""
        base, task = self.bench.base, self.task
        found = documents_of(rows, pool, task, self.columns, seed=seed)
        bare = documents_of(rows, pool, task, self.columns, seed=seed, most_shots=0)
        return [
            shown if len(_tokens(base, shown.head, shown.body)) <= _room(base) else alone
            for shown, alone in zip(found, bare, strict=True)
        ]

    def _fits(self, row: Example) -> bool:
        """Whether a row can lead a prompt and be written once more."""
        one = document_of(row, (row,), self.task, self.columns)
        return len(_tokens(self.bench.base, one.head, one.body)) <= _room(self.bench.base)

    def _job(self, rows: Sequence[Row], dev: Sequence[Row], seed: int) -> TrainJob:
        """One adapter of the project's shape at the learning rate that its base suggests."""
        settings = generator_settings(self.bench.settings)
        (candidate,) = candidates(settings, self.bench.base)
        return TrainJob(
            base=self.bench.base,
            rows=rows,
            dev=dev,
            candidates=[replace(candidate, name=MOVE)],
            train=settings.train,
            lora=settings.lora,
            seed=seed,
            folder=self.folder,
        )

    def _real(self, learned: Learned, rows: Sequence[Row]) -> tuple[float, ...]:
        """The loss per token of each row's own line."""
        rendered = [Rendered(tokens=tuple(row.tokens), learned=tuple(row.learned), pieces=()) for row in rows]
        with self._wearing(learned) as base:
            return tuple(-float(one.mean()) for one in target_logprobs(base, rendered))

    def _memorised(self, learned: Learned, seen: Sequence[Example], seed: int) -> float:
        """The share of copies among samples that are not used otherwise."""
        order = Random(fingerprint(["probe", seed])).sample(seen, len(seen))
        kin = Kin(seen, self.task, self.columns)
        drafts = [self._draft([order[at % len(order)]], kin, ["probe", seed, at]) for at in range(NUM_PROBES)]
        samples = [self._row(sample, None) for sample in self._samples(learned, drafts)]
        return memorised_share([one.example for one in samples if one], seen, self.task).value or 0.0

    # Sampling ---------------------------------------------------------------------------------------------------------

    def _draft(self, leads: Sequence[Example], kin: Kin, key: Sequence[Any]) -> tuple[Draft, int]:
        """A prompt with its seed, both decided by the key; shots give way where it would be too long."""
        own = int(fingerprint(["sample", *key])[:12], 16)
        lead = leads[own % len(leads)]
        draft = draft_of(lead, kin, seed=own)
        if len(_tokens(self.bench.base, draft.head)) > _room(self.bench.base):
            draft = draft_of(lead, kin, seed=own, most_shots=1)
        return draft, own

    def _samples(self, learned: Learned, drafts: Sequence[tuple[Draft, int]]) -> list[_Sample]:
        """What the generator writes after each prompt, in their order."""
        answers: dict[int, Generated] = {}
        with self._wearing(learned) as base, self.talk.track("sample", len(drafts), "rows") as advance:
            requests = [self._request(base, draft, seed, learned.most_tokens) for draft, seed in drafts]
            for event in Generator(base).run(requests):
                if event.answer:
                    answers[event.number] = event.answer
                    advance(1, "")
                    if self.should_stop():
                        raise Interrupted("sampling stopped", hint="run the same command again")
        self.num_tokens += sum(len(answer.tokens) for answer in answers.values())
        return [_Sample(draft, seed, answers[at]) for at, (draft, seed) in enumerate(drafts)]

    def _request(self, base: Base, draft: Draft, seed: int, most_tokens: int) -> Request:
        return Request(
            prompt=tuple(_tokens(base, draft.head)),
            max_new_tokens=most_tokens,
            sampling=Sampling(temperature=TEMPERATURE, top_p=TOP_P, seed=seed),
            stop=(END,),
        )

    def _row(self, sample: _Sample, cell: Cell | None) -> Made | None:
        """The row of a sample, counted; without a cell it is a probe and leaves no trace."""
        assert self.learned or cell is None
        name = self.learned.name if self.learned else ""
        is_whole = sample.answer.stop_reason == "end"
        found = row_of(sample.draft, sample.answer.text, self.task, generator=name, seed=sample.seed)
        row = found if is_whole else None
        if cell is None:
            return row
        is_astray = row is not None and not in_cell(row.example, cell)
        self.num_sampled += 1
        self.num_malformed += row is None
        self.num_astray += is_astray
        if row is None or is_astray:
            return None
        self.losses[row.example.id] = _loss(self.bench.base, sample.answer)
        return row

    @contextmanager
    def _wearing(self, learned: Learned) -> Iterator[Base]:
        if learned.folder is None:
            yield self.bench.base
        else:
            with self.bench.wearing_adapter(learned.folder) as base:
                yield base


def generator_settings(settings: Settings) -> Settings:
    """The settings of a project as its generator is trained: one adapter, one learning rate, early stopping."""
    return settings_with(
        settings,
        {
            "train.method": "lora",
            "train.objective": "sft",
            "train.search": [1.0],
            "train.patience": PATIENCE,
            "train.token_dropout": 0.0,
        },
    )


def generator_key(settings: Settings, base: Base) -> dict[str, Any]:
    """What decides an adapter of a generator beside the rows and the base's weights, for the key of a stage."""
    own = generator_settings(settings)
    (candidate,) = candidates(own, base)
    return {
        "version": GENERATOR_VERSION,
        "train": own.train.model_dump(mode="json", exclude=NO_EFFECT),
        "lora": own.lora.model_dump(mode="json"),
        "candidate": as_json(candidate),
        "precision": base.precision,
    }


def forecast_tokens(num_rows: int, settings: Settings) -> int:
    """Tokens that the training on so many rows of people may take."""
    return 0 if num_rows < FEWEST_ROWS else num_rows * TOKENS_A_DOCUMENT * settings.train.passes(num_rows)


def marked(base: Base, documents: Sequence[Document], *, whole: bool) -> list[Row]:
    """Documents as rows of a training, learned whole; or held-out ones, of which their own line alone counts.

    The shots of a held-out document are rows that are learned, so a loss on them would praise memory.
    """
    rows = []
    for one in documents:
        tokens = _tokens(base, one.head, one.body)
        before = 0 if whole else len(_tokens(base, one.head))
        rows.append(Row(id=one.example, tokens=tokens, learned=[at >= before for at in range(len(tokens))]))
    return rows


def _tokens(base: Base, head: str, body: str = "") -> list[int]:
    """Head and body spelled apart, as sampling does it; begun as conversations with this base are."""
    start: Any = base.tokenizer.bos_token_id
    opened = base.chat.render_prompt([Message(role="user", content="?")])
    return [*([start] if opened[:1] == [start] else []), *base.chat.encode(head), *base.chat.encode(body)]


def _room(base: Base) -> int:
    return min(MOST_TOKENS, base.max_tokens // 2)


def _loss(base: Base, answer: Generated) -> float:
    """Loss per token as it was sampled; the token that ended the row counts, whichever it was."""
    is_stopped = END in base.chat.answer_text(answer.tokens)
    return -answer.logprob / (len(answer.tokens) + (not is_stopped))
