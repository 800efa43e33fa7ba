"""Models that learned from rows which were forgotten since: nothing that a person does puts one of them into use.

Only what taught a model counts. A row that chose, judged or measured it left nothing in its weights: figures of then
include the row, the model does not, and the next round measures without it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

from burnish.errors import UsageError
from burnish.grammar import agree
from burnish.loop.canary_end import end_overtaken
from burnish.loop.forget_served import is_served, served_rounds
from burnish.loop.project import Project
from burnish.loop.traces import round_traces
from burnish.registry import BASE, Move, history, line_of_champions, models, rollback
from burnish.store.barred import barred, newest_barred


def learned_since(project: Project) -> dict[str, int]:
    """Rows and served answers that each model learned from and that were forgotten since; models without any are left
    out."""
    gone = {one.example: one.batch for one in barred(project.store)}
    served = [name for name in gone if is_served(name)]
    rows = {name: batch for name, batch in gone.items() if not is_served(name)}
    traces = round_traces(project, rows) if rows else []
    traces += served_rounds(project, served) if served else []
    learned: Counter[str] = Counter()
    for trace in traces:
        learned[trace.challenger] += trace.learned
    return {name: number for name, number in learned.items() if number}


def tainted_of(project: Project) -> Callable[[tuple[str, ...]], Collection[str]]:
    """What tells which of some models learned from rows that were forgotten since, cheap enough for every request.

    All rounds are read when a row was forgotten since the last time, or other models are asked about, and else nothing.
    """

    @lru_cache(maxsize=1)
    def look(newest: tuple[int, str], names: tuple[str, ...]) -> Collection[str]:
        return learned_since(project).keys() & set(names)

    def among(names: tuple[str, ...]) -> Collection[str]:
        newest = newest_barred(project.store)
        return look(newest, names) if newest else ()

    return among


def way_out(project: Project, tainted: Collection[str]) -> str:
    """The command that puts the latest champion that is none of these into use; the untuned base, where all are."""
    names = [move.after for move in reversed(history(project.store)) if move.after not in tainted]
    name = names[0] if names else BASE
    passed = name == BASE or any(one.name == name and one.decision == "PROMOTE" for one in models(project.store))
    return f"burnish promote {name}{'' if passed else ' --force'}"


def demand_kept(project: Project, name: str, *, otherwise: str = "") -> None:
    """Raises UsageError for a model that learned from a row which was forgotten since; nothing forces it.

    The hint names a new round, and `otherwise`, or another model that may be used.
    """
    tainted = learned_since(project)
    if name in tainted:
        raise UsageError(
            not_used(name, tainted),
            hint="run a new round, which leaves them out: burnish round; "
            + (otherwise or f'or use one that did not: {way_out(project, tainted)} --reason "..."'),
        )


def not_used(name: str, tainted: Mapping[str, int]) -> str:
    """Why a model that is one of these is not put into use."""
    return f"{name} learned from {_rows(tainted[name])} forgotten since, so it is not put into use"


def roll_back(project: Project, *, reason: str, by: str = "user") -> Move:
    """Makes the last champion before this one champion again that learned from nothing forgotten since, and returns
    the move; its reason says which champions were passed over, and why. A canary against the one before ends.

    Raises UsageError without a reason, or when no such champion is left.
    """
    tainted, line = learned_since(project), line_of_champions(project.store)
    passed = []
    for name in reversed(line[:-1]):
        if name not in tainted:
            break
        passed.append(name)
    if passed and len(passed) == len(line) - 1:
        raise UsageError(
            f"every earlier champion learned from rows that were forgotten since: {', '.join(passed)}",
            hint="run a new round, which leaves them out: burnish round",
        )
    if passed and reason.strip():
        told = ", ".join(f"{name} learned from {_rows(tainted[name])}" for name in dict.fromkeys(passed))
        reason = f"{reason.strip()} (passed over: {told} forgotten since)"
    rollback(project.store, reason, by, passing=len(passed))
    end_overtaken(project)
    return history(project.store)[-1]


def _rows(number: int) -> str:
    return agree(number, "row that was", "rows that were")
