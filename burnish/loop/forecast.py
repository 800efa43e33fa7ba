"""`burnish plan`: what the next round takes on this machine in memory and time, before anything is spent on it.

Scoring and training are probed for some seconds each on the project's own rows; the rest is counting.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from burnish.errors import DataError
from burnish.evaluate.prompt import pick_shots
from burnish.free_memory import free_memory
from burnish.loop.project import Project
from burnish.loop.seeds import Seeds, gather
from burnish.loop.stages import is_compared, job_of, on_examples
from burnish.loop.untuned import base_version
from burnish.loop.workbench import Workbench
from burnish.records import Example, ModelVersion
from burnish.registry import champion
from burnish.store.files import shown_size
from burnish.talk import Talk
from burnish.train.job import TrainJob
from burnish.train.run import TOKENS_AT_ONCE
from burnish.train.standings import RUNG_SHARE
from burnish.tune.probe import MEMORY_STEPS, TIMED_STEPS, Probe, probe, watching_memory
from burnish.tune.search import candidates, on_people_only

WIDE_SLOTS = 8
"""The widest bank that is timed, to see whether more candidates at once are worth it."""
SPARE_SHARE = 0.8
"""Share of the free memory that a plan may use."""
SCORED = (8, 96)
"""Rows of the two scorings from which the cost of a row, and of a call, are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a round."""

    name: str
    seconds: float
    how: str
    is_sure: bool = True
    """False for what happens only under a condition that nobody knows before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a round takes, and the choices that make it so."""

    parts: tuple[Part, ...]
    peak_bytes: int
    free_bytes: int
    """Free on the machine now, with what this process holds already."""
    precision: str
    precision_reason: str
    slots: int
    """Width of the bank with the lowest time for a candidate, of those that fit into memory."""
    slots_reason: str
    batch_tokens: int
    batch_reason: str

    @property
    def seconds(self) -> float:
        """All parts that are sure to happen; early stopping may make the training shorter."""
        return sum(part.seconds for part in self.parts if part.is_sure)

    def as_json(self) -> dict[str, Any]:
        """The stable form that `--json` prints."""
        return {"schema_version": 1, "seconds": self.seconds, **asdict(self)}

    def table(self) -> list[list[object]]:
        """Rows of the parts: name, seconds, how it was counted."""
        rows: list[list[object]] = [
            [part.name, f"{part.seconds:.1f}", part.how if part.is_sure else f"{part.how}; only if it comes to that"]
            for part in self.parts
        ]
        return [*rows, ["together", f"{self.seconds:.1f}", "at most: early stopping may end training sooner"]]

    def sentences(self) -> list[str]:
        """Memory and choices in words."""
        fits = "fits" if self.peak_bytes <= self.free_bytes else "does not fit: fewer candidates, or a smaller base"
        return [
            f"memory: {shown_size(self.peak_bytes)} at the peak, {shown_size(self.free_bytes)} are free: it {fits}",
            f"number type: {self.precision_reason}",
            f"slots: {self.slots}: {self.slots_reason}",
            f"tokens at once: {self.batch_tokens:,}: {self.batch_reason}",
        ]


def forecast(project: Project, talk: Talk) -> Forecast:
    """The forecast for the next round. Takes some seconds and writes nothing but roles and the measured precision.

    Raises DataError when there are no rows to train on or to choose by.
    """
    seeds = gather(project)
    bench = Workbench(project.settings, project.store.root, talk)
    job = _job(project, seeds, bench)
    talk.say("probing training and scoring with a few real rows")
    tried = len(job.candidates)
    last = min(project.settings.train.finalists, tried)
    now = champion(project.store) or base_version(bench, project.settings)
    before = psutil.Process().memory_info().rss
    # memory that was used once stays with the process, so what a round needs is looked at before anything wider
    probes = {tried: probe(job, tried, steps=MEMORY_STEPS + 1)}
    with watching_memory() as peak:
        scoring = _scoring(project, seeds, bench, now)
        needed = max(probes[tried].peak_bytes, peak())
    for slots in sorted({last, WIDE_SLOTS} - {tried}):
        probes[slots] = probe(job, slots, steps=MEMORY_STEPS + 1 if slots > tried else TIMED_STEPS + 1)
    free = free_memory() + psutil.Process().memory_info().rss
    slots, slots_reason = _best_width(probes, tried, SPARE_SHARE * free)
    tokens, batch_reason = _batch_tokens(job, before, probes[tried].peak_bytes, SPARE_SHARE * free)
    return Forecast(
        parts=(*scoring[:3], _training(job, probes[tried], probes[last]), *scoring[3:]),
        peak_bytes=needed,
        free_bytes=free,
        precision=bench.base.precision,
        precision_reason=bench.base.reason,
        slots=slots,
        slots_reason=slots_reason,
        batch_tokens=tokens,
        batch_reason=batch_reason,
    )


def training_seconds(job: TrainJob, all_slots: Probe, last_slots: Probe) -> float:
    """Seconds of a run in which every candidate goes to the rung and the finalists to the end."""
    steps = -(-len(job.rows) // job.train.batch_size)
    passes = job.train.passes(len(job.rows))
    to_rung = min(passes, max(1, round(RUNG_SHARE * passes)))
    seconds = 0.0
    for speed, epochs in ((all_slots, to_rung), (last_slots, passes - to_rung)):
        seconds += epochs * (steps * speed.step_s + len(job.dev) * speed.look_s_per_row)
    return seconds


def _job(project: Project, seeds: Seeds, bench: Workbench) -> TrainJob:
    settings, base = on_examples(project.settings), bench.base
    for role in ("train", "dev_b", "dev_a"):
        if not seeds.of(role):
            raise DataError(
                f"no row has the role {role}, so a round cannot run", hint="add data: burnish data add FILE"
            )
    tried = candidates(settings, base)
    return job_of(settings, base, seeds, (*tried, *on_people_only(tried)) if is_compared(settings, seeds) else tried)


def _training(job: TrainJob, all_slots: Probe, last_slots: Probe) -> Part:
    passes = job.train.passes(len(job.rows))
    how = f"{len(job.candidates)} candidates, {len(job.rows):,} rows, at most {passes} epochs"
    return Part(name="train", seconds=training_seconds(job, all_slots, last_slots), how=how)


def _scoring(project: Project, seeds: Seeds, bench: Workbench, now: ModelVersion) -> list[Part]:
    """The scorings of a round in their order, the first three before training."""
    base = base_version(bench, project.settings)
    shots = pick_shots(seeds.of("train"), project.settings.task.shots, project.settings.seed)
    dev_a, dev_b = len(seeds.of("dev_a")), len(seeds.of("dev_b"))
    vault = len(seeds.of(seeds.vaults[0])) if seeds.vaults else 0
    plain = _score_cost(seeds, bench, base, ())
    shown = _score_cost(seeds, bench, base, shots) if shots else (0.0, 0.0)
    is_new = bool(now.artifact)
    finalists = min(project.settings.train.finalists, len(project.settings.train.search) or 1)
    return [
        Part(name="base, no examples", seconds=_seconds(plain, dev_a), how=f"{dev_a} rows of dev_a"),
        Part(name="base, few examples", seconds=_seconds(shown, dev_a) if shots else 0.0, how=f"{len(shots)} shots"),
        Part(
            name="champion",
            seconds=_seconds(plain, dev_a) if is_new else 0.0,
            how=f"{dev_a} rows of dev_a" if is_new else "it is the base",
        ),
        Part(
            name="choice",
            seconds=finalists * _seconds(plain, dev_b),
            how=f"{finalists} finalists, {dev_b} rows of dev_b",
        ),
        Part(name="challenger", seconds=_seconds(plain, dev_a), how=f"{dev_a} rows of dev_a"),
        Part(
            name="gate", seconds=2 * _seconds(plain, vault), how=f"two models, {vault} rows of a vault", is_sure=False
        ),
    ]


def _score_cost(seeds: Seeds, bench: Workbench, model: ModelVersion, shots: Sequence[Example]) -> tuple[float, float]:
    """Seconds of a call and of a row, from one small and one larger scoring of train rows."""
    rows = [example for example in seeds.of("train") if example not in shots]
    times = []
    for count in SCORED:
        picked = [rows[at * len(rows) // min(count, len(rows))] for at in range(min(count, len(rows)))]
        start = time.perf_counter()
        bench.score(model, seeds.task, picked, shots=shots)
        times.append((len(picked), time.perf_counter() - start))
    (few, short), (many, long) = times
    if many == few:
        return 0.0, long / many
    per_row = max(0.0, (long - short) / (many - few))
    return max(0.0, short - few * per_row), per_row


def _seconds(cost: tuple[float, float], rows: int) -> float:
    return cost[0] + cost[1] * rows if rows else 0.0


def _best_width(probes: dict[int, Probe], tried: int, limit: float) -> tuple[int, str]:
    """The bank width with the lowest time a candidate, among those that fit, and why."""
    wide = max(probes)
    more = max(0, probes[wide].peak_bytes - probes[tried].peak_bytes)
    per_slot = more / max(1, wide - tried)
    fitting = [slots for slots in probes if probes[tried].peak_bytes + per_slot * (slots - tried) <= limit]
    best = min(fitting or [min(probes)], key=lambda slots: probes[slots].step_s / slots)
    told = ", ".join(f"{probes[slots].step_s / slots * 1000:.0f} ms at {slots}" for slots in sorted(probes))
    return best, f"a step costs a candidate {told}; a slot more takes {shown_size(per_slot)}"


def _batch_tokens(job: TrainJob, before: int, peak: int, limit: float) -> tuple[int, str]:
    """Tokens of one forward pass: the loop's own bound, halved until what they take fits."""
    longest = max(len(row.tokens) for row in job.rows)
    at_once = min(TOKENS_AT_ONCE, longest * len(job.candidates) * job.train.batch_size)
    taken = max(1, peak - before)
    tokens = at_once
    while tokens > longest and before + taken * tokens / at_once > limit:
        tokens //= 2
    return tokens, f"training takes at most {shown_size(taken * tokens / at_once)} more than the loaded base"
