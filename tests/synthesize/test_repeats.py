"""People's rows again, where fewer rows were kept than were planned."""

from dataclasses import replace

from burnish.data.provenance import PROVENANCE, SYNTHETIC
from burnish.records import Cell, Example, Message
from burnish.synthesize.cells import ANY_NOISE, NOISE
from burnish.synthesize.repeats import MOST_TIMES, top_up


def row(name, answer, **slices):
    turns = (Message(role="user", content=f"text {name}"), Message(role="assistant", content=answer))
    return Example(id=name, group=name, messages=turns, slices=slices)


PEOPLE = [row("a1", "appeal"), row("a2", "appeal"), row("l1", "login", channel="web")]


def cell(answer, count, **columns):
    return Cell(purpose="weakness", count=count, answer=answer, columns=columns)


def test_a_cell_gets_as_many_repeats_as_it_lacks_each_row_in_turn():
    made = replace(row("s1", "appeal"), slices={PROVENANCE: SYNTHETIC})
    found = top_up([cell("appeal", 4), cell("login", 1)], [made], PEOPLE)
    assert [one.id for one in found] == ["a1-again2", "a2-again2", "a1-again3", "l1-again2"]
    assert [one.messages for one in found[:2]] == [one.messages for one in PEOPLE[:2]]


def test_a_kept_row_counts_for_one_cell_only():
    made = [row("s1", "login", channel="web")]
    assert len(top_up([cell("login", 1, channel="web"), cell("login", 1)], made, PEOPLE)) == 1


def test_no_row_is_there_more_often_than_the_limit_over_all_cells():
    found = top_up([cell("login", 50), cell("login", 50, channel="web")], [], PEOPLE)
    assert len(found) == MOST_TIMES - 1
    assert len({one.id for one in found}) == len(found)


def test_made_rows_are_never_repeated_and_rough_cells_are_not_made_up_for():
    made = replace(row("s1", "appeal"), slices={PROVENANCE: SYNTHETIC})
    assert top_up([cell("appeal", 3)], [], [made]) == []
    assert top_up([Cell(purpose="edge", count=3, answer="appeal", columns={NOISE: ANY_NOISE})], [], PEOPLE) == []


def test_a_full_batch_needs_no_repeats():
    made = [replace(row(f"s{at}", "appeal"), slices={PROVENANCE: SYNTHETIC}) for at in range(3)]
    assert top_up([cell("appeal", 3)], made, PEOPLE) == []
