"""What the log of decisions comes to: which decisions hold, what each says, and where reviewers disagree.

Everything here is computed from the log, so it can be thrown away: the same log gives the same state.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from burnish.store.reviews import ReviewDecision, ReviewItem

Says = tuple[str, str]
"""What a decision says of an item, to be compared with what others say: (kind of statement, answer)."""


class Holding(NamedTuple):
    """Whose decision holds on what."""

    item: str
    reviewer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all answers to one item come to, those of its adjudication with them; skips are no answers."""

    item: ReviewItem
    decisions: tuple[ReviewDecision, ...]
    """Those that hold, in the order in which they were made."""
    settled: ReviewDecision | None
    """The first of those that agree, once more than half of the answers do; None: nothing is settled yet."""
    is_conflict: bool
    """As many answers as are wanted are there, and no more than half agree."""

    @property
    def num_answers(self) -> int:
        """Answers to the item itself, skips and adjudications apart."""
        return sum(one.kind != "skip" and one.item == self.item.name for one in self.decisions)

    @property
    def answer(self) -> str | None:
        """The answer that people hold right; None: nothing is settled, or none was given."""
        return answer_of(self.item, self.settled) if self.settled else None


def replay(log: Iterable[ReviewDecision]) -> dict[Holding, ReviewDecision]:
    """The decision that holds for each item and reviewer, in the order in which items and reviewers first came up.

    An entry out of turn is a bug or a forgery, and an AssertionError.
    """
    turns: dict[Holding, int] = {}
    held: dict[Holding, ReviewDecision | None] = {}
    for entry in log:
        key = Holding(entry.item, entry.reviewer)
        assert entry.turn == turns.get(key, 0) + 1, f"entry {entry.seq} has turn {entry.turn} after {turns.get(key, 0)}"
        assert (entry.kind == "undo") == (entry.turn % 2 == 0), f"entry {entry.seq} is {entry.kind} in {entry.turn}"
        turns[key] = entry.turn
        held[key] = None if entry.kind == "undo" else entry
    return {key: entry for key, entry in held.items() if entry is not None}


def outcomes(items: Sequence[ReviewItem], log: Iterable[ReviewDecision]) -> list[Outcome]:
    """What came of each item, in the order in which they were asked; adjudications count for what they settle."""
    own: dict[str, list[ReviewDecision]] = defaultdict(list)
    settles = {item.name: item.settles for item in items if item.settles}
    for (name, _), decision in replay(log).items():
        own[name].append(decision)
        if name in settles:
            own[settles[name]].append(decision)
    return [_outcome(item, sorted(own[item.name], key=lambda one: one.seq)) for item in items]


def answer_of(item: ReviewItem, decision: ReviewDecision) -> str | None:
    """The answer that a decision holds right; None: it gives none."""
    if decision.kind in ("label", "edit", "gold-wrong"):
        return decision.text
    return {"accept": item.draft, "prefer-a": item.draft, "prefer-b": item.other}.get(decision.kind)


def says(item: ReviewItem, decision: ReviewDecision) -> Says:
    """What a decision says: an accepted draft and the same answer typed in say the same, whatever keys were pressed."""
    answer = answer_of(item, decision)
    if item.queue == "preference" or answer is None:
        return decision.kind, ""
    return "answer", " ".join(answer.split())


def conflicts(found: Sequence[Outcome]) -> list[Outcome]:
    """Items whose reviewers disagree and that nobody was asked to settle yet."""
    asked = {one.item.settles for one in found}
    return [one for one in found if one.is_conflict and one.item.name not in asked and not one.item.settles]


def catches(found: Sequence[Outcome]) -> Mapping[str, tuple[int, int]]:
    """(hidden wrong drafts not accepted, all of them answered) by reviewer: below 0.8 drafts mislead this reviewer."""
    seen: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    for one in found:
        for decision in one.decisions:
            if one.item.is_check and decision.item == one.item.name and decision.kind != "skip":
                seen[decision.reviewer] += 1
                caught[decision.reviewer] += answer_of(one.item, decision) != one.item.draft
    return {reviewer: (caught[reviewer], count) for reviewer, count in seen.items()}


def _outcome(item: ReviewItem, decisions: Sequence[ReviewDecision]) -> Outcome:
    counted = [one for one in decisions if one.kind != "skip"]
    told = Counter(says(item, one) for one in counted)
    best = told.most_common(1)[0] if told else None
    is_full = len(counted) >= item.wanted
    is_settled = best is not None and is_full and 2 * best[1] > len(counted)
    settled = next(one for one in counted if best and says(item, one) == best[0]) if is_settled else None
    return Outcome(
        item=item, decisions=tuple(decisions), settled=settled, is_conflict=is_full and bool(told) and not is_settled
    )
