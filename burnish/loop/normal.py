"""What is normal for a model: held-out rows of the project and the answers that were scored on them, or past traffic.

No base is loaded and nothing is scored: answers are those that rounds left, and without them little is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from burnish.data.dataset import set_hash
from burnish.diagnose.rows import text_of
from burnish.errors import DataError
from burnish.evaluate.abstention import declines
from burnish.evaluate.files import stored_evaluations
from burnish.evaluate.groundedness import not_grounded, stated_in, taught, unsupported
from burnish.fingerprint import fingerprint
from burnish.loop.project import Project
from burnish.loop.requests import Request, answers_of, requests_of
from burnish.loop.seeds import Seeds
from burnish.monitor.alarms import Signal
from burnish.monitor.window import Reference, Window, reference_of
from burnish.records import Example, ModelVersion, RowResult
from burnish.registry import BASE, champion
from burnish.stats import mean_interval

FEWEST = 20
"""Held-out rows below which nothing can be compared."""
HELD_OUT = ("dev_a", "dev_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """A reference, and how an answer is measured the same way in it and in traffic."""

    reference: Reference
    identity: str
    """A hash of what the reference is made of."""
    seeds: Seeds
    source: str
    """In words: where it comes from."""
    bound: float | None
    """Share of wrong answers above which the risk alarms; None: nothing is known to hold it against."""
    known: frozenset[str] = frozenset()
    """Statements that need no support."""
    is_grounded: bool = False
    """Whether answers of this project come from their prompts."""

    def window_of(self, requests: Sequence[Request]) -> Window:
        """Requests as the monitor reads them."""
        texts = tuple(request.text for request in requests)
        labels: tuple[str, ...] = ()
        if self.seeds.task.kind == "label":
            labels = tuple(answer.strip() for _, answer in answers_of(requests))
        return Window(texts=texts, labels=labels, outputs=self.outputs_of(requests))

    def outputs_of(self, requests: Sequence[Request]) -> dict[Signal, tuple[float, ...]]:
        """The quantities of these answers that are known and mean something for the task."""
        rows, kind = answers_of(requests), self.seeds.task.kind
        found: dict[Signal, tuple[float, ...]] = {
            "seconds": tuple(request.seconds for request in requests if request.seconds is not None),
            "tokens": tuple(float(request.tokens) for request in requests if request.tokens is not None),
        }
        if kind == "text":
            found["length"] = tuple(float(len(answer.split())) for _, answer in rows)
            found["refusals"] = tuple(float(declines(answer)) for _, answer in rows)
        if kind != "label" and self.is_grounded:
            found["unsupported"] = tuple(float(self.is_unsupported(request)) for request, _ in rows)
        return {signal: values for signal, values in found.items() if values}

    def is_unsupported(self, request: Request) -> bool:
        """Whether its answer states something that neither prompt nor training rows hold."""
        source = f"{self.seeds.task.instruction}\n{request.prompt}"
        return bool(unsupported(list(stated_in(request.answer or "")), source, self.known))


def model_in_use(project: Project) -> tuple[str, ModelVersion | None]:
    """Name and version of the model that serves by default; the untuned base has no version before a first round."""
    now = champion(project.store)
    return (now.name, now) if now is not None else (BASE, None)


def normal_of(project: Project, seeds: Seeds, accepted: tuple[int, int] | None = None) -> Normal:
    """What is normal for the model in use: rows of dev_a and dev_b, or the traffic that somebody accepted as normal.

    Raises DataError with fewer than 20 rows of either.
    """
    name, version = model_in_use(project)
    train, held = seeds.of("train"), [row for role in HELD_OUT for row in seeds.of(role)]
    _demand(train, held)
    answered = _answers(project, version, held) if version is not None else {}
    seed = project.settings.seed
    learned = [text_of(row) for row in train]
    known = taught(seeds.task, train)
    base = Normal(
        reference=reference_of(learned, [text_of(row) for row in held], seed),
        identity=fingerprint([set_hash(train), set_hash(held), sorted(answered), seed]),
        seeds=seeds,
        source=f"{len(held):,} rows of dev_a and dev_b",
        bound=_bound(project, answered, seeds.of("dev_b")),
        known=known,
        is_grounded=seeds.task.kind != "label" and not not_grounded(seeds.task, held, known=known),
    )
    if accepted is None:
        return _with_answers(base, held, answered)
    return _from_traffic(project, base, name, learned, accepted)


def _demand(train: Sequence[Example], held: Sequence[Example]) -> None:
    if len(train) < FEWEST or len(held) < FEWEST:
        raise DataError(
            f"{len(train)} rows of train and {len(held)} of dev_a and dev_b are too few to say what is normal",
            hint=f"both need {FEWEST}; add rows with `burnish data add`",
        )


def _with_answers(base: Normal, held: Sequence[Example], answered: dict[str, RowResult]) -> Normal:
    """The same with what the model answered on these rows."""
    pairs = [(row, answered[row.id]) for row in held if row.id in answered]
    if not pairs:
        return base
    if base.seeds.task.kind == "label":
        expected = tuple(row.answer.strip() for row, _ in pairs)
        said = tuple(result.output.strip() for _, result in pairs)
        return replace(base, reference=replace(base.reference, expected=expected, answered=said))
    requests = [
        Request(seq=0, text=text_of(row), prompt="\n".join(turn.content for turn in row.prompt), answer=result.output)
        for row, result in pairs
    ]
    return replace(base, reference=replace(base.reference, outputs=base.outputs_of(requests)))


def _from_traffic(
    project: Project, base: Normal, model: str, learned: Sequence[str], accepted: tuple[int, int]
) -> Normal:
    """Traffic as what is normal. Its answers stand for labels themselves, as nobody says what was right."""
    first, last = accepted
    rows = list(requests_of(project, model, first - 1, last))
    if len(rows) < FEWEST:
        raise DataError(
            f"of the requests {first} to {last} that were accepted as normal only {len(rows)} are still kept",
            hint="accept newer ones with `burnish watch --accept`, or go back with `burnish watch --reset`",
        )
    reference = reference_of(learned, [row.text for row in rows], project.settings.seed)
    window = base.window_of(rows)
    return replace(
        base,
        reference=replace(reference, expected=window.labels, answered=window.labels, outputs=window.outputs),
        identity=fingerprint([base.identity, first, last]),
        source=f"{len(rows):,} requests that were accepted as normal",
    )


def _answers(project: Project, version: ModelVersion, held: Sequence[Example]) -> dict[str, RowResult]:
    """The model's stored answers to these rows by id; of several evaluations the newest counts.

    Those that were shown solved examples are none of them: nobody is served so.
    """
    wanted = {row.id for row in held}
    found: dict[str, RowResult] = {}
    asked = {"model": version.name, "model_hash": version.adapter_hash, "shots": 0}
    for evaluation in stored_evaluations(project.store.root, asked):
        for row in evaluation.rows:
            if row.example in wanted and not row.why_missing:
                found.setdefault(row.example, row)
        if len(found) == len(wanted):
            break
    return found


def _bound(project: Project, answered: dict[str, RowResult], dev_b: Sequence[Example]) -> float | None:
    """The vault stays sealed, so it is dev_b that says how often the model errs, at most."""
    settings = project.settings
    if settings.watch.max_risk is not None:
        return settings.watch.max_risk
    rows = [(answered[row.id].score, row.group) for row in dev_b if row.id in answered]
    scored = [(score, group) for score, group in rows if score is not None]
    found = mean_interval([score for score, _ in scored], [group for _, group in scored])
    return None if found.low is None else min(0.99, 1.0 - found.low + settings.gate.margin)
