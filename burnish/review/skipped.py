"""Questions that everybody who may answer them has skipped: nobody waits for these, and nothing is made of them.

An audit counts such a row as not right. Rows are skipped because they are hard to judge, so they are not missing at
random: left out, or with others drawn in their place, the sample would speak of easy rows alone and its bound would be
too high. Right rows among those answered are never more than those in the sample, so with the skipped ones as wrong
the bound of Clopper and Pearson stays a lower bound, as it does with "cannot tell" on a sheet.
"""

from collections.abc import Mapping, Sequence

from burnish.review.decisions import Outcome
from burnish.review.queue import is_misled
from burnish.store.recent import checks_of, recent_of
from burnish.store.store import Store
from burnish.store.users import users

Part = tuple[str, str]
"""Purpose and batch: questions that are asked together."""


def is_skipped(one: Outcome) -> bool:
    """Whether somebody's skip holds on an item that lacks an answer."""
    skips = [made for made in one.decisions if made.kind == "skip" and made.item == one.item.name]
    return bool(skips) and one.num_answers < one.item.wanted


def unanswerable(store: Store, found: Sequence[Outcome]) -> frozenset[str]:
    """Names of the items that lack an answer and that everybody who may give one has skipped, or answered already.

    Who may: of users the reviewers, and engineers who have decided anything; without users everybody who has decided
    something since the first decision on a question of the same purpose and batch. Not those that an item is kept from,
    nor for a correction those whom drafts mislead. `found` holds all items with a decision. A skip that is taken back,
    or somebody new, makes a question answerable again.
    """
    skipped = [one for one in found if is_skipped(one)]
    if not skipped:
        return frozenset()
    people = _people(store, found)
    every = {name for part in people.values() for name in part}
    misled = {name for name in every if is_misled(*checks_of(recent_of(store, name)))}
    return frozenset(one.item.name for one in skipped if not _left(one, people[_part(one)], misled))


def _left(one: Outcome, people: set[str], misled: set[str]) -> set[str]:
    """Who may still answer an item."""
    kept_from = {*one.item.not_by, *(misled if one.item.queue == "correction" else ())}
    return people - kept_from - {made.reviewer for made in one.decisions if made.item == one.item.name}


def _people(store: Store, found: Sequence[Outcome]) -> Mapping[Part, set[str]]:
    """Who answers questions of each part."""
    first: dict[Part, int] = {}
    last: dict[str, int] = {}
    for one in found:
        for made in one.decisions:
            first[_part(one)] = min(made.seq, first.get(_part(one), made.seq))
            last[made.reviewer] = max(made.seq, last.get(made.reviewer, 0))
    named = users(store)
    asked = {one.name for one in named if one.role == "reviewer" or (one.role == "engineer" and one.name in last)}
    return {part: asked if named else {name for name in last if last[name] >= since} for part, since in first.items()}


def _part(one: Outcome) -> Part:
    return one.item.purpose, one.item.batch
