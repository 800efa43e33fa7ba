"""A plan becomes rows: each move its share, what one cannot give asked of the next, roughened rows by noise alone."""

from collections import Counter

from burnish.config import Settings
from burnish.data.provenance import PROVENANCE, SYNTHETIC
from burnish.loop.making import OVERSAMPLED, make_rows, moves_of
from burnish.records import Cell, Example, Message, Provenance, Task
from burnish.synthesize.cells import ANY_NOISE, NOISE
from burnish.synthesize.made import Made

TEXTS = {
    "pay": (
        "when will the money for this month come",
        "my payment has not arrived on Monday",
        "the transfer is late again",
    ),
    "appeal": ("how can I object to the letter of refusal", "I want to appeal against that decision"),
}


def seeds() -> list[Example]:
    return [
        Example(
            id=f"{label}-{number}",
            group=f"{label}-{number}",
            messages=(Message(role="user", content=text), Message(role="assistant", content=label)),
        )
        for label, texts in TEXTS.items()
        for number, text in enumerate(texts)
    ]


def cell(label: str, count: int, **columns: str) -> Cell:
    return Cell(purpose="weakness", count=count, answer=label, columns=columns)


def test_each_move_gives_its_share_of_every_cell():
    made = make_rows([cell("pay", 8), cell("appeal", 4)], seeds(), ("augment", "noise"), {}, seed=1)
    asked = [round(OVERSAMPLED * count + 0.5) for count in (8, 4)]
    assert [list(made.cell_of.values()).count(at) for at in (0, 1)] == asked
    moves = Counter(one.provenance.move for one in made.made)
    assert abs(moves["augment"] - moves["noise"]) <= 2
    assert all(one.example.answer == ("pay", "appeal")[made.cell_of[one.example.id]] for one in made.made)


def test_what_a_move_cannot_give_is_asked_of_the_next():
    few = [row for row in seeds() if row.id in ("appeal-0", "appeal-1")]
    made = make_rows([cell("appeal", 8)], few, ("compose", "noise"), {}, seed=1)
    moves = Counter(one.provenance.move for one in made.made)
    assert moves["compose"] <= 2  # two seeds, either first
    assert moves["noise"] > OVERSAMPLED * 8 / 2


def test_rough_cells_are_filled_by_noise_though_no_move_names_it():
    made = make_rows([cell("pay", 4, **{NOISE: ANY_NOISE})], seeds(), ("augment",), {}, seed=1)
    assert {one.provenance.move for one in made.made} == {"noise"}


def test_a_cell_without_a_seed_is_left_and_said():
    made = make_rows([cell("fraud", 4), cell("pay", 2)], seeds(), ("augment",), {}, seed=1)
    assert set(made.cell_of.values()) == {1}
    assert made.notes == ["1 of 2 cells have no row that people wrote"]


def test_the_same_arguments_give_the_same_rows_and_another_seed_others():
    def ids(seed: int) -> list[str]:
        return [one.example.id for one in make_rows([cell("pay", 6)], seeds(), ("augment",), {}, seed=seed).made]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_row_that_two_cells_would_hold_is_made_once():
    made = make_rows([cell("pay", 3), cell("pay", 3)], seeds(), ("augment",), {}, seed=1)
    ids = [one.example.id for one in made.made]
    assert len(ids) == len(set(ids)) == len(made.cell_of)


def test_a_maker_of_a_model_is_asked_for_its_part_only():
    asked: list[int] = []

    def generator(cells, people, seed):
        asked.extend(one.count for one in cells)
        return [[sampled(one, people[0], number) for number in range(one.count)] for one in cells]

    make_rows([cell("pay", 10)], seeds(), ("generator", "noise"), {"generator": generator}, seed=1)
    assert asked == [8]  # half of 15.5 by largest remainder


def sampled(one: Cell, parent: Example, number: int) -> Made:
    example = Example(
        id=f"sampled-{one.answer}-{number}",
        group=parent.group,
        messages=(Message(role="user", content=f"text {number}"), Message(role="assistant", content=one.answer)),
        slices={PROVENANCE: SYNTHETIC},
    )
    return Made(example, Provenance(example=example.id, move="sample", generator="g", parents=(parent.id,)))


def test_moves_are_those_asked_for_or_the_rules_of_the_task():
    task = Task(kind="fields")
    assert moves_of(Settings(), task, models=()) == ("counterfactual", "noise")
    assert moves_of(Settings(), task, models=("generator",))[0] == "generator"
    asked = Settings.model_validate({"synthesize": {"moves": ["noise"]}})
    assert moves_of(asked, task, models=("generator",)) == ("noise",)
