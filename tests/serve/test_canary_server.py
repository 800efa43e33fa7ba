"""A real server and the real client while a canary runs: who answers, what a rollback changes, what nobody sees."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from burnish.loop.canary import start, step, watched
from burnish.loop.project import Project, settings_with
from burnish.model.generator import Request
from burnish.registry import champion, get
from burnish.serve.asked import ChatAsked
from burnish.serve.canary import conversation_of
from burnish.serve.catalog import Catalog
from burnish.serve.engine import Ended, Engine, Job
from burnish.serve.shadow import IDLE_WITHIN_S, Shadow
from burnish.store.deployments import place_of, running_canary
from burnish.store.outcomes import answer_hash, shadow_answers
from burnish.store.traffic import traffic_since
from burnish.talk import Silence
from tests.serve.town import Town, chat, pool_of, serving, user

KEEP = {"traffic.keep": True}
WHO = {"by": "ann", "reason": "tried out in a test", "force": True}


@pytest.fixture
def project(project: Project) -> Project:
    changes = {"canary.shares": [0.3, 0.6], "canary.look_s": 0.05}
    return replace(project, settings=settings_with(project.settings, changes))


def ask(town: Town, number: int, how: str, model: str = "small"):
    """One turn of a conversation that is named in one of three ways; the answer with its version."""
    named = {"header": {"extra_headers": {"x-conversation-id": f"c{number}"}}, "user": {"user": f"u{number}"}}
    client = town.client().chat.completions.with_raw_response
    raw = client.create(model=model, messages=user(f"question {number}"), max_tokens=1, **named.get(how, {}))
    return raw.headers["x-burnish-version"], raw.parse()


def settled(ready: Callable[[], bool]) -> None:
    """Waits until something is true, which a thread of the server makes so."""
    for _ in range(2000):
        if ready():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


def test_each_conversation_stays_with_its_version_and_the_share_is_that_of_the_stage(project):
    old = champion(project.store).name
    with serving(project, **KEEP) as town:
        assert {ask(town, 1, how)[0] for how in ("header", "user", "opening")} == {old}
        canary = start(project, "ada", mode="split", **WHO)
        with ThreadPoolExecutor(4) as pool:
            for how in ("header", "user", "opening"):
                turns = [version for version, _ in pool.map(lambda n, how=how: ask(town, n % 40, how), range(60))]
                assert turns[:20] == turns[40:]
                # Four standard deviations of a binomial count of 40 at 30%.
                assert abs(turns[:40].count("ada") - 12) <= 12
                assert set(turns) == {"ada", old}
        assert ask(town, 0, "user", "bea")[0] == "bea"
        assert {one.id: one.root for one in town.client().models.list()}["small"] == old
    rows = {row.response_id: row for row in traffic_since(project.store)}
    by_canary = [row for row in rows.values() if row.seq > 3 and row.model != "bea"]
    assert len(by_canary) == 3 * 60
    assert all((place_of(canary, row.conversation) < 0.3) is (row.model == "ada") for row in by_canary)


def test_harm_that_users_report_sends_everybody_back_to_the_champion_and_no_request_fails(project):
    old, canary = champion(project.store).name, start(project, "ada", mode="split", **WHO)
    over, versions = threading.Event(), []

    def keep_asking(town: Town) -> None:
        while not over.is_set():
            versions.append(ask(town, 1000 + len(versions) % 40, "user")[0])

    with serving(project, **KEEP) as town, ThreadPoolExecutor(2) as pool, watched(project, Silence()):
        asking = [pool.submit(keep_asking, town) for _ in range(2)]
        try:
            for number in range(80):
                version, answer = ask(town, number, "user")
                told = {"response_id": answer.id, "thumb": "down" if version == "ada" else "up"}
                assert town.post("/v1/feedback", told).status_code == 200
            settled(lambda: running_canary(project.store) is None)
            assert {ask(town, number, "user")[0] for number in range(30)} == {old}
        finally:
            over.set()
        for one in asking:
            one.result()  # raises where a request failed
    assert {"ada", old} == set(versions)
    assert step(project).act == "none"
    assert champion(project.store).name == old
    assert canary.number == 1


def test_a_challenger_that_cannot_be_loaded_leaves_its_place_to_the_champion(project):
    start(project, "bea", mode="split", **WHO)
    for weights in project.store.path_of(get(project.store, "bea").artifact).glob("*.safetensors"):
        weights.unlink()
    with serving(project) as town:
        assert {ask(town, number, "user")[0] for number in range(20)} == {champion(project.store).name}


def test_a_shadow_answers_unseen_and_only_its_hash_is_kept(project):
    shadowed = replace(project, settings=settings_with(project.settings, {"canary.shadow_share": 1.0}))
    old, canary = champion(project.store).name, start(shadowed, "ada", mode="shadow", **WHO)
    asked = [f"no code comes, case {number}" for number in range(5)]
    form = {"response_format": {"type": "task"}}
    with serving(project, **KEEP) as town:
        ids, shadow = {}, town.service.shadow
        for text in asked:
            said = chat(town, "small", text, extra_body=form)
            assert said.model == old
            ids[said.id] = text
            settled(lambda: shadow.num_answered + shadow.num_dropped == len(ids))
        expected = {
            name: chat(town, "ada", text, extra_body=form).choices[0].message.content for name, text in ids.items()
        }
        assert f"burnish_shadow_answered {float(shadow.num_answered)}" in town.get("/metrics").text
    kept = shadow_answers(project.store, canary, list(ids))
    assert len(kept) == shadow.num_answered >= 3
    assert all(both.challenger == answer_hash(expected[name]) for name, both in kept.items())
    assert {row.model for row in traffic_since(project.store)[:5]} == {old}


def test_a_shadow_ends_at_once_whatever_waits(project):
    shadowed = replace(project, settings=settings_with(project.settings, {"canary.shadow_share": 1.0}))
    start(shadowed, "ada", mode="shadow", **WHO)
    engine = Engine(pool_of(project), max_rows=1)  # never started: whoever asks, waits
    job = Job(project="small", request=Request(prompt=(1,), max_new_tokens=1), versions=(), tell=lambda said: None)
    engine.submit(job)
    shadow, catalog = Shadow(engine), Catalog(store=project.store, project="small", tainted=lambda names: ())
    for number in range(9):
        said = SimpleNamespace(response_id=f"r{number}")
        exchange = SimpleNamespace(asked=SimpleNamespace(model="small"), version=champion(project.store), form=said)
        shadow.offer(catalog, exchange, job, Ended("payment", "stop", -1.0, 1))
    began = time.monotonic()
    shadow.close(60)
    assert time.monotonic() - began < IDLE_WITHIN_S / 2
    engine.pool.close()


def test_a_conversation_is_named_by_header_then_user_then_how_it_opens():
    turns = [{"role": "system", "content": "be kind"}, *user("hello")]
    later = [*turns, {"role": "assistant", "content": "hi"}, *user("and now?")]

    def key(messages: list, header: str = "", **more: str) -> str:
        return conversation_of(ChatAsked(model="m", messages=messages, **more), {"x-conversation-id": header})

    assert key(turns) == key(later) != key(user("hello"))
    assert key(turns, user="ann") == key(user("other"), user="ann") != key(turns)
    assert key(turns, "c1", user="ann") == key(user("other"), "c1") != key(turns, "c2")
