"""Turns between projects: who floods the server delays its neighbour by a turn or two, and alone it uses everything."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from burnish.config import KeySettings
from burnish.fakes import tiny_base
from burnish.loop.project import Project
from burnish.model.generator import Request
from burnish.model.prefixes import Prefixes, Wanted
from burnish.model.session import Session
from burnish.records import Message
from burnish.registry import get
from burnish.serve.engine import MOST_PASSED, Began, Ended, Engine, Job, Said, Spoke
from burnish.serve.fair import FairQueue
from burnish.serve.faults import ApiError
from burnish.serve.pool import Pool
from burnish.serve.quota import Quota, Window
from burnish.serve.reads import Source
from burnish.serve.turn import MOST_CHOICES, TURNS_BETWEEN_LOADS
from tests.serve.town import NAMES, bench_of, unasked

ROWS, FLOOD = 4, 500


@dataclass(kw_only=True)
class Street:
    """An engine over two projects, and what it told, in order."""

    engine: Engine
    projects: dict[str, Project]
    prompt: tuple[int, ...]
    said: list[tuple[str, Said]] = field(default_factory=list)
    done: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    tickets: list[int] = field(default_factory=list)
    first: Callable[[Said], None] | None = None
    """Called with the first thing that is told, in the engine's own thread: between two tokens."""

    def ask(self, project: str, version: str, most: int = 2, choices: tuple[str, ...] = ()) -> None:
        """One request."""

        def tell(said: Said) -> None:
            self.said.append((project, said))
            if self.first and isinstance(said, Began | Ended):
                first, self.first = self.first, None
                first(said)
            if isinstance(said, Ended):
                self.done.put(project)

        request, found = Request(prompt=self.prompt, max_new_tokens=most), get(self.projects[project].store, version)
        ticket = self.engine.submit(
            Job(project=project, request=request, versions=(found,), choices=choices, tell=tell)
        )
        self.tickets.append(ticket)

    def load(self, project: str, version: str) -> None:
        """Puts an adapter into memory before the engine runs, so that no turn waits for the disk."""
        slot = self.engine.pool.lease(project, get(self.projects[project].store, version), lambda slot: None)
        assert slot is not None
        self.engine.pool.release(slot)

    def wait_for(self, project: str) -> list[str]:
        """Whose answers were whole before this project had one."""
        before = []
        while (one := self.done.get(timeout=120)) != project:
            before.append(one)
        return before

    def hang_up(self) -> None:
        """Nobody wants the rest."""
        for ticket in self.tickets:
            self.engine.cancel(ticket)


@contextmanager
def running(furnished: Project, twin: Project, rows: int = ROWS, adapter_bytes: int = 1 << 20) -> Iterator[Street]:
    base, projects = bench_of(furnished), {"small": furnished, "twin": twin}
    sources = {name: Source(store=one.store, check=unasked) for name, one in projects.items()}
    engine = Engine(Pool(base, sources, adapter_bytes=adapter_bytes), max_rows=rows)
    prompt = base.chat.render_prompt([Message(role="user", content="the password is refused")])
    street = Street(engine=engine, projects=projects, prompt=tuple(prompt))
    yield street
    if not engine.is_alive:
        engine.start()
    assert engine.close(60)
    engine.pool.close()


@pytest.mark.parametrize("choices", [(), ("payment", "login")])
def test_one_request_beside_a_flood_of_500_is_answered_within_a_few_turns(furnished, twin, choices):
    with running(furnished, twin) as street:
        street.load("twin", "zed")
        for _ in range(FLOOD):
            street.ask("small", "ada", choices=choices)
        street.first = lambda said: street.ask("twin", "zed", choices=choices)
        street.engine.start()
        order = street.wait_for("twin")
        street.hang_up()
    # what goes on when the twin asks, and one batch more
    assert len(order) <= 2 * (MOST_CHOICES if choices else ROWS)


def test_a_neighbour_whose_answers_take_all_rows_is_not_waited_for(furnished, twin):
    with running(furnished, twin) as street:
        street.load("twin", "zed")
        for _ in range(3 * ROWS):
            street.ask("small", "ada", most=60)
        street.first = lambda said: street.ask("twin", "zed")
        street.engine.start()
        assert street.wait_for("twin") == []
        street.hang_up()


def test_who_is_alone_uses_every_row_and_goes_in_order(furnished, twin):
    with running(furnished, twin) as street:
        widest = 0

        def look() -> None:
            nonlocal widest
            widest = max(widest, street.engine.num_active)

        for _ in range(3 * ROWS):
            street.ask("small", "ada", most=4)
        street.said = Watched(look)
        street.engine.start()
    assert widest == ROWS


