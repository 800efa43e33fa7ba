"""Many adapters in one batch over one base: each answers its own requests, whoever is loaded, let go or promoted."""

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from burnish.model.base import Base
from burnish.model.generator import Request
from burnish.records import Message, ModelVersion
from burnish.registry import champion, get, promote, rollback
from burnish.serve.engine import Began, Ended, Engine, Job, Said, Spoke
from tests.serve.town import NAMES, Town, alone, bench_of, chat, pool_of, serving, unasked, user

ASKED = ("the password is refused", "when is my money sent to me", "I want a hearing about this ruling")
TOKENS = 20
REQUESTS, SHORT = 300, 8
"""Requests, and tokens of each answer, while the champion changes."""


def test_eight_clients_with_as_many_adapters_each_get_their_own_adapters_answer(town, furnished):
    names = (*NAMES, "base")

    def ask(name: str) -> list[tuple[str, str]]:
        raws = [
            town.client().chat.completions.with_raw_response.create(model=name, messages=user(text), max_tokens=TOKENS)
            for text in ASKED
        ]
        return [(raw.headers["x-burnish-adapter"], raw.parse().choices[0].message.content) for raw in raws]

    with ThreadPoolExecutor(len(names)) as clients:
        said = dict(zip(names, clients.map(ask, names), strict=True))
    for name in names:
        version = get(furnished.store, name)
        assert said[name] == [(version.adapter_hash, alone(furnished, version, text, TOKENS).text) for text in ASKED]
    assert len({tuple(texts) for texts in said.values()}) == len(names)


def test_promotions_and_rollbacks_under_load_lose_no_request_and_mix_no_answer(project, furnished):
    first = champion(project.store)
    versions = {name: get(furnished.store, name) for name in (*NAMES, first.name)}
    expected = {
        (name, text): alone(furnished, version, text, SHORT).text
        for name, version in versions.items()
        for text in ASKED
    }
    for text in ASKED:
        assert len({expected[name, text] for name in versions}) == len(versions), "each adapter answers in its own way"
    numbers, heard = iter(range(REQUESTS)), dict[int, tuple[str, str, str]]()

    def ask(town: Town) -> None:
        for number in numbers:
            model = "small" if number % 3 else NAMES[number % len(NAMES)]
            with town.client().chat.completions.with_streaming_response.create(
                model=model, messages=user(ASKED[number % len(ASKED)]), max_tokens=SHORT, stream=True
            ) as raw:
                pieces = list(raw.parse())
                said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
                assert pieces[-1].choices[0].finish_reason
                heard[number] = (raw.headers["x-burnish-version"], raw.headers["x-burnish-adapter"], said)

    with serving(project) as town, ThreadPoolExecutor(8) as clients:
        going = [clients.submit(ask, town) for _ in range(8)]
        turn = 0
        while not all(one.done() for one in going):
            promote(project.store, NAMES[turn % len(NAMES)], "under load", "test")
            if turn % 2:
                rollback(project.store, "and back")
            turn, wanted = turn + 1, len(heard) + 8
            while len(heard) < wanted and not all(one.done() for one in going):
                wait(going, timeout=0.01)
        promote(project.store, "gus", "the last one", "test")
        assert chat(town, "small", ASKED[0], max_tokens=1).model == "gus"
        for one in going:
            one.result()
    assert sorted(heard) == list(range(REQUESTS))
    for number, (name, adapter, said) in heard.items():
        assert number % 3 or name == NAMES[number % len(NAMES)]
        assert adapter == versions[name].adapter_hash
        assert said == expected[name, ASKED[number % len(ASKED)]], (number, name)
    assert len({name for number, (name, _, _) in heard.items() if number % 3}) >= 3


