"""Whether the log of decisions holds, by itself and against what lies beside it: champion, users, canaries, rounds
on disk.

The chain shows what was changed, removed or moved inside it. That its end was cut shows only here: a move, a user or a
finished round is then without its entry. Whoever rewrites all of that together is found by a hash written down before.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from burnish.errors import UsageError
from burnish.loop.approval import approval_subject
from burnish.loop.logged import verdict_subject
from burnish.loop.past import is_done, results
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.records import as_json
from burnish.registry import champion, history
from burnish.store.chain import START, Break, Entry, broken_entries, entries, moves_hash
from burnish.store.deployments import canary_moves
from burnish.store.users import user_changes

SHORTEST_HEAD = 12
"""Characters of a hash that was written down."""
ANSWERS = {"approved": "approval", "refused": "refusal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheck:
    """What was found in the log of decisions."""

    num_entries: int
    head: str
    """Hash of the last entry: written down elsewhere, it proves later that nothing before it was changed."""
    breaks: tuple[Break, ...]


def check_log(project: Project, head: str = "") -> LogCheck:
    """Every place where the log does not hold; with `head`, also whether that earlier hash is still in it."""
    if head and len(head) < SHORTEST_HEAD:
        raise UsageError(f"the hash {head!r} is too short", hint=f"give at least its first {SHORTEST_HEAD} characters")
    chain = entries(project.store.db)
    breaks = broken_entries(chain)
    known = {entry.subject: entry for entry in chain if entry.kind}
    if head and not any(entry.hash.startswith(head.lower()) for entry in chain):
        breaks.append(Break(0, f"no entry has the hash {head}: the log is not the one that it was taken from"))
    if START in known and all(one.entry != known[START].seq for one in breaks):
        for look in (_moves, _champion, _users, _canaries, _rounds):
            breaks += look(project, known)
    return LogCheck(num_entries=len(chain), head=chain[-1].hash if chain else "", breaks=tuple(breaks))


def _moves(project: Project, known: Mapping[str, Entry]) -> Iterator[Break]:
    """Moves of the champion against their entries, and those from before the log against its start."""
    start = known[START].facts
    rows = [{"pointer": "champion", **as_json(move)} for move in history(project.store)]
    early = [row for row in rows if row["seq"] <= start["moves"]]
    if moves_hash(early) != start["moves_hash"]:
        yield Break(1, "the moves of the champion from before the log differ from what its first entry sealed")
    late = {int(row["seq"]): row for row in rows if row["seq"] > start["moves"]}
    yield from _paired(
        "move", late, known, lambda row: f"the move of the champion from {row['before']!r} to {row['after']!r}"
    )


def _champion(project: Project, known: Mapping[str, Entry]) -> Iterator[Break]:
    now, moves = champion(project.store), history(project.store)
    last = moves[-1].after if moves else ""
    if (now.name if now else "") != last:
        yield Break(0, f"the champion is {now.name if now else 'none'}, and the last move was to {last or 'none'}")


def _users(project: Project, known: Mapping[str, Entry]) -> Iterator[Break]:
    rows = {change.seq: as_json(change) for change in user_changes(project.store)}
    yield from _paired("user change", rows, known, lambda row: f"the change of the user {row['name']}")


def _canaries(project: Project, known: Mapping[str, Entry]) -> Iterator[Break]:
    rows = {move.seq: as_json(move) for move in canary_moves(project.store)}
    yield from _paired("canary move", rows, known, lambda row: f"the move of canary {row['canary']}")


def _paired(
    what: str,
    rows: Mapping[int, Mapping[str, object]],
    known: Mapping[str, Entry],
    told: Callable[[Mapping[str, object]], str],
) -> Iterator[Break]:
    """Rows of a table against the entries that were written with them, and the other way round."""
    subjects = {f"{what} {seq}": row for seq, row in rows.items()}
    for subject, row in subjects.items():
        entry = known.get(subject)
        if entry is None:
            yield Break(0, f"{told(row)} has no entry: the log was cut, or this was written past it")
        elif any(row.get(name) != value for name, value in entry.facts.items()):
            yield Break(entry.seq, f"{told(row)} differs from entry {entry.seq}")
    for subject, entry in known.items():
        if subject.startswith(f"{what} ") and subject not in subjects:
            yield Break(entry.seq, f"entry {entry.seq} is about {subject}, and there is none")


def _rounds(project: Project, known: Mapping[str, Entry]) -> Iterator[Break]:
    """Finished rounds on disk against their verdicts and answers, and the other way round."""
    decided = {result.round: result for result in results(project)}
    for number, result in decided.items():
        if number > known[START].facts["rounds"] and is_done(project, number):
            yield from _round(result, known)
    for entry in known.values():
        if entry.kind == "verdict" and entry.facts.get("round") not in decided:
            yield Break(entry.seq, f"entry {entry.seq} is about round {entry.facts.get('round')}, which is not on disk")


def _round(result: RoundResult, known: Mapping[str, Entry]) -> Iterator[Break]:
    verdict = known.get(verdict_subject(result.round))
    told = {"decision": result.decision, "challenger_hash": result.challenger_hash, "key": result.key}
    if verdict is None:
        yield Break(0, f"round {result.round} on disk has no entry: the log was cut")
    elif any(verdict.facts.get(name) != value for name, value in told.items()):
        yield Break(verdict.seq, f"round {result.round} on disk differs from entry {verdict.seq}")
    answer = known.get(approval_subject(result.round))
    if result.approval in ANSWERS and (answer is None or answer.kind != ANSWERS[result.approval]):
        seq = answer.seq if answer else 0
        yield Break(seq, f"round {result.round} on disk says {result.approval}, and no entry does")
