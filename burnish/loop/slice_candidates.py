"""Candidate slices: what alarms suggest, what later traffic and people's answers say of it, and what people decide.

Evidence never rests on the texts that suggested a slice. How common it is, requests since then say; how well it is
answered, people who were asked about some of them by chance, and in a round dev_a and dev_b.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from burnish.errors import UsageError
from burnish.loop.approval import demand_approver
from burnish.loop.decided import reviewed
from burnish.loop.flywheel import is_by_slice
from burnish.loop.project import Project
from burnish.loop.requests import Request, requests_of
from burnish.loop.traffic_slices import KIND, Act, SliceDecision, TrafficSlice, mark_of, slice_decisions
from burnish.loop.watch_state import logged_alarms
from burnish.monitor.alarms import Alarm, Suggestion
from burnish.monitor.risk import evidence_above, risk_interval
from burnish.records import Interval, Message, as_json
from burnish.review.decisions import Outcome
from burnish.stats.rates import clopper_pearson, mean_interval
from burnish.store.chain import add_entry, find_entry
from burnish.store.failpoints import failpoint
from burnish.store.users import checked_name

MOST_LATER = 5_000
"""Requests after the first suggestion that are counted: a page has to show them at once."""


MARKS = re.compile(r"\W+")
"""What a name has no part of: it is typed in a shell."""
USUAL_LEVEL = 0.05 / 1000
"""Of the limits of a slice's share of the project's rows: its terms were picked for being rare there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSlice:
    """A slice that traffic suggests, with its evidence."""

    name: str
    terms: tuple[str, ...]
    state: Literal["candidate", "accepted", "dismissed"]
    alarm: str
    """Name of the first alarm that suggested it."""
    at: str
    """When that was."""
    num_alarms: int
    """That named it since."""
    num_texts: int
    """Different texts that suggested it; none of them is counted below."""
    share: Interval
    """Of the window that suggested it."""
    usual: Interval
    """Share of rows of train, dev_a and dev_b, at a level that leaves room for a choice among a thousand terms."""
    later: Interval
    """Share of requests since, by bounds that hold at every look."""
    evidence: float
    """E-value against "no more common than the upper limit of `usual`", from later requests."""
    is_confirmed: bool
    """Whether later requests prove that it is more common than it was."""
    bar: float
    """Evidence that is proof: with this bar for the first, second, third candidate, the chance that any is ever taken
    for common by mistake is `watch.alpha` for all of them together."""
    answered: Interval
    """Share of right answers among later requests that people were asked about by chance."""
    by: str = ""
    """Who accepted or dismissed it."""
    reason: str = ""


class _Proposed(NamedTuple):
    slice: TrafficSlice
    num_alarms: int


def candidate_slices(project: Project) -> tuple[CandidateSlice, ...]:
    """Every slice that an alarm has suggested, oldest first, as traffic and people's answers stand now."""
    decisions = slice_decisions(project)
    proposed = _proposed(logged_alarms(project), decisions)
    if not proposed:
        return ()
    start = min(one.slice.after for one in proposed)
    later = list(islice(requests_of(project, None, start), MOST_LATER))
    asked = [one for one in reviewed(project) if is_by_slice(one.item) and one.settled]
    last = {one.slice.name: one for one in decisions}
    alpha = project.settings.watch.alpha
    return tuple(
        _candidate(one, later, asked, last.get(one.slice.name), (number + 1) * number / alpha)
        for number, one in enumerate(proposed, start=1)
    )


def decide_slice(project: Project, name: str, act: Act, *, by: str, reason: str) -> CandidateSlice:
    """Writes into the log of decisions that a slice is used from now on, or is not; the same again changes nothing.

    Raises UsageError for an unknown slice, without a name or a reason, and for somebody who may not approve where
    approval is required.
    """
    by = demand_approver(project, by) if project.settings.approval.required else checked_name(by)
    if not reason.strip():
        raise UsageError("a decision about a slice needs a reason", hint='say why: --reason "..."')
    decisions = slice_decisions(project)
    known = {one.slice.name: one.slice for one in _proposed(logged_alarms(project), decisions)}
    if name not in known:
        shown = ", ".join(sorted(known)) or "none yet: `burnish watch` looks for them"
        raise UsageError(f"there is no slice {name[:40]!r}", hint=f"candidates are {shown}")
    _append(project, known[name], {"act": act, "by": by, "reason": reason.strip()})
    return next(one for one in candidate_slices(project) if one.name == name)


