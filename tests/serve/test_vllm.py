"""vLLM behind the server's own doors: what it says is what the engine of this process says, and its faults are told."""

import json
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn
from openai import APIError, InternalServerError, OpenAI

from burnish.errors import ModelError
from burnish.loop.probing import recall
from burnish.loop.project import SETTINGS_FILE, Project, open_project, settings_with
from burnish.model.base import Base
from burnish.port import listen
from burnish.registry import champion, get
from burnish.serve.server import Tenant
from burnish.serve.vllm_adapters import VllmSource
from burnish.serve.vllm_engine import VllmEngine
from burnish.serve.vllm_keeper import Patience
from burnish.serve.vllm_setup import KEY, make_engine
from burnish.settings.text import write_settings
from tests.cli.calls import burnish
from tests.serve import vllm_standin
from tests.serve.test_serve_command import asking, started
from tests.serve.town import Town, bench_of, chat, serving, user
from tests.serve.vllm_standin import StandIn, app_of

ASKED = ("the password is refused", "when is my money sent", "I want a hearing")
SECRET = "k" * 20
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "ticket",
        "schema": {
            "type": "object",
            "properties": {"topic": {"enum": ["payment", "login"]}, "urgent": {"type": "boolean"}},
            "required": ["topic", "urgent"],
            "additionalProperties": False,
        },
    },
}
QUICK = Patience(start_s=60.0, look_s=0.05, answer_s=2.0)


@dataclass(frozen=True)
class Yard:
    """A stand-in that listens, and how an engine over it is made."""

    standin: StandIn
    url: str

    def misbehave(self, fault: str) -> None:
        """From now on, until it is told an empty word."""
        misbehave(self.standin.faults, fault)

    def engine(self, base: Base, tenants: Sequence[Tenant], **limits: int) -> VllmEngine:
        """An engine for these projects."""
        sources = {
            one.settings.project: VllmSource(store=one.store, recall=recall(open_project(one.store.root.parent)))
            for one in tenants
        }
        settings = [settings_with(one.settings, {"serve.vllm.url": self.url}) for one in tenants]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KEY, SECRET)
            return make_engine(base, sources, settings, patience=QUICK, **limits)


