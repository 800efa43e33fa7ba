"""Any order of claim, decide, undo, expire and crash: one decision an item and reviewer, none lost or overwritten."""

import shutil
import tempfile
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from burnish.errors import BusyError, UsageError
from burnish.records import Message
from burnish.review.decisions import Holding, replay
from burnish.store.claims import Wish, claim_items, decide_item, held_items, undo_decision
from burnish.store.leases import LEASE_S
from burnish.store.review_state import rebuild_state
from burnish.store.reviews import ReviewItem, add_items, review_items, review_log, waiting, withdraw_items
from burnish.store.store import Store, open_store
from burnish.store.tables import review_state
from tests.child import KILLED, in_child

REVIEWERS = ("ann", "bob", "cy")
QUEUES = ("blind", "correction", "preference")
QUEUES_ASKED = ("correction", "blind")


def item(name: str, *, wanted: int = 1, value: float = 0.0, **changes) -> ReviewItem:
    fields = {"queue": "correction", "purpose": "gold", "draft": "draft", "given": "draft", **changes}
    prompt = (Message(role="user", content=f"question {name}"),)
    return ReviewItem(
        name=name, example=f"row-{name}", role="train", messages=prompt, wanted=wanted, value=value, **fields
    )


ITEMS = (item("a", value=3), item("b", value=2, wanted=2), item("c", value=1), item("d", wanted=3, queue="blind"))
WANTED = {one.name: one.wanted for one in ITEMS}
KIND = {one.name: ("label", "one") if one.queue == "blind" else ("accept", "") for one in ITEMS}
OTHER = {one.name: ("label", "two") if one.queue == "blind" else ("edit", "two") for one in ITEMS}


def state_and_rebuilt(store: Store) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The state that claims read, as it is kept and as the log alone gives it."""
    found = []
    with store.db.write() as connection:
        for _ in range(2):
            found.append([tuple(row) for row in connection.execute(select(review_state).order_by(review_state.c.item))])
            rebuild_state(connection)
    return found[0], found[1]


class Queue(RuleBasedStateMachine):
    """The queue beside a model of it: dictionaries that a reader can check."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.open()
        add_items(self.store, ITEMS)
        self.now_s = 0.0
        self.held: dict[Holding, tuple[str, str]] = {}
        self.turns: dict[Holding, int] = {}
        self.leases: dict[Holding, float] = {}

    def open(self) -> Store:
        return open_store(self.folder)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            before, after = state_and_rebuilt(self.store)
            shutil.rmtree(self.folder, ignore_errors=True)
            assert before == after

    def active(self, name: str) -> set[str]:
        return {key.reviewer for key, until in self.leases.items() if key.item == name and until > self.now_s}

    def answered(self, name: str) -> set[str]:
        return {key.reviewer for key, told in self.held.items() if key.item == name and told[0] != "skip"}

    def is_open(self, name: str, reviewer: str) -> bool:
        others = self.answered(name) | (self.active(name) - {reviewer})
        return Holding(name, reviewer) not in self.held and len(others) < WANTED[name]

    @rule(reviewer=st.sampled_from(REVIEWERS), count=st.integers(1, 3))
    def claim(self, reviewer: str, count: int) -> None:
        mine = [name for name in WANTED if reviewer in self.active(name) and self.is_open(name, reviewer)]
        free = [one.name for one in ITEMS if one.name not in mine and self.is_open(one.name, reviewer)]
        found = claim_items(self.store, reviewer, now_s=self.now_s, queues=QUEUES_ASKED, count=count)
        names = [one.item.name for one in found]
        assert set(names[: len(mine)]) <= set(mine)
        assert names[len(mine) :] == free[: max(0, count - len(mine))]
        assert len(names) == min(count, len(mine) + len(free))
        for one in found:
            assert one.turn == self.turns.get(Holding(one.item.name, reviewer), 0) + 1
            self.leases[Holding(one.item.name, reviewer)] = self.now_s + LEASE_S

    @rule(
        reviewer=st.sampled_from(REVIEWERS),
        name=st.sampled_from(sorted(WANTED)),
        told=st.sampled_from(["one", "other", "skip"]),
        stale=st.sampled_from([0, 0, 0, 2]),
        then=st.sampled_from([(), QUEUES_ASKED]),
        crash=st.sampled_from(["", "", "", "review.decide", "db.commit", "db.committed"]),
    )
    def decide(self, reviewer: str, name: str, told: str, stale: int, then: tuple[str, ...], crash: str) -> None:
        key = Holding(name, reviewer)
        done = self.turns.get(key, 0)
        wish = {"one": KIND[name], "other": OTHER[name], "skip": ("skip", "")}[told]
        turn = done + 1 - stale
        call = lambda: decide_item(  # noqa: E731
            self.store, name, reviewer, turn, Wish(*wish), now_s=self.now_s, then=then
        )
        if crash:
            assert in_child(call, f"{crash}=kill") in (KILLED, 0, UsageError.exit_code, BusyError.exit_code)
        if key in self.held or turn != done + 1:
            before = review_log(self.store)
            if turn == done and self.held.get(key) == wish:
                assert call().turn == done
            else:
                with pytest.raises(UsageError):
                    self.repeat(call, turn, done)
            assert review_log(self.store) == before
        elif not (reviewer in self.active(name) or self.is_open(name, reviewer)):
            with pytest.raises(BusyError):
                call()
        else:
            assert call() == call()
            self.held[key] = wish
            self.turns[key] = turn
            if self.leases.pop(key, None) is not None and then:
                self.hand_over(reviewer)

    def hand_over(self, reviewer: str) -> None:
        free = (one.name for one in ITEMS if reviewer not in self.active(one.name) and self.is_open(one.name, reviewer))
        for name in islice(free, 1):
            self.leases[Holding(name, reviewer)] = self.now_s + LEASE_S

    def repeat(self, call, turn: int, done: int) -> None:
        """A form from before an undo: the same words are an old entry, and change nothing either."""
        if call().turn == turn <= done:
            raise UsageError("the same again")

    @rule(
        reviewer=st.sampled_from(REVIEWERS),
        name=st.sampled_from(sorted(WANTED)),
        crash=st.sampled_from(["", "", "review.undo", "db.commit", "db.committed"]),
    )
    def undo(self, reviewer: str, name: str, crash: str) -> None:
        key = Holding(name, reviewer)
        done = self.turns.get(key, 0)
        call = lambda: undo_decision(self.store, name, reviewer, max(1, done - 1 + done % 2), now_s=self.now_s)  # noqa: E731
        if crash:
            assert in_child(call, f"{crash}=kill") in (KILLED, 0, UsageError.exit_code)
        if not done:
            with pytest.raises(UsageError):
                call()
            return
        assert call() == call()
        if done % 2:
            self.turns[key] = done + 1
            del self.held[key]
            self.leases[key] = self.now_s + LEASE_S

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def reopen(self) -> None:
        self.store = self.open()

    @invariant()
    def the_log_replays_to_what_was_decided(self) -> None:
        log = review_log(self.store)
        assert {key: (one.kind, one.text) for key, one in replay(log).items()} == self.held
        assert all(len(self.answered(name)) <= wanted for name, wanted in WANTED.items())


