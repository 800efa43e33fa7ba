"""How far reviewers agree in each queue and slice, how reliable each of them is, and which conflicts wait.

Only items that two or more reviewers answered tell anything; a reviewer's own answers to an item are its last one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

from burnish.records import Interval
from burnish.review.agreement import FEW_ITEMS, Rating, by_item, cohen_kappa, fleiss_kappa, krippendorff_alpha
from burnish.review.decisions import Outcome
from burnish.review.reliability import consensus
from burnish.review.standing import interval
from burnish.store.reviews import Queue, ReviewDecision, ReviewItem

MOST_CELLS = 10_000_000
"""Items times values squared that are counted together; of more items the latest count."""
MOST_CONFUSED = 8
NOTHING = Interval(value=None, low=None, high=None, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerReliability:
    """How often one reviewer gave the label that all answers together make most likely."""

    reviewer: str
    accuracy: Interval
    """n counts answers to items that others answered, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceAgreement:
    """Agreement on the items of one slice."""

    slice: str
    alpha: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPair:
    """Two values that reviewers gave to the same items."""

    values: tuple[str, str]
    num_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAgreement:
    """Agreement in one queue."""

    queue: Queue
    num_answers: int
    """Those that hold, skips apart."""
    num_doubled: int
    """Items that two or more reviewers answered."""
    kappa: Interval
    kappa_of: str
    """cohen for two reviewers, fleiss for more (items with the commonest number of answers); empty: none."""
    alpha: Interval
    """Krippendorff's, of all items with two answers or more."""
    reviewers: tuple[ReviewerReliability, ...]
    slices: tuple[SliceAgreement, ...]
    """Those with 20 doubled items or more."""
    conflicts: tuple[str, ...]
    """Items whose reviewers disagree and that nobody has settled yet."""
    confused: tuple[ConfusedPair, ...] = ()
    """The pairs of values that stand on most items together, at most `MOST_CONFUSED`."""
    num_confused_left: int = 0
    """Other pairs: there can be as many as there are values squared."""
    why: str = ""
    """Why nothing is said of agreement, beginning with a stable word and a colon."""

    @property
    def verdict(self) -> str:
        """The agreement in plain words."""
        value, low = self.alpha.value, self.alpha.low
        if value is None:
            return "nothing can be said yet"
        seen = "good" if value >= 0.8 else "fair" if value >= 0.6 else "poor"
        return seen if low is not None else f"{seen}, on too few items to be sure"


def agreement_of(
    found: Sequence[Outcome], slices: Mapping[str, Sequence[str]] | None = None, *, is_closed: bool = True
) -> tuple[QueueAgreement, ...]:
    """Agreement in each queue that has answers. `slices` names those of an example; `is_closed`: answers are labels.

    In the correction queue reviewers agree when both or neither accept the draft; texts typed freely are not compared.
    """
    queues: tuple[Queue, ...] = get_args(Queue)
    told = []
    for queue in queues:
        own = [one for one in found if one.item.queue == queue]
        is_text = queue == "blind" and not is_closed
        told.append(_of_texts(queue, own) if is_text else _of_queue(queue, own, slices or {}))
    return tuple(one for one in told if one.num_answers)


def _of_queue(queue: Queue, found: Sequence[Outcome], slices: Mapping[str, Sequence[str]]) -> QueueAgreement:
    ratings = _ratings(found)
    doubled = _doubled(ratings)
    num_doubled, doubled = len(doubled), _latest(doubled)
    paired = [rating for given in doubled.values() for rating in given]
    name, kappa = _kappa(list(doubled.values()))
    confused = _confused(list(doubled.values()))
    alpha = krippendorff_alpha([[rating.value for rating in given] for given in doubled.values()])
    return QueueAgreement(
        queue=queue,
        num_answers=len(ratings),
        num_doubled=num_doubled,
        kappa=kappa,
        kappa_of=name,
        alpha=interval(alpha),
        reviewers=_reviewers(paired),
        slices=_by_slice(doubled, {one.item.name: slices.get(one.item.example, ()) for one in found}),
        conflicts=_conflicts(found),
        confused=confused[:MOST_CONFUSED],
        num_confused_left=len(confused[MOST_CONFUSED:]),
        why="" if doubled else "none-doubled: no item was answered by two reviewers yet",
    )


