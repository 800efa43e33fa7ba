"""Rows pass steps one after the other; each step sees only what the earlier ones left."""

from burnish.records import Example, Message
from burnish.synthesize.guards import Drop
from burnish.synthesize.sieve import SURPLUS, sieve, surplus


def row(name: str) -> Example:
    return Example(
        id=name, group=name, messages=(Message(role="user", content=name), Message(role="assistant", content="a"))
    )


def test_a_step_sees_only_what_earlier_steps_left():
    seen: list[list[str]] = []

    def step(bad):
        def look(rows):
            seen.append([one.id for one in rows])
            return [Drop(one.id, f"no-{bad}") for one in rows if one.id == bad]

        return look

    found = sieve([row("a"), row("b"), row("c")], [step("b"), step("a")])
    assert seen == [["a", "b", "c"], ["a", "c"]]
    assert [one.id for one in found.kept] == ["c"]
    assert found.drops == (Drop("b", "no-b"), Drop("a", "no-a"))
    assert len(found.kept) + len(found.drops) == 3


def test_no_step_keeps_all():
    assert sieve([row("a")], []).drops == ()


def test_rows_beyond_what_their_cell_asked_for_are_surplus_the_last_first():
    rows = [row(name) for name in ("a1", "b1", "a2", "a3", "b2")]
    cell_of = {"a1": 0, "a2": 0, "a3": 0, "b1": 1, "b2": 1}
    assert surplus(rows, cell_of, [2, 5]) == (Drop("a3", SURPLUS),)
    assert {drop.example for drop in surplus(rows, cell_of, [0, 1])} == {"a1", "a2", "a3", "b2"}
