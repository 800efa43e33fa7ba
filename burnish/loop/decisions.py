"""Which of people's decisions are in use, and the examples as they change them: answers corrected, strangers set aside.

The old answer stays in the file that it came in; a decision that is taken back brings it back.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from burnish.data.split import ASIDE
from burnish.loop.decided import NO_DECISIONS, SERVED, Decided, corrected, rows_of_decisions
from burnish.loop.project import Project
from burnish.loop.trusted import clean, decontaminator
from burnish.records import Example, Message, Preference, Task, Thumb
from burnish.synthesize.decontaminate import Decontaminator

Asked = TypeVar("Asked", Example, Preference, Thumb)


def decisions_in_use(
    project: Project,
    task: Task,
    by_role: Mapping[str, Sequence[Example]],
    made: Sequence[Example],
    protected: Sequence[Example],
) -> Decided:
    """The decisions about rows that train or are in dev_a now, about `made` rows and about served answers.

    The roles are those of the file.

    Their prompts train already, but for those of served answers: one too like a `protected` row is left out. So is an
    answer in people's own words that is too like one.
    """
    found = rows_of_decisions(project)
    if found == NO_DECISIONS:
        return found
    train = {row.id: row for row in by_role.get("train", ())}
    measuring = {row.id: row for row in by_role.get("dev_a", ())}
    served = _served(project, found, protected)
    found = found.about({*train, *measuring, *served, *(row.id for row in made)})
    service = decontaminator(project, protected) if task.kind == "text" else None
    answers = _corrections(service, train, measuring, found)
    taught = {row.content_hash for row in (*corrected(list(train.values()), answers), *made)}
    fresh = {row.content_hash: row for row in found.rows if row.content_hash not in taught}
    return Decided(
        rows=tuple(_clean(service, list(fresh.values()))),
        pairs=tuple(_clean(service, found.pairs)),
        judged=tuple(_clean(service, found.judged)),
        corrections=answers,
        out_of_scope=tuple(name for name in found.out_of_scope if name not in measuring and name not in served),
    )


def applied(by_role: Mapping[str, Sequence[Example]], decided: Decided) -> dict[str, Sequence[Example]]:
    """The examples by role with people's answers; rows of train that are out of scope are aside."""
    gone = set(decided.out_of_scope)
    found = {role: corrected(rows, decided.corrections) for role, rows in by_role.items()}
    train = found.get("train", [])
    if strangers := [row for row in train if row.id in gone]:
        found |= {"train": [row for row in train if row.id not in gone], ASIDE: [*found.get(ASIDE, []), *strangers]}
    return {**found}


def _corrections(
    service: Decontaminator | None, train: Mapping[str, Example], measuring: Mapping[str, Example], found: Decided
) -> dict[str, str]:
    """The answers that differ from those on file; one that would teach a protected text is left as it was."""
    rows = {**train, **measuring}
    new = {name: answer for name, answer in found.corrections.items() if rows[name].answer != answer}
    taught = corrected([train[name] for name in new if name in train], new)
    clean = {row.id for row in _clean(service, taught)}
    return {name: answer for name, answer in new.items() if name in measuring or name in clean}


def _served(project: Project, found: Decided, protected: Sequence[Example]) -> set[str]:
    """The served answers that people decided on and whose prompts are not too like a row that measures."""
    prompts = {row.group: row.prompt for row in found.rows}
    prompts |= {pair.group: pair.prompt for pair in found.pairs}
    prompts |= {thumb.group: thumb.prompt for thumb in found.judged}
    rows = [
        Example(id=name, messages=(*prompt, Message(role="assistant", content="")), group=name)
        for name, prompt in prompts.items()
        if name.startswith(SERVED)
    ]
    return {row.id for row, is_kept in zip(rows, clean(project, protected, rows), strict=False) if is_kept}


def _clean(service: Decontaminator | None, asked: Sequence[Asked]) -> list[Asked]:
    """Those whose answers are not too like a protected row; without a service all."""
    if service is None:
        return list(asked)
    texts = [[one.chosen, one.rejected] if isinstance(one, Preference) else [one.answer] for one in asked]
    keeps = iter(service.keep([text for own in texts for text in own]))
    answers = [[next(keeps) for _ in own] for own in texts]
    return [one for one, kept in zip(asked, answers, strict=True) if all(kept)]