Queue.TestCase.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
TestQueue = Queue.TestCase


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def names(store: Store, reviewer: str, count: int = 1, now_s: float = 0.0) -> list[str]:
    return [one.item.name for one in claim_items(store, reviewer, now_s=now_s, queues=QUEUES, count=count)]


def test_the_dearest_item_comes_first_and_a_reload_gets_it_again(store):
    add_items(store, [item("cheap", value=1), item("dear", value=2)])
    assert names(store, "ann") == ["dear"]
    assert names(store, "ann") == ["dear"]
    assert names(store, "bob") == ["cheap"]
    assert names(store, "ann", count=2) == ["dear"]


def test_who_has_decided_holds_the_next_item_and_reads_it_without_writing(store):
    add_items(store, [item("dear", value=2), item("cheap", value=1), item("last")])
    assert held_items(store, "ann", now_s=0) is None
    claim_items(store, "ann", now_s=0, queues=QUEUES)
    decide_item(store, "dear", "ann", 1, Wish("accept"), now_s=5, then=QUEUES)
    assert names(store, "bob", now_s=6) == ["last"]
    before = store.db.path.read_bytes()
    found = held_items(store, "ann", now_s=60)
    assert found is not None
    assert [(one.item.name, one.turn, one.until_s) for one in found] == [("cheap", 1, 5 + LEASE_S)]
    assert store.db.path.read_bytes() == before
    assert held_items(store, "ann", now_s=5 + LEASE_S / 2) is None
    decide_item(store, "cheap", "ann", 1, Wish("accept"), now_s=90, then=QUEUES)
    assert held_items(store, "ann", now_s=91) is None


def test_the_same_plan_again_adds_nothing(store):
    assert add_items(store, [item("a"), item("b")]) == 2
    assert add_items(store, [item("b"), item("c")]) == 1
    assert [one.name for one in review_items(store)] == ["a", "b", "c"]


