"""Several projects in one server: each answers by its own names, keys, task and log, and none learns of another."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from burnish.config import KeySettings
from burnish.errors import UsageError
from burnish.fakes import tiny_folder
from burnish.loop.one_base import shared_base
from burnish.loop.project import Project, open_project, settings_with
from burnish.model.base import Base
from burnish.model.generate import generate
from burnish.records import Message
from burnish.registry import champion, get
from burnish.serve.guard import door
from burnish.serve.keys import Key, key_of, keys_of
from burnish.serve.quota import Quota
from burnish.settings.text import write_settings
from burnish.talk import Silence
from tests.serve.test_leaving import until
from tests.serve.town import Town, alone, bench_of, chat, serving, user, wearing

ALL, SMALL, TWIN = "a" * 32, "s" * 32, "t" * 32
ASKED = ("the password is refused", "when is my money sent to me", "I want a hearing about this ruling")
KEYS = [key_of(SMALL, "SMALL_KEY", project="small"), key_of(TWIN, "TWIN_KEY", project="twin")]


@pytest.fixture(scope="module")
def street(furnished: Project, twin: Project) -> Iterator[Town]:
    """Both projects behind keys, one of each, and one that opens all."""
    with serving(furnished, twin, key=ALL, keys=KEYS) as town:
        yield town


def asked(town: Town, key: str, method: str, path: str, body: object = None) -> tuple[int, bytes, set[str]]:
    answer = town.ask(method, path, json=body, headers={"authorization": f"Bearer {key}"})
    return answer.status_code, answer.content, set(answer.headers)


def told(project: Project, base: Base, name: str) -> list[str]:
    """What a version of the twin says alone, behind its task's instruction."""
    told = Message(role="system", content="Name the topic.")
    prompts = [base.chat.render_prompt([told, Message(role="user", content=text)]) for text in ASKED]
    with wearing(base, project.store.root / get(project.store, name).artifact):
        return [answer.text for answer in generate(base, prompts, max_new_tokens=20)]


def test_in_company_each_project_says_what_it_says_alone_under_its_names(street, furnished, twin):
    names = {
        "small": champion(furnished.store).name,
        "small@ada": "ada",
        "twin": "bea",
        "twin@zed": "zed",
        "zed": "zed",
    }

    def ask(name: str) -> list[tuple[str, str]]:
        said = [
            street.client(ALL).chat.completions.create(model=name, messages=user(text), max_tokens=20) for text in ASKED
        ]
        return [(one.model, one.choices[0].message.content) for one in said]

    street.client(ALL)
    with ThreadPoolExecutor(len(names)) as clients:
        found = dict(zip(names, clients.map(ask, names), strict=True))
    for name in ("small", "small@ada"):
        version = get(furnished.store, names[name])
        assert found[name] == [(version.name, alone(furnished, version, text, 20).text) for text in ASKED]
    base = bench_of(twin)
    for name in ("twin", "twin@zed"):
        assert found[name] == [(names[name], text) for text in told(twin, base, names[name])]
    assert found["zed"] == found["twin@zed"]


def test_a_name_that_several_projects_have_is_told_with_the_names_that_one_has(street):
    status, body, _ = asked(street, ALL, "POST", "/v1/chat/completions", {"model": "ada", "messages": user("x")})
    assert status == 400
    assert b"model_ambiguous" in body
    assert b"small@ada, twin@ada" in body
    said = street.client(SMALL).chat.completions.create(model="ada", messages=user("x"), max_tokens=1)
    assert said.model == "ada"
    assert {"small", "twin", "small@base", "twin@base", "twin@zed"} < {
        one.id for one in street.client(ALL).models.list()
    }


def test_what_a_key_does_not_open_is_not_there_to_the_last_byte(street, twin):
    hidden = ["twin", "twin@zed", "zed", "twin@ada"]
    nowhere = ["nobody", "no@body", "ZED", "twin@nobody"]
    for ask in (
        lambda name: ("GET", f"/v1/models/{name}", None),
        lambda name: ("POST", "/v1/chat/completions", {"model": name, "messages": user("x"), "max_tokens": 1}),
        lambda name: ("POST", "/v1/completions", {"model": name, "prompt": "x", "max_tokens": 1}),
    ):
        answers = {asked(street, SMALL, *ask(name))[:2] for name in (*hidden, *nowhere)}
        assert [status for status, _ in answers] == [404]
        assert asked(street, TWIN, *ask("zed"))[0] == 200
    pages = [asked(street, SMALL, "GET", path)[1] for path in ("/v1/models", "/readyz", "/openapi.json")]
    assert not any(word in page for page in pages for word in (b"twin", b"zed"))
    ids = [one.id for one in street.client(SMALL).models.list()]
    assert ids[0] == "small"
    assert "ada" in ids
    assert asked(street, SMALL, "GET", "/metrics")[0] == asked(street, SMALL, "GET", "/nowhere")[0] == 404
    page = asked(street, ALL, "GET", "/metrics")[1]
    assert b'project="twin"' in page
    assert asked(street, "w" * 32, "GET", "/v1/models")[0] == 401