def _confused(items: Sequence[tuple[Rating, ...]]) -> tuple[ConfusedPair, ...]:
    """Pairs of different values by the items on which both stand, most items first."""
    pairs = Counter(pair for given in items for pair in combinations(sorted({rating.value for rating in given}), 2))
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(ConfusedPair(values=values, num_items=number) for values, number in ordered)


def _conflicts(found: Sequence[Outcome]) -> tuple[str, ...]:
    return tuple(one.item.name for one in found if one.is_conflict and not one.item.settles)


def _ratings(found: Sequence[Outcome]) -> list[Rating]:
    return [
        Rating(one.item.name, made.reviewer, _value(one.item, made))
        for one in found
        for made in one.decisions
        if made.kind != "skip" and made.item == one.item.name
    ]


def _doubled(ratings: Sequence[Rating]) -> dict[str, tuple[Rating, ...]]:
    return {item: given for item, given in by_item(ratings).items() if len(given) > 1}


def _latest(doubled: dict[str, tuple[Rating, ...]]) -> dict[str, tuple[Rating, ...]]:
    """As many of the latest items as tables of all their values fit into memory for."""
    num_values = len({rating.value for given in doubled.values() for rating in given})
    most = max(FEW_ITEMS, MOST_CELLS // max(1, num_values**2))
    return dict(list(doubled.items())[-most:])


def _value(item: ReviewItem, made: ReviewDecision) -> str:
    """What is compared: the label, whether a draft was accepted, or which answer was preferred."""
    if made.kind == "label":
        return " ".join(made.text.split())
    if item.queue == "correction" and made.kind != "out-of-scope":
        return "accepted" if made.kind == "accept" else "not accepted"
    return made.kind


def _kappa(items: Sequence[tuple[Rating, ...]]) -> tuple[str, Interval]:
    """Cohen's where the same two people answered everything, else Fleiss' of items with as many answers as most."""
    people = sorted({rating.reviewer for given in items for rating in given})
    if len(people) == 2:
        ordered = [sorted(given, key=lambda rating: rating.reviewer) for given in items]
        return "cohen", interval(cohen_kappa([(given[0].value, given[1].value) for given in ordered]))
    sizes = Counter(len(given) for given in items)
    if not sizes:
        return "", NOTHING
    size = max(sizes, key=lambda size: (sizes[size], size))
    answers = [[rating.value for rating in given] for given in items if len(given) == size]
    return "fleiss", interval(fleiss_kappa(answers))


def _reviewers(paired: Sequence[Rating]) -> tuple[ReviewerReliability, ...]:
    if not paired:
        return ()
    return tuple(
        ReviewerReliability(reviewer=one.reviewer, accuracy=interval(one.accuracy))
        for one in consensus(paired).reviewers
    )


def _by_slice(
    doubled: Mapping[str, tuple[Rating, ...]], slices: Mapping[str, Sequence[str]]
) -> tuple[SliceAgreement, ...]:
    found = []
    for name in sorted({name for item in doubled for name in slices[item]}):
        answers = [[rating.value for rating in given] for item, given in doubled.items() if name in slices[item]]
        if len(answers) >= FEW_ITEMS:
            found.append(SliceAgreement(slice=name, alpha=interval(krippendorff_alpha(answers))))
    return tuple(found)


def _of_texts(queue: Queue, found: Sequence[Outcome]) -> QueueAgreement:
    ratings = _ratings(found)
    return QueueAgreement(
        queue=queue,
        num_answers=len(ratings),
        num_doubled=len(_doubled(ratings)),
        kappa=NOTHING,
        kappa_of="",
        alpha=NOTHING,
        reviewers=(),
        slices=(),
        conflicts=_conflicts(found),
        why="free-text: answers are texts, which two people never write alike; accepted drafts are compared",
    )
