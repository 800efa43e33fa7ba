"""Blind solutions of made rows: a row stays when a model that does not see its answer comes to it most of the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from burnish.client.ask import Ask
from burnish.client.teacher import Answer, Teacher
from burnish.evaluate.scorers import score
from burnish.fingerprint import fingerprint
from burnish.loop.teaching import SHOTS
from burnish.records import Example, Task, as_json
from burnish.synthesize.ensemble import share_of
from burnish.synthesize.guards import Drop
from burnish.synthesize.questions import read_solved, solving

SOLVED_OTHERWISE = "solved-otherwise"
"""A model that did not see the answer came to another one."""
ENOUGH = 2 / 3
"""Share of solutions that must come to the row's answer."""
SAME_TEXT = 0.5
"""Score of a free text from which on it counts as the same answer."""
CHECKED_ON = 30
"""Rows of people on which the solver is measured, one solution each."""
VERIFIER = "solver"
"""Its name among the verdicts of a row."""
SOLVER_WARMTH = 0.7


@dataclass(kw_only=True)
class Solver:
    """A large model as verifier, measured on rows of people before it judges."""

    teacher: Teacher
    task: Task
    people: Sequence[Example]
    draws: int
    answers: list[Answer] = field(default_factory=list)
    verdicts: dict[str, float] = field(default_factory=dict)
    """Share of solutions that came to a row's answer."""
    quality: dict[str, Any] = field(default_factory=dict)

    @property
    def usd(self) -> float:
        """What the solutions cost, whenever they were paid."""
        return sum(one.usd for one in self.answers)

    def drops(self, rows: Sequence[Example]) -> list[Drop]:
        """The rows that fewer than two thirds of the solutions agree with; a useless reply agrees with nothing."""
        if not rows:
            return []
        self._measure()
        asks = [self.question(row, draw) for row in rows for draw in range(self.draws)]
        told = self.ask(asks, "verifier solves")
        for at, row in enumerate(rows):
            agreed = [self._agrees(row, one) for one in told[at * self.draws : (at + 1) * self.draws]]
            self.verdicts[row.id] = sum(agreed) / self.draws
        return [
            Drop(row.id, f"{SOLVED_OTHERWISE}: {self.verdicts[row.id]:.0%} of {self.draws} solutions agree")
            for row in rows
            if self.verdicts[row.id] < ENOUGH - 1e-9
        ]

    def question(self, row: Example, draw: int, *, temperature: float = SOLVER_WARMTH) -> Ask:
        """The question for a row's answer; it shows some other rows of people, drawn anew for each."""
        random = Random(fingerprint(["solve", row.id, draw]))
        others = [one for one in self.people if one.id != row.id and one.group != row.group]
        shots = random.sample(others, min(SHOTS, len(others)))
        most = self.teacher.settings.max_new_tokens
        messages = solving(row, shots, self.task)
        return Ask(messages=messages, max_new_tokens=most, temperature=temperature, draw=draw)

    def _measure(self) -> None:
        """How often it comes to the answer that people gave, which is what its verdicts are worth."""
        few = Random(fingerprint(["solver", [row.id for row in self.people]]))
        rows = few.sample(list(self.people), min(CHECKED_ON, len(self.people)))
        told = self.ask([self.question(row, 0) for row in rows], "verifier on people's rows")
        right = sum(self._agrees(row, one) for row, one in zip(rows, told, strict=True))
        self.quality = {"agrees_with_people": as_json(share_of(right, len(rows))), "models": self._models()}

    def _agrees(self, row: Example, answer: Answer) -> bool:
        if answer.fault:
            return False
        solution, _ = read_solved(answer.text, self.task)
        value = score(self.task, row, solution).value
        return value is not None and value >= (SAME_TEXT if self.task.kind == "text" else 1.0)

    def ask(self, asks: Sequence[Ask], name: str) -> list[Answer]:
        """The solutions, read and counted."""
        found = self.teacher.answers(asks, lambda text, _: read_solved(text, self.task)[1], name=name)
        self.answers += found
        return found

    def _models(self) -> Mapping[str, int]:
        return dict(sorted(self.teacher.models.items()))
