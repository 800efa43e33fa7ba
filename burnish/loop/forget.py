"""Forgetting an example: bar it and all that was made from it, say what it touched, and plan what to make again.

A barred row is left out wherever examples are loaded, so the next round trains and measures without it. Its text stays
in the sealed files in which it came: they are verified by their hashes, and rewriting one would break every later one.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from burnish.data.dataset import every_row, load_examples, set_hash
from burnish.errors import UsageError
from burnish.loop.forget_served import BATCH, is_served, served_example, served_rounds, take_away
from burnish.loop.forgotten import SHOWN, Forgotten
from burnish.loop.project import Project
from burnish.loop.seeds import is_vault
from burnish.loop.traces import (
    RowTrace,
    descendants,
    evaluation_traces,
    model_traces,
    report_traces,
    round_traces,
)
from burnish.records import Example
from burnish.registry import BASE, history, models
from burnish.store.barred import Barred, bar, barred
from burnish.store.failpoints import failpoint
from burnish.store.looks import append_look, finish_look, looks
from burnish.store.roles import current_roles
from burnish.talk import Silence, Talk

NO_REASON = "no reason given"
TEXT_STAYS = (
    "The text stays on this disk in the sealed batch, in the evaluations and reports named above, in trained weights, "
    "and in whatever was exported: burnish does not rewrite sealed files."
)
SERVED_TEXT_STAYS = (
    "The answer and the feedback on it are deleted. What people were asked about it stays in the log of the review, "
    "copies of the database keep it for a week, and trained weights and exports for good."
)


def forget(
    project: Project, example: str, *, reason: str = "", dry_run: bool = False, talk: Talk | None = None
) -> Forgotten:
    """Bars an example and its descendants in one transaction, and says what they touched; a dry run only says.

    Done again it changes nothing and says so. Raises UsageError with near ids when there is no such example, BusyError
    while another process works on the project.
    """
    if dry_run:
        return _found(project, example, reason, dry_run=True)
    with project.store.lock(talk or Silence()):
        found = _found(project, example, reason, dry_run=False)
        if not found.is_new:
            take_away(project, example)
            return found
        rows = {row.example: row.batch for row in found.rows}
        _keep_looks(project, rows)
        failpoint("forget.looks")
        bar(project.store, rows, asked=example, reason=reason.strip() or NO_REASON)
        failpoint("forget.barred")
        take_away(project, example)
        entry = _entry(project, example)
    assert entry is not None, example
    return replace(found, at=entry.at, reason=entry.reason)


def bar_late_descendants(project: Project) -> int:
    """Bars rows that came after their parent was barred, such as of a batch then in the making; returns how many.

    For the beginning of a round. Each gets the reason of the example that a person asked for.
    """
    known = barred(project.store)
    ids, count = {one.example for one in known}, 0
    for asked, reason in dict.fromkeys((one.asked, one.reason) for one in known):
        roots = {one.example for one in known if one.asked == asked}
        made = {row: batch for row, (_, batch) in descendants(project.store, roots).items() if row not in ids}
        if made:
            _keep_looks(project, made)
            count += bar(project.store, made, asked=asked, reason=reason)
    return count


def _found(project: Project, example: str, reason: str, *, dry_run: bool) -> Forgotten:
    """Everything that is to be said, with nothing changed."""
    entry = _entry(project, example)
    held = _rows_of(project, example)
    rows = {row.example: row.batch for row in held.rows}
    rounds = served_rounds(project, [example]) if is_served(example) else round_traces(project, rows)
    touched = model_traces(project, rounds)
    found = Forgotten(
        example=example,
        reason=entry.reason if entry else reason.strip() or NO_REASON,
        at=entry.at if entry else "",
        is_new=entry is None,
        dry_run=dry_run,
        rows=held.rows,
        same_group=held.same_group,
        rounds=tuple(rounds),
        models=tuple(touched),
        evaluations=tuple(evaluation_traces(project, held.examples)),
        reports=tuple(report_traces(project, held.examples)),
        plan=(),
    )
    return replace(found, plan=tuple(_plan(project, found)))


def _entry(project: Project, example: str) -> Barred | None:
    return next((one for one in barred(project.store) if one.example == example), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The rows to leave out, and the examples that they are where their rows were found."""

    rows: tuple[RowTrace, ...]
    examples: Mapping[str, Example | None]
    same_group: tuple[str, ...]