def _append(project: Project, one: TrafficSlice, said: Mapping[str, str]) -> None:
    with project.store.db.write() as connection:
        number, before = 1, ""
        while entry := find_entry(connection, f"slice {one.name}, decision {number}"):
            number, before = number + 1, entry.facts["act"]
        if before != said["act"]:
            subject = f"slice {one.name}, decision {number}"
            add_entry(connection, KIND, subject, {**said, "slice": as_json(one)})
            failpoint("slice.decided")


def _proposed(alarms: Sequence[Alarm], decisions: Sequence[SliceDecision]) -> list[_Proposed]:
    """What alarms suggest, one for all suggestions with a term in common: the first says what it is.

    What was decided is known from the log of decisions, also where the log of alarms is gone.
    """
    found: list[_Proposed] = []
    known = {one.slice.name: one.slice for one in decisions}
    for alarm in alarms:
        for told in (cluster.suggests for cluster in alarm.clusters if cluster.suggests):
            at = next((at for at, one in enumerate(found) if set(told.terms) & set(one.slice.terms)), None)
            if at is None:
                found.append(_Proposed(_slice_of(alarm, told, known), 1))
                known[found[-1].slice.name] = found[-1].slice
            else:
                found[at] = found[at]._replace(num_alarms=found[at].num_alarms + 1)
    listed = {one.slice.name for one in found}
    return [*found, *(_Proposed(one, 0) for name, one in known.items() if name not in listed)]


def _slice_of(alarm: Alarm, told: Suggestion, known: Mapping[str, TrafficSlice]) -> TrafficSlice:
    """The suggested slice under its name; as it was decided on where that is known."""
    name = _name(told.terms, {name: one.terms for name, one in known.items()})
    return known.get(name) or TrafficSlice(
        name=name,
        num_window=alarm.last - alarm.first + 1,
        after=alarm.last,
        alarm=alarm.id,
        at=alarm.at,
        **as_json(told),
    )


def _name(terms: Sequence[str], taken: Mapping[str, Sequence[str]]) -> str:
    """The first term, as many more as it takes to be new, and then a number."""
    plain = [MARKS.sub("-", term).strip("-") or "term" for term in terms]
    names = ["-".join(plain[: count + 1]) for count in range(len(plain))]
    names += [f"{names[-1]}-{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in names if taken.get(name, terms) == terms)


def _candidate(
    one: _Proposed, later: Sequence[Request], asked: Sequence[Outcome], said: SliceDecision | None, bar: float
) -> CandidateSlice:
    place, marks = one.slice, set(one.slice.marks)
    since = (row.text for row in later if row.seq > place.after)
    inside = [float(place.holds(text)) for text in since if mark_of(text) not in marks]
    usual = clopper_pearson(place.num_usual, place.of_usual, USUAL_LEVEL)
    evidence = evidence_above(inside, min(0.99, usual.high or 0.0))
    return CandidateSlice(
        name=place.name,
        terms=place.terms,
        state=said.act if said else "candidate",
        alarm=place.alarm,
        at=place.at,
        num_alarms=one.num_alarms,
        num_texts=len(marks),
        share=Interval(value=place.share, low=None, high=None, n=place.num_window),
        usual=Interval(**usual._asdict()),
        later=Interval(**risk_interval(inside)._asdict()),
        evidence=evidence,
        is_confirmed=evidence >= bar,
        bar=bar,
        answered=Interval(**mean_interval(list(_right(place, asked)))._asdict()),
        by=said.by if said else "",
        reason=said.reason if said else "",
    )


def _right(one: TrafficSlice, asked: Sequence[Outcome]) -> Iterator[float]:
    for told in asked:
        text = _text(told.item.messages)
        if told.answer is not None and one.holds(text) and mark_of(text) not in one.marks:
            yield float(told.answer.strip() == told.item.given.strip())


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(turn.content for turn in messages if turn.role == "user")
