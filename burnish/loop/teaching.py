"""The teacher of a project at work on a batch: it writes rows, repairs those that others made, and solves them blind.

All that it says passes the same filters, verifiers and audit as any other row. What it is shown are rows of people in
train; rows that measure never leave the project.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from burnish.client.address import require_consent
from burnish.client.ask import Ask
from burnish.client.connection import connect
from burnish.client.purse import Purse, demand_limit
from burnish.client.teacher import Answer, Teacher
from burnish.client.traffic import Traffic
from burnish.config import EndpointSettings
from burnish.data.dedup import prompt_text
from burnish.data.provenance import HUMAN, provenance
from burnish.evaluate.terms import load_terms
from burnish.fingerprint import fingerprint
from burnish.loop.kit import TERMS_FILE
from burnish.loop.making import Making
from burnish.loop.project import Project
from burnish.loop.stages import Shop
from burnish.records import Cell, Example, Message, Task, as_json
from burnish.synthesize.cells import in_cell
from burnish.synthesize.made import Made, made_of
from burnish.synthesize.questions import (
    MOVE,
    ROWS_AN_ASK,
    Written,
    read_refined,
    read_written,
    refining,
    writing,
)

SHOTS = 5
"""Rows of people in a question."""
MOST_TERMS = 100
"""Words of the trade in a question."""
WARM = 1.0
"""Temperature of questions that want variety."""


def open_teacher(shop: Shop, settings: EndpointSettings, name: str) -> Teacher:
    """A teacher inside this round's budget; nothing is sent yet.

    Raises ConfigError for an address that nobody allowed, a key that is not set, or a price and a limit that are
    both missing.
    """
    require_consent(settings)
    demand_limit(settings, shop.budget, name)
    return Teacher(
        store=shop.project.store,
        connection=connect(settings),
        purse=Purse(budget=shop.budget, settings=settings, number=shop.number),
        traffic=Traffic(settings=settings, should_stop=shop.should_stop),
        talk=shop.talk,
    )


def people_of(shop: Shop) -> list[Example]:
    """Rows of people in train: what a teacher may see."""
    return [row for row in shop.seeds.of("train") if provenance(row) == HUMAN]


def approved_terms(project: Project) -> tuple[str, ...]:
    """Words of the trade that people approved in terms.yaml."""
    path = project.folder / TERMS_FILE
    return tuple(one.term for one in load_terms(path) if one.approved)[:MOST_TERMS] if path.is_file() else ()


@dataclass(kw_only=True)
class Teaching:
    """What a teacher does for one batch, and what that came to."""

    teacher: Teacher
    task: Task
    people: Sequence[Example]
    terms: Sequence[str] = ()
    repairs: bool = True
    """Whether it repairs rows that others made."""
    answers: list[Answer] = field(default_factory=list)
    """All that it said."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows of usable replies that were not taken, by the stable word of their reason."""

    @property
    def usd(self) -> float:
        """What the replies cost, whenever they were paid."""
        return sum(one.usd for one in self.answers)

    def make(self, cells: Sequence[Cell], seeds: Sequence[Example], seed: int) -> list[list[Made]]:
        """Rows for each cell; a reply that is of no use gives none."""
        plan = [(at, shots, ask) for at, cell in enumerate(cells) for shots, ask in self.questions(cell, seeds, seed)]
        found: list[list[Made]] = [[] for _ in cells]
        asks = [ask for _, _, ask in plan]
        answers = self._answers(asks, lambda text, at: self._written_fault(text, cells[plan[at][0]]), "teacher writes")
        for (at, shots, _), answer in zip(plan, answers, strict=True):
            rows, bad = read_written(answer.text, cells[at], self.task) if answer.text else ([], [])
            self.dropped.update(fault.split(":")[0] for fault in bad)
            for row in rows[: cells[at].count - len(found[at])]:
                found[at].append(_row(row, cells[at].answer, shots, answer, len(rows)))
        return found

    def questions(self, cell: Cell, seeds: Sequence[Example], seed: int) -> list[tuple[tuple[Example, ...], Ask]]:
        """The questions for a cell, each with the rows that it shows, the same for the same arguments."""
        own = [row for row in seeds if in_cell(row, cell) and provenance(row) == HUMAN]
        found = []
        for at in range(-(-cell.count // ROWS_AN_ASK)):
            random = Random(fingerprint(["teacher", seed, as_json(replace(cell, count=0)), at]))
            shots = tuple(random.sample(own, min(SHOTS, len(own))))
            messages = writing(cell, shots, self.task, terms=self.terms)
            found.append((shots, self._ask(messages, temperature=WARM, draw=at)))
        return found

    def refined(self, making: Making, is_wanted: Callable[[Made], bool]) -> Making:
        """The rows with those that are wanted repaired; one that the teacher gives up or spoils stays as it is."""
        places = [at for at, one in enumerate(making.made) if self.repairs and is_wanted(one)]
        if not places:
            return making
        asks = [self.repair(making.made[at].example) for at in places]
        answers = self._answers(asks, lambda text, _: read_refined(text, self.task)[1], "teacher repairs")
        repaired = {at: self._repaired(making.made[at], one) for at, one in zip(places, answers, strict=True)}
        found = Making(notes=making.notes)
        for at, made in enumerate(making.made):
            found.take([repaired.get(at, made)], making.cell_of[made.example.id])
        return found

    def repair(self, row: Example) -> Ask:
        """The question that repairs a row; it shows rows of people with the same answer."""
        near = [one for one in self.people if one.answer == row.answer] or list(self.people)
        shots = Random(fingerprint(["repair", row.id])).sample(near, min(SHOTS, len(near)))
        return self._ask(refining(row, shots, self.task, terms=self.terms))

    def notes(self) -> tuple[str, ...]:
        """What there is to say of the replies."""
        faults = Counter(one.fault.split(":")[0] for one in self.answers if one.fault)
        models = Counter(one.model for one in self.answers)
        told = [f"{count:,} replies of no use: {fault}" for fault, count in faults.most_common()]
        told += [f"{count:,} rows of replies left out: {fault}" for fault, count in self.dropped.most_common()]
        if len(models) > 1:
            told.append("several models answered: " + ", ".join(f"{name} {count:,}" for name, count in models.items()))
        return tuple(told)

    def _ask(self, messages: tuple[Message, ...], *, temperature: float = 0.0, draw: int = 0) -> Ask:
        most = self.teacher.settings.max_new_tokens
        return Ask(messages=messages, max_new_tokens=most, temperature=temperature, draw=draw)

    def _answers(self, asks: Sequence[Ask], check: Callable[[str, int], str], name: str) -> list[Answer]:
        found = self.teacher.answers(asks, check, name=name)
        self.answers += found
        return found

    def _written_fault(self, text: str, cell: Cell) -> str:
        rows, bad = read_written(text, cell, self.task)
        return "" if rows else bad[0]

    def _repaired(self, made: Made, answer: Answer) -> Made:
        row = read_refined(answer.text, self.task)[0] if answer.text else None
        if row is None:
            return made
        by_id = {one.id: one for one in self.people}
        parents = [by_id[name] for name in made.provenance.parents]
        at = max(place for place, turn in enumerate(made.example.messages) if turn.role == "user")
        turns = (*made.example.messages[:at], *_turns(row.text, row.answer))
        new = made_of(made.provenance.move, parents, turns, _own_slices(made, parents[0]))
        proof = replace(
            made.provenance,
            example=new.example.id,
            refiner=answer.model,
            unrefined=prompt_text(made.example),
            usd=made.provenance.usd + answer.usd,
        )
        return Made(new.example, proof)


def _row(row: Written, label: str, shots: Sequence[Example], answer: Answer, num_rows: int) -> Made:
    system = tuple(turn for turn in shots[0].prompt if turn.role == "system")
    turns = (*system, *_turns(row.text, row.answer or label))
    made = made_of(MOVE, shots, turns, {}, generator=answer.model, request=answer.key)
    return Made(made.example, replace(made.provenance, usd=answer.usd / num_rows))


def _turns(question: str, answer: str) -> tuple[Message, Message]:
    return Message(role="user", content=question), Message(role="assistant", content=answer)


def _own_slices(made: Made, parent: Example) -> Mapping[str, str]:
    return {name: value for name, value in made.example.slices.items() if parent.slices.get(name) != value}
