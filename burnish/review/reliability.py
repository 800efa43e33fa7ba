"""Who among the reviewers is right how often, without a gold label: Dawid and Skene's model; conflicts; fatigue.

A reviewer's accuracy here is about what the reviewers together make most likely. Where all share one mistake, it shows
no mistake: only gold rows slipped in among the items can find that.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from burnish.review.agreement import Rating, by_item
from burnish.stats.groups import Floats
from burnish.stats.many import holm
from burnish.stats.rates import Estimate, wilson

Codes = NDArray[np.intp]

MOST_STEPS = 500
TOLERANCE = 1e-6
SMOOTHING = 0.01
"""Answers added to every cell of a reviewer's table, so that no first answer of a kind is called impossible."""
LONGEST_SESSION_MINUTES = 75.0
"""People tire after 60 to 90 minutes."""
FEWEST_DECISIONS = 40
"""A session this short is not tested: two halves of 20 cannot show less than a fall of 30 points."""


class Reliability(NamedTuple):
    """One reviewer's table of errors."""

    reviewer: str
    accuracy: Estimate
    """Share of answers that are the likely label, n answers; Wilson's interval takes the labels as known, which is too
    narrow where few others answered the same items."""
    table: tuple[tuple[float, ...], ...]
    """Row: true label; column: answer; each row sums to 1."""


class Consensus(NamedTuple):
    """What a set of ratings makes of items and people."""

    labels: tuple[str, ...]
    shares: tuple[float, ...]
    """How common each label is."""
    posterior: dict[str, tuple[float, ...]]
    """Probability of each label, by item."""
    reviewers: tuple[Reliability, ...]
    num_steps: int

    def label_of(self, item: str) -> str:
        """The most likely label of an item; the first of equals."""
        return self.labels[int(np.argmax(self.posterior[item]))]


class Conflict(NamedTuple):
    """An item that no label has a majority on."""

    item: str
    answers: tuple[Rating, ...]
    """Whoever is asked next must be none of these people."""


class Decided(NamedTuple):
    """One decision of a session."""

    minute: float
    """Since the session began."""
    seconds: float
    is_right: bool | None = None
    """On items whose answer is known; None elsewhere."""


class Fatigue(NamedTuple):
    """Whether a reviewer should rest; `words` is empty where nothing was seen."""

    should_rest: bool
    words: str
    p_slower: float | None
    p_less_right: float | None


# Dawid and Skene ------------------------------------------------------------------------------------------------------


def consensus(ratings: Sequence[Rating]) -> Consensus:
    """Likely labels and every reviewer's table of errors by EM (Dawid and Skene 1979), from the shares of answers.

    Assumes that reviewers err on their own, given the label, and that most are right more often than not. Needs items
    with several answers: where each has one, all are taken to be right. 0.01 answers a cell are added to the tables.
    """
    assert ratings, "no ratings"
    ratings = sorted(ratings)
    items = sorted({rating.item for rating in ratings})
    people = sorted({rating.reviewer for rating in ratings})
    labels = sorted({rating.value for rating in ratings})
    item = np.searchsorted(items, [rating.item for rating in ratings])
    person = np.searchsorted(people, [rating.reviewer for rating in ratings])
    label = np.searchsorted(labels, [rating.value for rating in ratings])
    posterior = np.zeros((len(items), len(labels)))
    np.add.at(posterior, (item, label), 1.0)
    posterior /= posterior.sum(axis=1, keepdims=True)
    steps, moved = 0, math.inf
    while moved > TOLERANCE and steps < MOST_STEPS:
        shares, tables = _tables(posterior, item, person, label, len(people))
        renewed = _posterior(shares, tables, item, person, label, len(items))
        moved = float(np.abs(renewed - posterior).max())
        posterior, steps = renewed, steps + 1
    shares, tables = _tables(posterior, item, person, label, len(people))
    right = np.bincount(person, weights=posterior[item, label], minlength=len(people))
    answers = np.bincount(person, minlength=len(people))
    return Consensus(
        labels=tuple(labels),
        shares=tuple(shares.tolist()),
        posterior={name: tuple(row) for name, row in zip(items, posterior.tolist(), strict=True)},
        reviewers=tuple(
            Reliability(name, wilson(float(right[j]), int(answers[j])), tuple(map(tuple, tables[j].tolist())))
            for j, name in enumerate(people)
        ),
        num_steps=steps,
    )


def _tables(posterior: Floats, item: Codes, person: Codes, label: Codes, num_people: int) -> tuple[Floats, Floats]:
    """How common each label is, and P(answer | label) of each person: the M step."""
    k = posterior.shape[1]
    cells = np.full((num_people, k, k), SMOOTHING)
    np.add.at(cells.transpose(0, 2, 1), (person, label), posterior[item])
    return posterior.mean(axis=0), cells / cells.sum(axis=2, keepdims=True)


def _posterior(shares: Floats, tables: Floats, item: Codes, person: Codes, label: Codes, num_items: int) -> Floats:
    """P(label | answers) of each item: the E step, in logarithms."""
    logs = np.tile(np.log(np.maximum(shares, 1e-300)), (num_items, 1))
    np.add.at(logs, item, np.log(tables[person, :, label]))
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


# Conflicts ------------------------------------------------------------------------------------------------------------


def conflicts(ratings: Sequence[Rating]) -> tuple[Conflict, ...]:
    """Items with two or more answers of which none has more than half: another person has to look, oldest first."""
    found = []
    for item, given in by_item(ratings).items():
        values = [rating.value for rating in given]
        if len(values) >= 2 and 2 * max(values.count(value) for value in set(values)) <= len(values):
            found.append(Conflict(item, given))
    return tuple(found)


# Fatigue --------------------------------------------------------------------------------------------------------------


def fatigue(session: Sequence[Decided], alpha: float = 0.05) -> Fatigue:
    """Whether the later half of a session is slower, or less often right, than the earlier one, or the session long.

    One-sided Mann-Whitney of the seconds and Fisher's exact test of the known answers, Holm over the two. Assumes items
    in random order: harder items at the end look like fatigue. Ask at fixed points (every 40 decisions), since asking
    after each decision gives a false notice far more often than `alpha`.
    """
    minutes = session[-1].minute if session else 0.0
    slower = less_right = None
    if len(session) >= FEWEST_DECISIONS:
        half = len(session) // 2
        early, late = session[:half], session[half:]
        slower = float(
            stats.mannwhitneyu(
                [one.seconds for one in late],
                [one.seconds for one in early],
                alternative="greater",
                method="asymptotic",
            ).pvalue
        )
        less_right = _p_less_right(early, late)
    adjusted = holm([slower, less_right])
    words = []
    if adjusted[1] is not None and adjusted[1] < alpha:
        words.append("fewer of the known items were right in the later half of this session")
    if adjusted[0] is not None and adjusted[0] < alpha:
        words.append("decisions take longer than in the first half of this session")
    if minutes > LONGEST_SESSION_MINUTES:
        words.append(f"this session has lasted {minutes:.0f} minutes")
    return Fatigue(bool(words), "; ".join(words), slower, less_right)


def _p_less_right(early: Sequence[Decided], late: Sequence[Decided]) -> float | None:
    before = [one.is_right for one in early if one.is_right is not None]
    after = [one.is_right for one in late if one.is_right is not None]
    if min(len(before), len(after)) < 5:
        return None
    table = [[sum(after), len(after) - sum(after)], [sum(before), len(before) - sum(before)]]
    return float(stats.fisher_exact(table, alternative="less").pvalue)
