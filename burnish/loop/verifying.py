"""Verifiers of answers that are fields or texts: what must stand in the prompt, and votes on fields with few values.

What they are worth is measured as for labels: how many of people's rows they keep, and how many of the same rows with
one value of another row they drop, by fits that had not seen the row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from burnish.data.answers import parse_fields
from burnish.evaluate.items import items_in
from burnish.fingerprint import canonical_json, fingerprint
from burnish.loop.grounds import Grounds, grounds_of, objections, statements, values_of
from burnish.records import Example, Message, Task, as_json
from burnish.synthesize.ensemble import DISAGREED, LEAST_KEPT, Limits, agrees, limits_of, share_of
from burnish.synthesize.guards import Drop
from burnish.synthesize.votes import NUM_FOLDS, Voters, Votes, folds

EMPTY = "(none)"
"""How voters call a value that is null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Verdicts on made rows, and what they are worth."""

    drops: tuple[Drop, ...]
    verdicts: Mapping[str, Votes]
    """By row, what each voter believed of each field with few values."""
    quality: dict[str, Any] = field(default_factory=dict)
    """kept and caught (intervals over people's rows), num_unjudged and num_rows_unjudged (people's and made rows on
    which nothing could tell), checks, notes."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """The voters on one field with few values."""

    name: str
    voters: Voters
    limits: Limits


def verify_answers(
    rows: Sequence[Example], seeds: Sequence[Example], task: Task, *, parents: Mapping[str, Collection[str]]
) -> Checked:
    """The verdict on each row of a fields or text task; a row on which nothing can tell stays.

    `parents` names the seeds that a row was made from: no fit that saw one of them votes on it. Same arguments, same
    verdicts, whatever the order of the rows.
    """
    grounds = grounds_of(seeds, task)
    panels = [_panel(name, seeds, len(grounds.closed)) for name in grounds.closed]
    votes = {panel.name: panel.voters.of_rows([_valued(row, panel.name) for row in rows], parents) for panel in panels}
    drops, verdicts, num_unjudged = [], {}, 0
    for at, row in enumerate(rows):
        own = {panel.name: votes[panel.name][at] for panel in panels}
        against = [*objections(row, grounds), *_outvoted(row, own, panels)]
        drops += [Drop(row.id, against[0])] if against else []
        num_unjudged += not against and not _is_judged(row, grounds, own)
        if any(own.values()):
            verdicts[row.id] = {f"{name}: {voter}": vote for name, held in own.items() for voter, vote in held.items()}
    quality = {**_quality(seeds, task, panels), "num_rows_unjudged": num_unjudged}
    checks = [f"in the prompt: {', '.join(grounds.checked)}"] if grounds.checked else []
    checks += [f"voted on: {', '.join(grounds.closed)}"] if grounds.closed else []
    return Checked(
        drops=tuple(drops),
        verdicts=verdicts,
        quality={**quality, "checks": checks, "notes": list(grounds.notes)},
    )


def _panel(name: str, seeds: Sequence[Example], num_panels: int) -> _Panel:
    """Voters whose limits keep so many of people's rows that all panels together keep as many as are to stay."""
    voters = Voters([_valued(seed, name) for seed in seeds])
    values = {seed.id: _value(seed, name) for seed in seeds}
    limits = limits_of(voters.of_seeds(values), list(values.values()), LEAST_KEPT ** (1 / num_panels))
    return _Panel(name, voters, limits)


def _valued(row: Example, name: str) -> Example:
    """The row with the value of one field as its answer."""
    return replace(row, messages=(*row.prompt, Message(role="assistant", content=_value(row, name))))


def _value(row: Example, name: str) -> str:
    return values_of(row).get(name, "") or EMPTY


def _outvoted(row: Example, own: Mapping[str, Votes], panels: Sequence[_Panel]) -> list[str]:
    return [
        f"{DISAGREED}: {panel.name}"
        for panel in panels
        if own[panel.name] and not agrees(own[panel.name], _value(row, panel.name), panel.limits)
    ]


def _is_judged(row: Example, grounds: Grounds, own: Mapping[str, Votes]) -> bool:
    return any(own.values()) or any(one.part in grounds.checked for one in statements(row, grounds.task))


# What the verifiers are worth -----------------------------------------------------------------------------------------


def _quality(seeds: Sequence[Example], task: Task, panels: Sequence[_Panel]) -> dict[str, Any]:
    fold_of = folds(seeds, NUM_FOLDS)
    grounds = [grounds_of([seed for seed in seeds if fold_of[seed.id] != at], task) for at in range(NUM_FOLDS)]
    lies = {seed.id: lie for seed in seeds if (lie := corrupted(seed, seeds, task))}
    kept, caught, unjudged = [], [], 0
    plain = _votes(seeds, {}, panels)
    twisted = _votes(seeds, lies, panels)
    for seed in seeds:
        own = grounds[fold_of[seed.id]]
        if not _is_judged(seed, own, plain[seed.id]) and not objections(seed, own):
            unjudged += 1
            continue
        kept.append(not objections(seed, own) and not _outvoted(seed, plain[seed.id], panels))
        if lie := lies.get(seed.id):
            caught.append(bool(objections(lie, own) or _outvoted(lie, twisted[seed.id], panels)))
    return {
        "kept": as_json(share_of(sum(kept), len(kept))),
        "caught": as_json(share_of(sum(caught), len(caught))),
        "num_unjudged": unjudged,
    }


def _votes(
    seeds: Sequence[Example], lies: Mapping[str, Example], panels: Sequence[_Panel]
) -> dict[str, dict[str, Votes]]:
    """Votes on each seed, by fits that did not see it, under its own values or those of its lie."""
    found: dict[str, dict[str, Votes]] = {seed.id: {} for seed in seeds}
    for panel in panels:
        told = panel.voters.of_seeds({seed.id: _value(lies.get(seed.id, seed), panel.name) for seed in seeds})
        for seed, votes in zip(seeds, told, strict=True):
            found[seed.id][panel.name] = votes
    return found


def corrupted(seed: Example, seeds: Sequence[Example], task: Task) -> Example | None:
    """A row of people with one value of another row in place of its own, drawn by a hash; None where there is none."""
    random = Random(fingerprint(["swapped", seed.content_hash]))
    answer = _swapped_field(seed, seeds, random) if task.kind == "fields" else _swapped_item(seed, seeds, random)
    return replace(seed, messages=(*seed.prompt, Message(role="assistant", content=answer))) if answer else None


def _swapped_field(seed: Example, seeds: Sequence[Example], random: Random) -> str:
    own = parse_fields(seed.answer) or {}
    choices: dict[str, list[Any]] = {}
    for name, value in own.items():
        others = [parse_fields(other.answer) or {} for other in seeds]
        values = {canonical_json(one[name]): one[name] for one in others if one.get(name) is not None}
        values.pop(canonical_json(value), None)
        if value is not None and values:
            choices[name] = [values[key] for key in sorted(values)]
    if not choices:
        return ""
    name = random.choice(sorted(choices))
    return canonical_json({**own, name: random.choice(choices[name])}).decode()


def _swapped_item(seed: Example, seeds: Sequence[Example], random: Random) -> str:
    own = items_in(seed.answer)
    if not own:
        return ""
    item = random.choice(own)
    others = {one.key: one.text for other in seeds for one in items_in(other.answer) if one.kind == item.kind}
    texts = sorted(text for key, text in others.items() if key not in {one.key for one in own})
    if not texts:
        return ""
    return f"{seed.answer[: item.start]}{random.choice(texts)}{seed.answer[item.end :]}"