def test_feedback_on_an_answer_of_another_project_finds_none(project, twin):
    with serving(project, twin, keys=KEYS, **{"traffic.keep": True}) as town:
        said = town.client(TWIN).chat.completions.create(model="twin", messages=user("x"), max_tokens=1)
        body = {"response_id": said.id, "thumb": "up"}
        theirs, nobodys = (
            asked(town, SMALL, "POST", "/v1/feedback", body | {"response_id": id})[:2] for id in (said.id, "chatcmpl-0")
        )
        assert theirs == nobodys
        assert theirs[0] == 404
        assert asked(town, TWIN, "POST", "/v1/feedback", body)[0] == 200


def test_beyond_its_quota_a_key_is_told_when_to_come_back_and_its_neighbour_is_answered(furnished, twin):
    limits = KeySettings(env="SMALL_KEY", requests_per_minute=3, tokens_per_minute=5000, concurrent=1)
    small = Key(name="app", project="small", digest=KEYS[0].digest, quota=Quota(limits, now=lambda: 0.0))
    body = {"model": "small", "messages": user("hello"), "max_tokens": 2}
    with serving(furnished, twin, keys=[small, KEYS[1]]) as town:
        first = town.ask("POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {SMALL}"})
        assert first.headers["x-ratelimit-limit-requests"] == "3"
        assert first.headers["x-ratelimit-remaining-requests"] == "2"
        used = first.json()["usage"]["total_tokens"]
        assert int(first.headers["x-ratelimit-remaining-tokens"]) == 5000 - used
        with town.client(SMALL).chat.completions.create(**body | {"max_tokens": 400}, stream=True) as stream:
            next(stream)
            second = town.ask("POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {SMALL}"})
            assert (second.status_code, second.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        until(lambda: small.quota.num_open == 0)
        codes = [asked(town, SMALL, "POST", "/v1/chat/completions", body)[0] for _ in range(2)]
        assert codes == [200, 429]
        last = town.ask("POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {SMALL}"})
        assert set(last.json()["error"]) == {"message", "type", "param", "code"}
        assert (last.headers["retry-after"], last.headers["x-ratelimit-reset-requests"]) == ("60", "60s")
        answer = town.ask(
            "POST", "/v1/chat/completions", json=body | {"model": "twin"}, headers={"authorization": f"Bearer {TWIN}"}
        )
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        assert 'project="small",status="429"' in town.service.metrics.text().decode()


def test_a_neighbour_that_fills_all_places_takes_nobodys_share(furnished, twin):
    long = {"model": "small@ada", "text": "tell me all of it", "max_tokens": 90}
    with serving(furnished, twin, max_rows=1, max_waiting=3) as town, ThreadPoolExecutor(8) as clients:
        going = [clients.submit(chat, town, **long) for _ in range(8)]
        until(lambda: town.service.engine.num_active + town.service.engine.num_waiting >= 4)
        assert chat(town, "twin", "hello", max_tokens=1).model == "bea"
        for one in going:
            one.exception(timeout=60)


def test_a_place_for_others_wants_a_key_for_every_project_and_every_key_a_text_of_its_own(monkeypatch):
    both = ["small", "twin"]
    for host, keys, of_all, problem in [
        ("0.0.0.0", [], None, "no key is configured"),
        ("0.0.0.0", KEYS[:1], None, "none opens the project twin"),
        ("127.0.0.1", KEYS[:1], None, "none opens the project twin"),
        ("127.0.0.1", [KEYS[0], key_of(SMALL, "X", project="twin")], None, "same text"),
        ("127.0.0.1", KEYS, TWIN, "same text"),
    ]:
        with pytest.raises(UsageError, match=problem):
            door(host, 1, of_all, keys, both)
    assert len(door("0.0.0.0", 1, None, KEYS, both).keys) == 2
    assert len(door("0.0.0.0", 1, ALL, KEYS[:1], both).keys) == 2
    with pytest.raises(UsageError, match="the key app of small is to be in APP_KEY, which is not set"):
        keys_of("small", {"app": KeySettings(env="APP_KEY")}, {})
    with pytest.raises(UsageError, match="has 5 characters"):
        keys_of("small", {"app": KeySettings(env="APP_KEY")}, {"APP_KEY": "short"})


def test_projects_of_one_name_or_of_other_bases_are_refused_with_both_names(furnished, twin, tmp_path):
    with pytest.raises(UsageError, match=r"desk and .*desk are both named small"):
        shared_base([furnished, open_project(furnished.folder)], Silence())
    strange = tiny_folder(tmp_path / "strange", "llama", seed=7)
    folder = shutil.copytree(twin.folder, tmp_path / "other")
    write_settings(folder / "burnish.yaml", settings_with(twin.settings, {"base": str(strange)}))
    with pytest.raises(UsageError, match=r"small with the base .* and twin with the base .*strange"):
        shared_base([furnished, open_project(folder)], Silence())
    write_settings(folder / "burnish.yaml", settings_with(twin.settings, {"train.precision": "bfloat16"}))
    with pytest.raises(UsageError, match="small is measured in float32 and twin in bfloat16"):
        shared_base([furnished, open_project(folder)], Silence())
    assert shared_base([furnished, twin], Silence()).precision == "float32"