class Watched(list[tuple[str, Said]]):
    """A list that looks at something whenever it grows."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def append(self, one: tuple[str, Said]) -> None:
        self._look()
        super().append(one)


def test_a_request_that_waits_for_memory_is_passed_by_so_many_and_no_more(furnished, twin):
    with running(furnished, twin, adapter_bytes=1) as street:
        for _ in range(3 * MOST_PASSED):
            street.ask("small", "ada", most=3)
        street.first = lambda said: street.ask("twin", "zed")
        street.engine.start()
        street.wait_for("twin")
        street.hang_up()
    began = [project for project, said in street.said if isinstance(said, Began)]
    assert began.index("twin") <= MOST_PASSED + 2 * ROWS


def test_a_neighbour_that_wants_another_adapter_each_time_does_not_stop_the_others_texts(furnished, twin):
    with running(furnished, twin, adapter_bytes=1 << 30) as street:
        street.ask("twin", "zed", most=60)
        street.first = lambda said: [street.ask("small", name) for name in NAMES]
        street.engine.start()
        street.wait_for("twin")
    loads = [at for at, (project, said) in enumerate(street.said) if project == "small" and isinstance(said, Began)]
    tokens = [sum(one[0] == "twin" and isinstance(one[1], Spoke) for one in street.said[:at]) for at in loads]
    steps = [later - sooner for sooner, later in pairwise(tokens) if later < 60]
    assert steps
    assert min(steps) >= TURNS_BETWEEN_LOADS


def test_tenants_that_wait_get_equal_tokens_and_nobody_saves_up_turns():
    waiting: FairQueue[tuple[str, int]] = FairQueue()
    got = {"long": 0, "short": 0}
    for _ in range(300):
        waiting.put("long", ("long", 100))
        waiting.put("short", ("short", 10))
    for _ in range(200):
        found = waiting.take(lambda item: True)
        assert found
        got[found[0]] += found[1]
        waiting.charge(*found)
        assert abs(got["long"] - got["short"]) <= 100
    waiting.put("late", ("late", 10))
    turns = []  # the counters are within 100 of each other, and a turn of the late one is 10
    for _ in range(12):
        found = waiting.take(lambda item: item[0] != "short")
        assert found
        waiting.charge(*found)
        turns.append(found[0])
        waiting.put("late", ("late", 10))
    assert "long" in turns
    size = len(waiting)
    waiting.drop(lambda item: item[0] == "long")
    assert len(waiting) < size
    assert waiting.take(lambda item: False) is None
    assert {item[0] for item in waiting} == {"short", "late"}


def test_prompts_of_two_projects_to_the_untuned_base_share_no_beginning():
    prefixes = Prefixes(Session(tiny_base("llama")), 1000)
    mine, theirs = (*range(20, 90), 1), (*range(20, 90), 2)
    assert prefixes.plan([mine], -1, "small") == [0]
    assert prefixes.plan([theirs], -1, "twin") == [0]
    assert prefixes.plan([theirs], -1, "small") == [70]
    assert prefixes.entries([Wanted(theirs, 70, -1, "small")])[0].prefix is not None
    assert prefixes.plan([(*mine[:70], 3)], -1, "other") == [0]


def test_a_window_holds_its_limit_in_any_minute_and_says_when_to_come_back():
    window, taken, now = Window(10), [], 0.0
    for at in range(400):
        now += (at * 7 % 11) / 4
        amount = 1 + at * 5 % 4
        if window.take(amount, now):
            taken.append((now, amount))
        else:
            wait = window.wait_s(amount, now)
            assert 0 < wait <= 60
            assert window.wait_s(amount, now + wait - 1e-6) > 0
            assert window.wait_s(amount, now + wait) == 0
            now += wait
    assert len(taken) > 50
    for start, _ in taken:
        assert sum(amount for at, amount in taken if start <= at < start + 60) <= 10
    fresh = Window(10)
    whole = fresh.take(25, 0.0)
    assert whole
    assert fresh.take(1, 1.0) is None
    fresh.settle(whole, 4, 1.0)
    assert (fresh.left(1.0), fresh.left(61.0)) == (6, 10)


def test_a_quota_frees_what_an_answer_did_not_use_and_counts_who_is_there():
    clock = [0.0]
    quota = Quota(KeySettings(env="X", tokens_per_minute=100, concurrent=2), now=lambda: clock[0])
    one, two = quota.begin(), quota.begin()
    with pytest.raises(ApiError, match="2 requests at once"):
        quota.begin()
    one.reserve(90)
    with pytest.raises(ApiError, match="100 tokens in a minute") as error:
        two.reserve(20)
    assert (error.value.status, error.value.retry_s) == (429, 60)
    assert error.value.headers["x-ratelimit-remaining-tokens"] == "10"
    one.end(15)
    one.end(15)
    two.reserve(80)
    assert quota.num_open == 1
    clock[0] = 60.0
    assert quota.headers()["x-ratelimit-reset-tokens"] == "0s"
