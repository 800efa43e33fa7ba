"""A generator learns people's rows, writes others of their kind, and is not trusted where it only remembers."""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.config import Settings
from burnish.data.intake import add_files
from burnish.data.provenance import PROVENANCE, SYNTHETIC
from burnish.errors import Interrupted
from burnish.loop.generating import SeedGenerator
from burnish.loop.project import create_project, settings_with
from burnish.loop.proposal import propose
from burnish.loop.synthesizing import synthesize_project
from burnish.loop.workbench import Workbench
from burnish.records import Cell, Example, Message, Task
from burnish.store.batches import batches
from burnish.synthesize.generator import split_held_out
from burnish.talk import Silence
from tests.loop.conftest import small_settings, write_rows

TASK = Task(kind="label", labels=("pay", "login"))
WORDS = {"pay": ("money", "bank", "late", "check", "week"), "login": ("phone", "code", "locked", "key", "page")}
CELLS = [Cell(purpose="weakness", count=6, answer=label) for label in TASK.labels]


def rows(count: int) -> list[Example]:
    """Different rows of two labels, each three of five words of its label."""
    found = []
    for at in range(count):
        label = TASK.labels[at % 2]
        words = " ".join(WORDS[label][at // 2 // 5**place % 5] for place in range(3))
        turns = (Message(role="user", content=words), Message(role="assistant", content=label))
        found.append(Example(id=f"row{at}", group=f"group{at}", messages=turns, slices={"channel": "web"}))
    return found


def generator(folder: Path, base: Path | str, *, epochs: int = 2, stop_after: int = 10**6) -> SeedGenerator:
    """A generator that works in folder/stage; it is stopped when it has asked so many times."""
    changes = {
        "base": str(base),
        "train.precision": "float32",
        "train.epochs": epochs,
        "train.checkpoint_every_s": 0.05,
        "lora.rank": 8,
    }
    bench = Workbench(settings_with(Settings(), changes), folder, Silence())
    asked = iter(range(10**9))
    return SeedGenerator(
        bench, TASK, ["channel"], folder / "stage", Silence(), should_stop=lambda: next(asked) >= stop_after
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generating")


@pytest.fixture(scope="module")
def trained(place: Path, small_base: Path) -> SeedGenerator:
    """A generator that has learned 64 rows and made some."""
    found = generator(place, small_base)
    found.make(CELLS, rows(64), 3)
    return found


def test_rows_come_for_each_cell_with_people_as_parents_and_the_adapter_as_author(trained: SeedGenerator):
    people = {row.id: row for row in rows(64)}
    made = trained.make(CELLS, rows(64), 3)
    assert any(made)
    for cell, own in zip(CELLS, made, strict=True):
        assert len(own) <= cell.count
        for one in own:
            assert one.example.answer == cell.answer
            assert one.example.slices == {"channel": "web", PROVENANCE: SYNTHETIC}
            assert {people[name].answer for name in one.provenance.parents} == {cell.answer}
            assert one.provenance.generator == trained.learned.name
            assert one.example.id in trained.losses
    assert (trained.learned.folder / "adapter_model.safetensors").is_file()
    assert "held-out loss" in trained.notes()[0]
    assert trained.num_tokens > 0


def test_a_killed_one_goes_on_from_its_checkpoint_and_makes_the_same_rows_for_the_same_seed(trained, place, small_base):
    again = generator(place, small_base)
    made = again.make(CELLS, rows(64), 3)
    assert made == trained.make(CELLS, rows(64), 3)
    assert made != trained.make(CELLS, rows(64), 4)
    assert again.learned == trained.learned


def test_rows_less_likely_than_all_held_out_ones_are_dropped(trained: SeedGenerator):
    made = [one.example for own in trained.make(CELLS, rows(64), 3) for one in own]
    limit = max(trained.learned.real)
    assert {drop.example for drop in trained.unlikely(made)} == {
        row.id for row in made if trained.losses[row.id] > limit
    }
    assert trained.unlikely(rows(3)) == ()


def test_with_few_rows_nothing_is_trained_and_the_base_writes(tmp_path: Path, small_base: Path):
    found = generator(tmp_path, small_base)
    made = found.make(CELLS, rows(20), 3)
    assert found.learned.folder is None
    assert found.learned.name == found.bench.base.base_hash
    assert len(found.learned.real) == 20
    assert "too few to train on" in found.notes()[0]
    assert not (tmp_path / "stage").exists()
    assert all(one.provenance.generator == found.learned.name for own in made for one in own)


def test_an_adapter_that_writes_the_rows_it_learned_is_not_used(tmp_path: Path, small_base: Path):
    """Every learned row is one letter, every held-out one two: whoever writes the one remembers it."""
    held = {row.id for row in split_held_out(rows(64), seed=3).held}
    answer = Message(role="assistant", content="pay")
    same = [
        replace(row, messages=(Message(role="user", content="a a" if row.id in held else "a"), answer))
        for row in rows(64)
    ]
    found = generator(tmp_path, small_base, epochs=6)
    found.make([], same, 3)
    assert found.learned.folder is None
    assert "its adapter is not used" in found.notes()[0]
    assert len(found.learned.real) == 64


def test_made_rows_and_conversations_are_never_shown(tmp_path: Path, small_base: Path):
    people = rows(8)
    made = Example(id="made", group="g", messages=people[0].messages, slices={PROVENANCE: SYNTHETIC})
    several = Example(id="several", group="g", messages=(*people[0].messages, *people[0].messages))
    found = generator(tmp_path, small_base).make(CELLS, [*people, made, several], 3)
    parents = {name for own in found for one in own for name in one.provenance.parents}
    assert parents <= {row.id for row in people}


def test_a_cell_without_rows_and_seeds_without_rows_give_none(tmp_path: Path, small_base: Path):
    found = generator(tmp_path, small_base)
    assert found.make(CELLS, [], 3) == [[], []]
    assert found.make([Cell(purpose="edge", count=3, answer="fraud")], rows(8), 3) == [[]]


def test_a_stop_is_heard_while_it_samples(tmp_path: Path, small_base: Path):
    with pytest.raises(Interrupted):
        generator(tmp_path, small_base, stop_after=2).make(CELLS, rows(20), 3)


def test_a_batch_by_a_generator_seals_its_adapter_and_says_what_became_of_it(tmp_path: Path, small_base: Path):
    changes = {"synthesize.moves": ["generator", "noise"], "synthesize.rows": 12, "train.epochs": 1}
    project = create_project(tmp_path / "desk", settings_with(small_settings(small_base), changes))
    add_files(project.store, project.settings, [write_rows(tmp_path / "rows.jsonl", 150)], Silence(), skip_bad=False)
    assert all(one.provenance.move == "noise" for one in propose(project, Silence()).examples)
    found = synthesize_project(project, Silence())
    assert found is not None
    assert any(note.startswith("generator: ") for note in found.notes)
    (held,) = [one for one in batches(project.store) if one.name == found.name]
    assert (project.store.path_of(held.artifact) / "generator" / "adapter_model.safetensors").is_file()
    again = synthesize_project(project, Silence())
    assert again is not None
    assert not again.is_new


def test_rows_too_long_for_the_base_are_left_out_and_shots_give_way(tmp_path: Path, small_base: Path):
    """The base has 512 positions, a prompt half of them; each word is four tokens or more."""
    long, longer = (
        Example(
            id=name,
            group=name,
            messages=(
                Message(role="user", content=" ".join(["zebra"] * count)),
                Message(role="assistant", content="pay"),
            ),
        )
        for name, count in (("long", 15), ("longer", 120))
    )
    found = generator(tmp_path, small_base)
    made = found.make(CELLS[:1], [long, longer, replace(long, id="twin", group="twin")], 3)
    assert len(found.learned.real) == 2
    assert "longer" not in {name for one in made[0] for name in one.provenance.parents}


def test_rows_of_one_group_leave_none_to_hold_out_so_nothing_is_trained(tmp_path: Path, small_base: Path):
    found = generator(tmp_path, small_base)
    found.make([], [replace(row, group="one") for row in rows(64)], 3)
    assert found.learned.folder is None
    assert "are of one group" in found.notes()[0]