@pytest.fixture(scope="module")
def yard(furnished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    standin = StandIn(bench_of(furnished), SECRET, tmp_path_factory.mktemp("standin") / "faults", name="org/base")
    with listen("127.0.0.1", 0) as bound:
        bound.listen(64)
        server = uvicorn.Server(uvicorn.Config(app_of(standin), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        yield Yard(standin, f"http://127.0.0.1:{bound.getsockname()[1]}")
        server.should_exit = server.force_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def other(yard: Yard, furnished: Project) -> Iterator[Town]:
    """The project behind vLLM."""
    with serving(furnished, engine=yard.engine) as other:
        yield other


def misbehave(faults: Path, fault: str) -> None:
    """Writes the word at once, so that nobody reads an empty file meanwhile."""
    written = faults.with_suffix(".next")
    written.write_text(fault)
    written.replace(faults)


@contextmanager
def misbehaving(yard: Yard, fault: str) -> Iterator[None]:
    """The fault while the block runs."""
    yard.misbehave(fault)
    try:
        yield
    finally:
        yard.misbehave("")


def again(client: OpenAI, wish: dict[str, Any]) -> str:
    """The answer, once vLLM is there again; until its end is noticed, clients are told to ask again."""
    for _ in range(600):
        try:
            return client.chat.completions.create(**wish).choices[0].message.content
        except InternalServerError as error:
            if error.code != "engine_restarting":
                raise
            time.sleep(0.1)
    raise AssertionError("vLLM did not come back")


def until(is_so: Callable[[], bool]) -> bool:
    """Waits for something that comes by itself."""
    for _ in range(6000):
        if is_so():
            return True
        time.sleep(0.01)
    return False


def test_what_vllm_writes_chooses_and_draws_under_a_schema_is_what_the_own_engine_says(other, town, furnished):
    wishes = [
        {"max_tokens": 12, "logprobs": True, "top_logprobs": 3},
        {"max_tokens": 40, "response_format": SCHEMA, "logprobs": True},
        {"response_format": {"type": "task"}, "logprobs": True},
    ]
    for name in ("small", "ada", "base"):
        for text, wish in zip(ASKED, wishes, strict=True):
            ours, theirs = (chat(place, name, text, **wish) for place in (town, other))
            assert theirs.choices[0].message.content == ours.choices[0].message.content
            assert theirs.choices[0].finish_reason == ours.choices[0].finish_reason
            assert (theirs.model, theirs.usage) == (ours.model, ours.usage)
            for mine, its in zip(ours.choices[0].logprobs.content, theirs.choices[0].logprobs.content, strict=True):
                assert (its.token, its.logprob) == (mine.token, pytest.approx(mine.logprob, abs=1e-3))
                assert [one.token for one in its.top_logprobs] == [one.token for one in mine.top_logprobs]
    assert json.loads(
        theirs.choices[0].message.content and chat(other, "base", "x", **wishes[1]).choices[0].message.content
    )
    champions = other.get("/v1/models/small").json()
    assert champions["checked"] == "8 stored answers came out of vLLM again within 0.1%"
    assert champions["root"] == champion(furnished.store).name


def test_streams_stop_texts_and_seeds_are_as_ever(other):
    whole = chat(other, "ada", ASKED[0], max_tokens=24).choices[0].message.content
    pieces = list(chat(other, "ada", ASKED[0], max_tokens=24, stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole
    assert len(pieces) > 8
    stop = whole[8:10]
    assert (
        chat(other, "ada", ASKED[0], max_tokens=24, stop=stop).choices[0].message.content == whole[: whole.index(stop)]
    )
    wild = {"max_tokens": 12, "temperature": 1.5}
    drawn = [chat(other, "ada", ASKED[0], seed=seed, **wild).choices[0].message.content for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    said = other.client().completions.create(model="ada", prompt="Once", max_tokens=5, logprobs=2)
    assert len(said.choices[0].logprobs.tokens) == 5


def test_an_adapter_that_vllm_mixes_up_never_answers_and_a_vllm_that_lacks_something_is_refused(yard, furnished):
    name = champion(furnished.store).name
    with misbehaving(yard, "wrong"):
        told = f"cannot be served: {name} does not answer in vLLM as it was measured: 8 of 8"
        with pytest.raises(ModelError, match=told), serving(furnished, engine=yard.engine):
            pass
    with (
        misbehaving(yard, "old"),
        pytest.raises(ModelError, match="0 does not answer as burnish needs it"),
        serving(furnished, engine=yard.engine),
    ):
        pass


def test_a_client_that_leaves_ends_the_work_in_vllm(yard, other):
    with misbehaving(yard, "hold"):
        held = chat(other, "ada", ASKED[0], max_tokens=24, stream=True)
        next(held)
        next(held)
        before = yard.standin.num_aborted
        held.close()
        assert until(lambda: yard.standin.num_aborted == before + 1 and not other.service.engine.num_active)


def test_a_vllm_that_fails_or_hangs_is_told_and_what_waits_is_answered_once_it_is_back(yard, other):
    with misbehaving(yard, "fail"), pytest.raises(InternalServerError) as failed:
        chat(other, "ada", ASKED[0], max_tokens=2)
    assert (failed.value.status_code, failed.value.code) == (503, "engine_restarting")
    assert failed.value.response.headers["retry-after"] == "10"
    before = chat(other, "ada", ASKED[0], max_tokens=6).choices[0].message.content
    with misbehaving(yard, "hold"):
        held = chat(other, "ada", ASKED[0], max_tokens=24, stream=True)
        next(held)
        yard.misbehave("hang")
        with pytest.raises(APIError, match="begin anew"):
            list(held)
        assert until(lambda: other.get("/readyz").text == "restarting\n")
        with ThreadPoolExecutor(1) as asking:
            waits = asking.submit(chat, other, "ada", ASKED[0], max_tokens=6)
            assert until(lambda: other.service.engine.num_waiting == 1)
            yard.misbehave("")
            assert waits.result(30).choices[0].message.content == before
    assert other.get("/readyz").text == "ready\n"


def test_projects_share_a_vllm_with_room_for_two_adapters_and_get_no_answer_of_another(yard, furnished, twin, town):
    asked = [(name, text) for text in ASKED for name in ("ada", "bea", "cyd")]
    expected = {one: chat(town, *one, max_tokens=4).choices[0].message.content for one in asked}
    salts = {name: set(found) for name, found in yard.standin.salts.items()}
    begun = len(yard.standin.history)
    with (
        serving(furnished, twin, engine=partial(yard.engine, most_adapters=2)) as both,
        ThreadPoolExecutor(6) as threads,
    ):
        ways = [(f"{project}@{name}", text) for project in ("small", "twin") for name, text in asked]
        said = list(threads.map(lambda way: chat(both, *way, max_tokens=4), ways))
        chat(both, "small@base", ASKED[0], max_tokens=1)
        chat(both, "twin@base", ASKED[0], max_tokens=1)
        assert both.service.engine.pool.loads.evicted > 0
        assert both.service.engine.pool.loads.refused == 0
    own = [one.choices[0].message.content for one in said[: len(asked)]]
    assert own == [expected[one] for one in asked]
    assert len(yard.standin.salts["org/base"] - salts.get("org/base", set()) - {"contract"}) == 2
    held: set[str] = set()
    for what, name in yard.standin.history[begun:]:
        (held.add if what == "load" else held.discard)(name)
        assert len(held) <= 2
    names = {name for _, name in yard.standin.history[begun:]}
    assert {name.rsplit("/", 1)[0] for name in names} >= {
        f"{project}/{one}/{get(furnished.store, one).adapter_hash}"
        for project in ("small", "twin")
        for one in ("ada", "bea", "cyd")
    }


def test_without_vllm_it_says_how_to_install_it_and_other_machines_are_not_asked(project):
    call = burnish("serve", "--project", project.folder, "--engine", "vllm", "--set", "serve.vllm.command=no-such-vllm")
    assert (call.code, call.out) == (2, "")
    assert "pip install vllm" in call.err
    call = burnish("serve", "--project", project.folder, "--set", "serve.vllm.url=http://10.0.0.1:8000")
    assert call.code == 78
    assert "serve.vllm.url" in call.err


def test_a_vllm_of_its_own_is_begun_anew_when_it_dies_and_goes_when_the_server_is_killed(project, tmp_path):
    faults = tmp_path / "faults"
    command = shlex.join([sys.executable, vllm_standin.__file__])
    changes = {"serve.vllm.command": command, "serve.vllm.args": ["--faults", str(faults)], "serve.engine": "vllm"}
    write_settings(project.folder / SETTINGS_FILE, settings_with(project.settings, changes))
    ada = {"model": "ada", "messages": user("tell me all of it"), "max_tokens": 8}
    with started("--project", project.folder, BURNISH_TEACHER_KEY="t" * 20) as (process, told), asking(told) as client:
        before = client.chat.completions.create(**ada).choices[0].message.content
        misbehave(faults, "die")
        with pytest.raises(APIError, match="begin anew"):
            list(client.chat.completions.create(**ada, stream=True))
        misbehave(faults, "")
        assert again(client, ada) == before
        vllm = [one for one in psutil.Process(process.pid).children(recursive=True) if one.is_running()]
        assert any("--uds" in one.cmdline() for one in vllm)
        process.kill()
        _, alive = psutil.wait_procs(vllm, timeout=30)
        assert not alive
    log = (project.store.root / "logs" / "vllm.log").read_text()
    assert "tell me" not in log
    assert "vLLM has ended; it is begun anew" in (project.store.root / "logs" / "serve.log").read_text()
