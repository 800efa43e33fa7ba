"""What is known of a judge in a round, as a report keeps it: its verdicts, whether it may score, and the gain."""

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.records import Interval
from burnish.review.admission import Admission, SliceAdmission
from burnish.review.assisted import AssistedGain
from burnish.stats.rates import Estimate

FEWEST_FOR_HARM = 20
"""Rows scored by people below which the gate blocks nobody: three losses in three rows happen to equal models, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStanding:
    """Whether a judge may score one slice."""

    slice: str
    is_admitted: bool
    why: str
    """Why not, beginning with a stable word and a colon; empty for an admitted judge."""
    omega: float | None
    """Share of reviewers whom it can replace; None where there are too few to tell."""
    advantage: float | None
    """Chance that it agrees with the others at least as well as a random reviewer does."""
    judge_kappa: Interval
    """Cohen's, of the judge and each person; n counts answers."""
    people_alpha: Interval
    """Krippendorff's, between people: the ceiling."""
    agreement: Interval
    """Share of people's verdicts that it gives too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQuestion:
    """One question about the answers of two models: what judge and people said, and what follows."""

    name: str
    """right or supported."""
    counts: str
    """What is counted, in one sentence."""
    version: str
    """Of the judge; empty without one."""
    models: Mapping[str, int]
    """Replies by the model that says it gave them."""
    num_unusable: int
    """Answers on which the judge said nothing usable."""
    before: Interval
    """Share of yes for the champion by the judge alone, which is as biased as the judge; empty without one."""
    after: Interval
    """The same for the challenger."""
    num_verdicts: int
    """Verdicts of people, on answers of this round and others."""
    num_reviewers: int
    is_admitted: bool
    why: str
    """Why the judge's scores are used for nothing, beginning with a stable word and a colon; empty: they are used."""
    slices: tuple[SliceStanding, ...]
    """All answers first."""
    length_bias: Interval
    """How much more than people the judge likes long answers: a rank correlation, 0 for not at all."""
    gain: AssistedGain
    """Challenger less champion over the rows; from people alone where the judge is not admitted."""
    gate: str
    """What the gate makes of it, in a sentence."""

    @property
    def is_harm(self) -> bool:
        """The whole interval of the gain lies below zero, on rows enough to mean it."""
        seen = self.gain.gain
        return seen.high is not None and seen.high < 0 and seen.n >= FEWEST_FOR_HARM


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedReport:
    """What people and a judge say of the answers of champion and challenger."""

    champion: str
    challenger: str
    num_rows: int
    num_same: int
    """Rows on which both give the same answer, which nobody needs to judge."""
    questions: tuple[JudgedQuestion, ...]
    notes: tuple[str, ...] = ()


def slice_standings(admission: Admission | None) -> tuple[SliceStanding, ...]:
    """The admission of each slice as a report keeps it, all answers first; none of an untested judge."""
    if admission is None:
        return ()
    names = sorted(admission.slices, key=lambda name: (name != "all", name))
    return tuple(_standing(admission.slices[name]) for name in names)


def _standing(one: SliceAdmission) -> SliceStanding:
    return SliceStanding(
        slice=one.slice,
        is_admitted=one.is_admitted,
        why=one.why,
        omega=one.omega,
        advantage=one.advantage,
        judge_kappa=interval(one.judge_kappa),
        people_alpha=interval(one.people_alpha),
        agreement=interval(one.agreement),
    )


def interval(found: Estimate) -> Interval:
    """An estimate as the interval that records hold."""
    return Interval(value=found.value, low=found.low, high=found.high, n=found.n)