def _rows_of(project: Project, example: str) -> _Held:
    """The example and all that was made from it. Raises UsageError with near ids when there is no such example."""
    if is_served(example):
        trace = RowTrace(example=example, batch=BATCH, role="train")
        return _Held(rows=(trace,), examples={example: served_example(project, example)}, same_group=())
    made = descendants(project.store, {example})
    roles = current_roles(project.store)
    root: tuple[str, Example] | None = None
    examples: dict[str, Example | None] = dict.fromkeys([example, *made])
    groups: dict[str, str] = {}
    for batch, row in every_row(project.store):
        groups[row.id] = row.group
        if row.id in examples:
            examples[row.id] = row
        if row.id == example:
            root = (batch.name, row)
    if root is None:
        raise _unknown(example, list(groups))
    rows = [RowTrace(example=example, batch=root[0], role=roles.get(example, ""))]
    rows += [
        RowTrace(example=row, batch=batch, role=roles.get(row, ""), made_from=parent)
        for row, (parent, batch) in made.items()
    ]
    gone = {*examples, *(one.example for one in barred(project.store))}
    group = root[1].group
    same = tuple(sorted(row for row, of in groups.items() if of == group and row not in gone))
    return _Held(rows=tuple(rows), examples=examples, same_group=same)


def _unknown(example: str, ids: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(example, ids, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"there is no example {example!r}", hint=f"{hint}ids are in `burnish data show`")


def _keep_looks(project: Project, rows: Mapping[str, str]) -> None:
    """Writes the looks into each vault that loses a row down for what is left of it: fewer rows, no fresh attempts."""
    roles, store = current_roles(project.store), project.store
    vaults: dict[str, list[Example]] = {}
    for example in load_examples(store):
        if is_vault(role := roles.get(example.id, "")):
            vaults.setdefault(role, []).append(example)
    for held in vaults.values():
        left = [example for example in held if example.id not in rows]
        if len(left) == len(held) or not left:
            continue
        for look in looks(store, set_hash(held)):
            again = append_look(store, set_hash(left), look.attempt, look.challenger_hash, look.alpha)
            if look.decision is not None:
                finish_look(store, again, look.decision)


# The plan -------------------------------------------------------------------------------------------------------------


def _plan(project: Project, found: Forgotten) -> list[str]:
    steps = []
    champion = found.champion
    learned = [model.name for model in found.models if model.use == "learned" and not model.is_champion]
    if not found.rounds:
        steps.append("No round used the rows, so nothing has to be made again.")
    elif champion is None:
        steps.append("The champion was not made with the rows. The next round measures and trains without them.")
    elif champion.use == "learned":
        steps.append(
            f"The champion {champion.name} learned from them: run `burnish round`, which trains without them. It stays "
            "in use until a challenger is promoted."
        )
        steps.append(f"To stop using it at once: {_way_back(project, found)}")
    else:
        steps.append(
            f"The champion {champion.name} learned nothing from them, but was {champion.use} with their help: "
            "`burnish round` measures without them."
        )
    if learned:
        steps.append(f"Promote none of these, which learned from them: {', '.join(learned)}.")
    if repeated := [str(trace.round) for trace in found.rounds]:
        steps.append(f"Figures of round {', '.join(repeated)} include them and are not made again; later ones do not.")
    if vaults := sorted({row.role for row in found.rows if is_vault(row.role)}):
        steps.append(f"{', '.join(vaults)} loses rows; the challengers that it judged stay counted.")
    if found.same_group:
        steps.append(f"Other rows of the same group stay; forget each of them too if it is meant: {_few(found)}.")
    steps.append(SERVED_TEXT_STAYS if is_served(found.example) else TEXT_STAYS)
    return steps


def _few(found: Forgotten) -> str:
    more = len(found.same_group) - SHOWN
    return ", ".join(found.same_group[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _way_back(project: Project, found: Forgotten) -> str:
    """The command that puts the latest champion that learned nothing from the rows in its place."""
    tainted = {model.name for model in found.models if model.use == "learned"}
    earlier = [move.after for move in reversed(history(project.store)) if move.after not in tainted]
    name = earlier[0] if earlier else BASE
    passed = name == BASE or any(one.name == name and one.decision == "PROMOTE" for one in models(project.store))
    force = "" if passed else " --force"
    return f'`burnish promote {name}{force} --reason "forget {found.example}"`.'
