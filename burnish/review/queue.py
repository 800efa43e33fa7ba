"""What to ask people next, and why: value per minute of what is chosen, known probabilities of what is sampled.

Chosen items (corrections, preferences) come dearest first. Sampled ones (blind) come in random order, so that whatever
part of them is done by Friday is itself a random sample.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from burnish.fingerprint import SHORT, fingerprint
from burnish.review.cost import GUESSED_MINUTES
from burnish.store.recent import Spent
from burnish.store.reviews import Queue, ReviewItem

SHARES: dict[Queue, float] = {"blind": 0.4, "correction": 0.4, "preference": 0.2}
"""Of reviewers' minutes, by queue (methods: three queues, one budget)."""
DOUBLE_SHARE = 0.15
"""Share of items that two reviewers answer."""
CHECK_SHARE = 0.1
"""Share of a correction queue that is hidden wrong drafts."""
LEAST_CAUGHT, FEWEST_CHECKS = 0.8, 5
UNIFORM_SHARE = 0.2
"""Part of each sampling probability that does not look at the row, so that none is ever zero."""
LEAST_PROBABILITY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What speaks for asking about a row, each from 0 to 1."""

    uncertainty: float
    """Probability that the draft is wrong, as far as a model can tell."""
    deficit: float = 0.0
    """How far the row's slice is below the best slice's score."""
    coverage: float = 0.0
    """How few rows of the row's slice were asked about: 1 for none."""
    disagreement: float = 0.0
    """How much models or judges differ on it."""


def value_of(worth: Worth, minutes: float) -> float:
    """Worth per minute: the chance to learn something, counted up to twice for a weak and for an unseen slice.

    uncertainty or disagreement, whichever is larger, x (1 + deficit) x (1 + coverage) / minutes. A product and no sum,
    so that a row that is surely right is never asked about because its slice is weak. A heuristic: nothing is
    estimated from it.
    """
    chance = max(worth.uncertainty, worth.disagreement)
    return chance * (1 + worth.deficit) * (1 + worth.coverage) / max(minutes, 1e-3)


def reason_of(worth: Worth, place: str = "") -> str:
    """Why a row is asked about, in one sentence; the strongest reason, without a word on whether its draft is wrong."""
    named = {
        "models differ on it": worth.disagreement,
        "the model is unsure of it": worth.uncertainty,
        f"answers are weaker {place or 'in its slice'} than elsewhere": worth.deficit,
        f"few rows {place or 'of its slice'} were looked at": worth.coverage,
    }
    why = max(named, key=lambda name: named[name])
    return f"Asked because {why}."


def coverage_of(slices: Sequence[str], asked: Sequence[str]) -> tuple[float, ...]:
    """Coverage still missing for each row, by its slice: 1 / (1 + rows of the slice asked about or ahead of it)."""
    seen = Counter(asked)
    found = []
    for one in slices:
        found.append(1 / (1 + seen[one]))
        seen[one] += 1
    return tuple(found)


def probabilities(uncertainty: Sequence[float], wanted: int) -> tuple[float, ...]:
    """The probability with which each row is to be drawn, their sum `wanted` (or all rows): more for uncertain ones.

    0.8 x proportional to `uncertainty` + 0.2 x uniform, at least 0.05 and at most 1 (active statistical inference,
    Zrnic and Candes 2024, arXiv 2403.03208; the mixture is theirs, the floor is ours). Estimates that weigh each answer
    by 1 / probability are unbiased whatever the uncertainties are worth. The floor makes the sum larger where wanted is
    below a twentieth of the rows.
    """
    count = len(uncertainty)
    if count == 0 or wanted >= count:
        return (1.0,) * count
    total = math.fsum(uncertainty)
    plain = [
        (1 - UNIFORM_SHARE) * (one / total if total > 0 else 1 / count) + UNIFORM_SHARE / count for one in uncertainty
    ]
    low, high = 0.0, wanted / min(plain)
    for _ in range(60):  # the scale at which the clipped probabilities sum to what is wanted, by bisection
        middle = (low + high) / 2
        if math.fsum(min(1.0, max(LEAST_PROBABILITY, middle * one)) for one in plain) < wanted:
            low = middle
        else:
            high = middle
    return tuple(min(1.0, max(LEAST_PROBABILITY, high * one)) for one in plain)


def draw(items: Sequence[ReviewItem], uncertainty: Sequence[float], wanted: int, *, seed: int) -> list[ReviewItem]:
    """About `wanted` blind items, each drawn on its own with the probability it carries, in random order.

    Independent draws (Poisson sampling): the number drawn varies by at most its square root or so.
    """
    assert all(item.queue == "blind" for item in items), "only blind items are sampled"
    drawn = []
    for item, chance in zip(items, probabilities(uncertainty, wanted), strict=True):
        random = Random(fingerprint([seed, "draw", item.name]))
        if random.random() < chance:
            drawn.append(replace(item, probability=chance, value=random.random()))
    return drawn


def doubled(items: Sequence[ReviewItem], *, seed: int, share: float = DOUBLE_SHARE) -> list[ReviewItem]:
    """The items, a share of them drawn at random for two reviewers."""
    return [
        replace(item, wanted=2)
        if item.wanted == 1 and Random(fingerprint([seed, "double", item.name])).random() < share
        else item
        for item in items
    ]


def with_checks(items: Sequence[ReviewItem], checks: Sequence[ReviewItem], *, seed: int) -> list[ReviewItem]:
    """Corrections with hidden wrong drafts among them, a tenth of all, spread over their order.

    A check takes value and reason of the item that it stands beside, so nothing on the page tells it apart. Fewer where
    there are not enough checks.
    """
    every = round((1 - CHECK_SHARE) / CHECK_SHARE)
    random, mixed = Random(fingerprint([seed, "checks", [item.name for item in items]])), list(items)
    ordered = sorted(items, key=lambda item: (-item.value, item.name))
    blocks = [ordered[at : at + every] for at in range(0, len(ordered), every)]
    full = [block for block in blocks if len(block) * 2 > every]
    for block, check in zip(full, random.sample(list(checks), len(checks)), strict=False):
        beside = random.choice(block)
        mixed.append(replace(check, is_check=True, value=beside.value, reason=beside.reason))
    return mixed


def named(item: ReviewItem) -> ReviewItem:
    """The item under the name that what it asks gives it."""
    asked = [
        item.queue,
        item.purpose,
        item.example,
        [[turn.role, turn.content] for turn in item.messages],
        [item.draft, item.other, item.given, item.settles, item.batch],
    ]
    return replace(item, name=fingerprint(asked)[: 2 * SHORT])


def queue_order(recent: Mapping[Queue, Spent]) -> tuple[Queue, ...]:
    """The queues, the one furthest below its share of people's time first, by what recent decisions took.

    A decision without a time, as those of sheets, counts as the guess.
    """
    spent: dict[Queue, float] = dict.fromkeys(SHARES, 0.0)
    for queue, one in recent.items():
        spent[queue] = one.seconds + 60 * GUESSED_MINUTES[queue] * one.num_untimed
    total = math.fsum(spent.values()) or 1.0
    return tuple(sorted(SHARES, key=lambda queue: spent[queue] / total - SHARES[queue]))


def is_misled(caught: int, answered: int) -> bool:
    """Whether a reviewer takes over too many wrong drafts: fewer than 8 in 10 caught, of five at least."""
    return answered >= FEWEST_CHECKS and caught < LEAST_CAUGHT * answered