def test_an_item_comes_back_whole(store):
    asked = item("a", queue="preference", other="second", not_by=("bob",), probability=0.25, is_check=True)
    add_items(store, [asked])
    assert review_items(store) == [asked]


def test_a_decision_on_what_another_reviewer_holds_is_refused_with_their_name(store):
    add_items(store, [item("a")])
    claim_items(store, "ann", now_s=0, queues=QUEUES)
    with pytest.raises(BusyError, match="is held now by ann; nothing was written"):
        decide_item(store, "a", "bob", 1, Wish("accept"), now_s=1)
    decide_item(store, "a", "ann", 1, Wish("accept"), now_s=2)
    with pytest.raises(BusyError, match="has been decided by ann"):
        decide_item(store, "a", "bob", 1, Wish("reject"), now_s=3)
    assert [one.reviewer for one in review_log(store)] == ["ann"]


def test_a_late_decision_is_taken_while_nobody_else_has_the_item(store):
    add_items(store, [item("a")])
    claim_items(store, "ann", now_s=0, queues=QUEUES)
    assert decide_item(store, "a", "ann", 1, Wish("edit", "better"), now_s=2 * LEASE_S).text == "better"


def test_a_decision_that_has_been_made_is_not_made_otherwise_without_an_undo(store):
    add_items(store, [item("a")])
    decide_item(store, "a", "ann", 1, Wish("accept"), now_s=0)
    with pytest.raises(UsageError, match="ann has decided accept on a before") as caught:
        decide_item(store, "a", "ann", 1, Wish("reject"), now_s=1)
    assert "undo" in caught.value.hint
    undo_decision(store, "a", "ann", 1, now_s=2)
    assert decide_item(store, "a", "ann", 3, Wish("reject"), now_s=3).turn == 3
    assert [one.kind for one in review_log(store)] == ["accept", "undo", "reject"]


def test_a_skip_leaves_the_item_to_others(store):
    add_items(store, [item("a")])
    decide_item(store, "a", "ann", 1, Wish("skip"), now_s=0)
    assert names(store, "ann") == []
    assert names(store, "bob") == ["a"]


def test_who_disagreed_is_not_asked_to_settle_it(store):
    add_items(store, [item("a", not_by=("ann", "bob"))])
    assert names(store, "ann") == names(store, "bob") == []
    with pytest.raises(UsageError, match="for others than bob"):
        decide_item(store, "a", "bob", 1, Wish("accept"), now_s=0)
    assert names(store, "cy") == ["a"]


def test_a_withdrawn_item_is_asked_no_more_and_its_decisions_stay(store):
    add_items(store, [item("a", wanted=2), item("b")])
    decide_item(store, "a", "ann", 1, Wish("accept"), now_s=0)
    assert withdraw_items(store, ["a"], "another model") == 1
    assert withdraw_items(store, ["a"], "another model") == 0
    assert waiting(store) == {"correction": (1, 1)}
    assert names(store, "bob", count=2) == ["b"]
    with pytest.raises(BusyError, match="no longer asked: another model"):
        decide_item(store, "a", "bob", 1, Wish("accept"), now_s=1)
    assert len(review_log(store)) == 1


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish("label", "x"), "no decision of the correction queue"),
        (Wish("edit", "  "), "has no text"),
        (Wish("accept", seconds=float("nan")), "no measure"),
    ],
)
def test_what_is_no_decision_is_refused(store, wish, told):
    add_items(store, [item("a")])
    with pytest.raises(UsageError, match=told):
        decide_item(store, "a", "ann", 1, wish, now_s=0)
    with pytest.raises(UsageError, match="no review item"):
        decide_item(store, "b", "ann", 1, Wish("accept"), now_s=0)
    with pytest.raises(UsageError, match="no name of a reviewer"):
        decide_item(store, "a", "a\nb", 1, Wish("accept"), now_s=0)


def test_twenty_reviewers_at_once_lose_nothing_and_share_nothing(store):
    from tests.child import end_of, start_child

    add_items(store, [item(f"i{number}") for number in range(40)])

    def work(reviewer: str) -> None:
        for _ in range(2):
            for one in claim_items(store, reviewer, now_s=0, queues=QUEUES):
                decide_item(store, one.item.name, reviewer, one.turn, Wish("accept"), now_s=0)

    children = [start_child(lambda reviewer=f"r{number}": work(reviewer)) for number in range(20)]
    assert [end_of(pid) for pid in children] == [0] * 20
    log = review_log(store)
    assert sorted(one.item for one in log) == sorted(f"i{number}" for number in range(40))
