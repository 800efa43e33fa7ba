"""People and judges in words, on a terminal and in a report: who agrees with whom, and what they find better."""

from typing import NamedTuple

from burnish.grammar import agree
from burnish.records import Interval
from burnish.report.record import RoundReport
from burnish.report.words import count, percent, points, span
from burnish.review.concord import QueueAgreement
from burnish.review.standing import JudgedQuestion, JudgedReport, SliceStanding

AGREEMENT_COLUMNS = ("queue", "answers", "by two or more", "alpha [95%]", "kappa [95%]", "agreement", "in conflict")
GAIN_COLUMNS = ("question", "judge", "gain in points [95%]", "rows by people", "worth", "people alone", "verdict")
ADMISSION_COLUMNS = ("slice", "may score", "replaces", "kappa with people", "between people", "why not")
SHOWN_SLICES = 8
QUEUES = {"blind": "blind labels", "correction": "drafts accepted or not", "preference": "preferences"}


class AgreementRow(NamedTuple):
    """A queue as the table shows it; the fields are those of AGREEMENT_COLUMNS."""

    queue: str
    answers: str
    doubled: str
    alpha: str
    kappa: str
    verdict: str
    conflicts: str


class GainRow(NamedTuple):
    """A question as the table shows it; the fields are those of GAIN_COLUMNS."""

    name: str
    judge: str
    gain: str
    rows: str
    worth: str
    alone: str
    verdict: str

    @property
    def tone(self) -> str:
        """How a page colours the verdict."""
        return self.verdict if self.verdict in ("better", "worse") else "soft"


class AdmissionRow(NamedTuple):
    """What a judge may score of one slice; the fields are those of ADMISSION_COLUMNS."""

    slice: str
    may: str
    omega: str
    kappa: str
    alpha: str
    why: str


class PeopleWords(NamedTuple):
    """Everything about people and judges, ready for a template."""

    lead: str
    gains: tuple[GainRow, ...]
    told: tuple[str, ...]
    """Of each question what it counts, whether the judge is used, and what the gate makes of it."""
    agreement: tuple[AgreementRow, ...]
    reviewers: tuple[str, ...]
    notes: tuple[str, ...]


def people_words(report: RoundReport) -> PeopleWords | None:
    """What the report says of people and judges; None where neither said anything."""
    judged = report.judged
    is_silent = judged is None or not any(one.version or one.num_verdicts for one in judged.questions)
    if is_silent and not report.agreement:
        return None
    shown = None if is_silent else judged
    return PeopleWords(
        lead=_lead(shown),
        gains=tuple(gain_row(one) for one in shown.questions) if shown else (),
        told=tuple(line for one in shown.questions for line in told_of(one)) if shown else (),
        agreement=tuple(agreement_row(one) for one in report.agreement),
        reviewers=tuple(line for one in report.agreement for line in reviewer_lines(one)),
        notes=shown.notes if shown else (),
    )


def gain_row(one: JudgedQuestion) -> GainRow:
    """One question in numbers."""
    gain = one.gain
    return GainRow(
        name=one.name,
        judge=("admitted" if one.is_admitted else "not admitted") if one.version else "none",
        gain=_interval(gain.gain),
        rows=f"{count(gain.gain.n)} of {count(gain.num_rows)}",
        worth="-" if gain.labels_worth is None else f"{gain.labels_worth:.0f} rows",
        alone=_interval(gain.people_alone),
        verdict=gain.verdict,
    )