def test_an_adapter_whose_reading_hangs_stops_nobody_elses_tokens(project, furnished):
    began, disk = threading.Event(), threading.Event()

    def slow(base: Base, version: ModelVersion) -> Callable[[], str]:
        if version.name == "bea":
            began.set()
            assert disk.wait(60)
        return unasked(base, version)

    with serving(project, check=slow) as town, ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(chat, town, "bea", ASKED[0], max_tokens=TOKENS)
        assert began.wait(60)
        for name in ("ada", "cyd", "base"):
            expected = alone(furnished, get(furnished.store, name), ASKED[0], TOKENS).text
            assert chat(town, name, ASKED[0], max_tokens=TOKENS).choices[0].message.content == expected
        assert not waiting.done()
        assert town.service.engine.num_waiting == 1
        disk.set()
        said = waiting.result(timeout=60).choices[0].message.content
        assert said == alone(furnished, get(furnished.store, "bea"), ASKED[0], TOKENS).text


HANGING = """
import threading
from burnish.records import ModelVersion
from burnish.serve.reads import Reads, Source

class Disk:
    def path_of(self, place):
        threading.Event().wait()

facts = dict(base="b", base_hash="h", template_hash="t", adapter_hash="a", artifact="place")
reads = Reads(None, {"small": Source(store=Disk(), check=None)})
assert reads.take("small", ModelVersion(name="ada", round=1, **facts), lambda: None) is None
"""


def test_an_adapter_whose_reading_hangs_does_not_keep_the_process_from_ending():
    assert subprocess.run([sys.executable, "-c", HANGING], timeout=60, check=False).returncode == 0


class Heard:
    """What an engine tells about one job."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def text(self) -> str:
        """The answer, once it is whole."""
        while not isinstance(said := self.said.get(timeout=60), Ended):
            assert isinstance(said, Began | Spoke), said
        return said.text


def test_with_memory_for_one_adapter_all_are_served_in_turn(furnished):
    base = bench_of(furnished)
    pool = pool_of(furnished, base)
    engine = Engine(pool, max_rows=8)
    engine.start()
    versions = [get(furnished.store, name) for name in (*NAMES[:3], "base") * 3]
    prompt = tuple(base.chat.render_prompt([Message(role="user", content=ASKED[0])]))
    heard = [Heard() for _ in versions]
    for version, one in zip(versions, heard, strict=True):
        request = Request(prompt=prompt, max_new_tokens=TOKENS)
        engine.submit(Job(project="small", request=request, versions=(version,), tell=one.said.put))
    texts = [one.text() for one in heard]
    assert engine.close(20)
    assert texts == [alone(furnished, version, ASKED[0], TOKENS).text for version in versions]
    assert pool.bank.num_slots == 1
    assert pool.loads.evicted >= 2
    pool.close()


def test_an_answer_that_nobody_can_be_told_costs_the_others_nothing(furnished):
    def deaf(said: Said) -> None:
        raise ValueError(said)

    base, version = bench_of(furnished), get(furnished.store, NAMES[0])
    pool = pool_of(furnished, base)
    engine = Engine(pool, max_rows=8)
    engine.start()
    heard = Heard()
    prompt = tuple(base.chat.render_prompt([Message(role="user", content=ASKED[0])]))
    for tell in (deaf, heard.said.put):
        engine.submit(
            Job(project="small", request=Request(prompt=prompt, max_new_tokens=TOKENS), versions=(version,), tell=tell)
        )
    assert heard.text() == alone(furnished, version, ASKED[0], TOKENS).text
    assert engine.close(20)
    pool.close()


def test_an_adapter_in_use_is_never_let_go(furnished):
    pool = pool_of(furnished)
    forgotten: list[int] = []
    ada, bea = (get(furnished.store, name) for name in NAMES[:2])
    lease: Callable[..., int | None] = pool.lease
    assert lease("small", ada, forgotten.append) == 0
    assert lease("small", ada, forgotten.append) == 0
    assert lease("small", bea, forgotten.append) is None
    pool.release(0)
    assert lease("small", bea, forgotten.append) is None
    pool.release(0)
    forgotten.clear()
    assert lease("small", bea, forgotten.append) == 0
    assert pool.names == ("bea",)
    assert 0 in forgotten
    pool.close()
