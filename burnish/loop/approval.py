"""Approval: where a project asks for it, a challenger that the gate passed waits until a person says yes or no.

The answer and its evidence go into the log of decisions in the same transaction as the move of the champion; the
round's files follow from it, so that a process that dies in between loses nothing.
"""

from dataclasses import replace

from burnish.errors import BusyError, UsageError
from burnish.loop.canary_end import end_overtaken
from burnish.loop.kept import demand_kept
from burnish.loop.logged import evidence_by_hand, evidence_of
from burnish.loop.past import RESULT_FILE, find_round, is_done, results, round_folder
from burnish.loop.project import Project
from burnish.loop.rendering import render
from burnish.loop.result import RoundResult, save_result
from burnish.records import Answer, ModelVersion
from burnish.registry import Approval, champion, history, promote
from burnish.store.chain import Entry, add_entry, find_entry
from burnish.store.failpoints import failpoint
from burnish.store.users import checked_name, users


def approve(project: Project, number: int, *, by: str, reason: str) -> RoundResult:
    """Puts the challenger of a waiting round into use; the same answer again finishes what a kill left open.

    Raises UsageError when the round does not wait, was answered otherwise, was judged against a champion that is none
    any more, or learned from a row that was forgotten since, and for somebody who may not approve.
    """
    result, by, entry = _asked(project, number, by, reason)
    if entry is None:
        _demand_fresh(project, result)
        demand_kept(project, result.challenger, otherwise="to close this one, refuse it")
        facts = {"by": by, "reason": reason.strip(), **evidence_of(project, result)}
        approval = Approval(approval_subject(number), facts, over=result.previous_champion)
        move = f"round {number}, approved by {by}"
        promote(project.store, result.challenger, reason.strip(), move, approval=approval)
        end_overtaken(project)
        failpoint("approval.written")
    return _settle(project, result, _same(entry, "approval", by) if entry else "approval")


def refuse(project: Project, number: int, *, by: str, reason: str) -> RoundResult:
    """Leaves the champion as it is, for good; the same answer again finishes what a kill left open.

    Raises UsageError as `approve` does, except that an answer of no is never too late.
    """
    result, by, entry = _asked(project, number, by, reason)
    if entry is None:
        facts = {"by": by, "reason": reason.strip(), **evidence_of(project, result)}
        with project.store.db.write() as connection:
            if find_entry(connection, approval_subject(number)) is not None:
                raise BusyError("another process has just decided", hint="see `burnish models`")
            add_entry(connection, "refusal", approval_subject(number), facts)
            failpoint("approval.refused")
        failpoint("approval.written")
    return _settle(project, result, _same(entry, "refusal", by) if entry else "refusal")


def settle_answered(project: Project) -> None:
    """Brings the files of rounds that were answered up to the log, where a process died before it could."""
    for result in _open_rounds(project):
        entry = _answer(project, result.round)
        if entry is not None:
            _settle(project, result, entry.kind)


def waiting(project: Project) -> list[RoundResult]:
    """Rounds whose challenger waits for an approval, oldest first, stale ones among them."""
    return [result for result in _open_rounds(project) if _answer(project, result.round) is None]


def answers(project: Project) -> dict[str, Answer]:
    """What people have said to each challenger that had to be approved, by its name."""
    return {result.challenger: result.approval for result in results(project) if result.approval}


def is_stale(project: Project, result: RoundResult) -> bool:
    """Whether a waiting round was judged against a champion that is none any more."""
    now = champion(project.store)
    return now is None or now.name not in (result.previous_champion, result.challenger)


def approval_by_hand(project: Project, version: ModelVersion, *, by: str, reason: str) -> Approval | None:
    """What a promotion by hand has to bring; None where the project asks for no approval.

    Raises UsageError for nobody and for somebody who may not approve.
    """
    if not project.settings.approval.required:
        return None
    now = champion(project.store)
    over = now.name if now else ""
    facts = {"by": demand_approver(project, by), "reason": reason.strip(), **evidence_by_hand(version, over)}
    return Approval(f"approval of move {len(history(project.store)) + 1}", facts, over=over)


def demand_approver(project: Project, by: str) -> str:
    """The name as it is kept. Raises UsageError for nobody and for somebody who may not approve here."""
    if not by.strip():
        raise UsageError(
            "this project asks for an approval before a model is put into use (approval.required)",
            hint="say who approves: --by NAME",
        )
    by, named = checked_name(by), project.settings.approval.by
    if named and by not in named:
        raise UsageError(f"{by} may not approve in this project", hint=f"approval.by names {', '.join(named)}")
    roles = {user.name: user.role for user in users(project.store)}
    if roles and roles.get(by) != "approver":
        found = f"{by} has the role {roles[by]}" if by in roles else f"there is no user {by}"
        there = ", ".join(name for name, role in roles.items() if role == "approver")
        raise UsageError(
            f"{found}, and an approval needs an approver",
            hint=f"approvers: {there}" if there else "add one: burnish users add NAME --role approver",
        )
    return by


def approval_subject(number: int) -> str:
    """What the log calls the answer of people to a round."""
    return f"round {number} approval"


def _asked(project: Project, number: int, by: str, reason: str) -> tuple[RoundResult, str, Entry | None]:
    """The round, whoever answers, and the answer that the log already has."""
    by, result = demand_approver(project, by), find_round(project, number)
    if not reason.strip():
        raise UsageError("an answer needs a reason", hint='say why: --reason "..."')
    if result.approval in ("", "withheld"):
        raise UsageError(
            f"round {number} does not wait for an approval: the gate said {result.decision}",
            hint="`burnish status` shows what waits",
        )
    if not is_done(project, number):
        raise UsageError(f"round {number} is not finished yet", hint="run `burnish round` again: it finishes it")
    return result, by, _answer(project, number)


def _open_rounds(project: Project) -> list[RoundResult]:
    """Rounds that wait as far as their files know."""
    return [result for result in results(project) if result.approval == "waiting" and is_done(project, result.round)]


def _answer(project: Project, number: int) -> Entry | None:
    with project.store.db.read() as connection:
        return find_entry(connection, approval_subject(number))


def _same(entry: Entry, kind: str, by: str) -> str:
    """The kind of an answer that is there already. Raises UsageError when it is another one."""
    if (entry.kind, entry.facts.get("by")) != (kind, by):
        done = "approved" if entry.kind == "approval" else "refused"
        raise UsageError(
            f"round {entry.facts['round']} was {done} by {entry.facts['by']} on {entry.at[:10]}",
            hint="an answer is given once; `burnish promote` and `burnish rollback` move the champion later",
        )
    return entry.kind


def _demand_fresh(project: Project, result: RoundResult) -> None:
    if is_stale(project, result):
        now = champion(project.store)
        raise UsageError(
            f"round {result.round} was judged against {result.previous_champion}, and "
            f"{now.name if now else 'nothing'} is champion now: its verdict does not compare the two",
            hint="run a new round against today's champion: burnish round --again; to close this one, refuse it",
        )


def _settle(project: Project, result: RoundResult, kind: str) -> RoundResult:
    """Writes the answer into the round's files; twice is the same as once."""
    approved = kind == "approval"
    settled = replace(
        result,
        approval="approved" if approved else "refused",
        champion=result.challenger if approved else result.previous_champion,
    )
    render(project, settled)
    failpoint("approval.rendered")
    save_result(round_folder(project, result.round) / RESULT_FILE, settled)
    return settled