def told_of(one: JudgedQuestion) -> tuple[str, ...]:
    """What is said beside the numbers of a question, in sentences."""
    said = [f"{one.name}: {one.counts}"]
    if one.version:
        alone = f"{percent(one.before.value)} before and {percent(one.after.value)} after by the judge alone"
        use = "it is used beside people" if one.is_admitted else f"not admitted, used for nothing: {_plain(one.why)}"
        said.append(f"{one.name}: {alone}; {use}")
    if one.num_unusable:
        said.append(f"{one.name}: {count(one.num_unusable)} answers got no usable verdict of the judge")
    refused = [part.slice for part in one.slices[1:] if part.omega is not None and not part.is_admitted]
    if one.is_admitted and refused:
        said.append(f"{one.name}: on {', '.join(refused)} the judge failed its test, and its scores there are not used")
    bias = one.length_bias
    if bias.low is not None and bias.low > 0:
        said.append(
            f"{one.name}: the judge likes long answers more than people do, rank correlation {bias.value:.2f} "
            f"[{bias.low:.2f}, {bias.high:.2f}] on {bias.n} answers"
        )
    return (*said, f"the gate, {one.gate}")


def admission_row(one: SliceStanding) -> AdmissionRow:
    """What a judge may score, and what that rests on."""
    return AdmissionRow(
        slice=one.slice,
        may="yes" if one.is_admitted else "no",
        omega="n/a" if one.omega is None else f"{one.omega:.0%} of people",
        kappa=_figure(one.judge_kappa),
        alpha=_figure(one.people_alpha),
        why=_plain(one.why),
    )


def agreement_row(one: QueueAgreement) -> AgreementRow:
    """Agreement in one queue."""
    return AgreementRow(
        queue=QUEUES[one.queue],
        answers=count(one.num_answers),
        doubled=count(one.num_doubled),
        alpha=_figure(one.alpha),
        kappa=f"{_figure(one.kappa)} ({one.kappa_of})" if one.kappa.value is not None else "n/a",
        verdict=_plain(one.why) or one.verdict,
        conflicts=count(len(one.conflicts)),
    )


def reviewer_lines(one: QueueAgreement) -> tuple[str, ...]:
    """How reliable each reviewer of a queue is, a line each, what they confuse most, and where they agree least."""
    told = [
        f"{person.reviewer}, {QUEUES[one.queue]}: gives the likely answer in {percent(person.accuracy.value)} "
        f"{span(person.accuracy)} of {person.accuracy.n}"
        for person in one.reviewers
    ]
    return (*told, *_confused_lines(one), *_slice_lines(one))


def _confused_lines(one: QueueAgreement) -> list[str]:
    """The pairs of values that are confused most, and how many others there are."""
    pairs = [f"{' and '.join(pair.values)} on {count(pair.num_items)}" for pair in one.confused]
    more = f"; {agree(one.num_confused_left, 'more pair', 'more pairs')}" if one.num_confused_left else ""
    return [f"{QUEUES[one.queue]}, confused most, by items: {', '.join(pairs)}{more}"] if pairs else []


def _slice_lines(one: QueueAgreement) -> list[str]:
    """The slices in which people agree least, and how many others there are."""
    ordered = sorted(one.slices, key=lambda part: (part.alpha.value is None, part.alpha.value or 0.0, part.slice))
    lines = [f"{part.slice}, {QUEUES[one.queue]}: alpha {_figure(part.alpha)}" for part in ordered[:SHOWN_SLICES]]
    more = len(ordered) - SHOWN_SLICES
    left = f"{QUEUES[one.queue]}: {agree(more, 'more slice', 'more slices')} in the JSON"
    return [*lines, left] if more > 0 else lines


def _lead(judged: JudgedReport | None) -> str:
    if judged is None:
        return "How far the people who decide agree with each other, which bounds what any model can be measured to."
    return (
        f"What people say of the answers themselves, on {count(judged.num_rows)} rows of dev_a; on "
        f"{count(judged.num_same)} of them {judged.champion} and {judged.challenger} answer alike. A judge is used "
        "beside people only where it agreed with them as they do with each other; what it gets wrong is taken out."
    )


def _interval(found: Interval) -> str:
    return "n/a" if found.value is None else f"{points(found.value)} {span(found, signed=True)}"


def _figure(found: Interval) -> str:
    if found.value is None:
        return "n/a"
    bounds = " [too few]" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{bounds} of {found.n}"


def _plain(why: str) -> str:
    """A reason without its stable word."""
    return why.partition(": ")[2] or why
