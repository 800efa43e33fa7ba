"""What cannot be met is refused with an error object that names the parameter; nobody else notices."""

import re
import socket
import threading
from collections.abc import Callable

import pytest

from burnish.model.base import Base
from burnish.records import ModelVersion
from tests.serve.town import chat, serving, unasked, user

SOUND = {"model": "ada", "messages": user("hello there"), "max_tokens": 4}
KEY = "k" * 32


def deep(levels: int) -> str:
    return '{"model":' + "[" * levels + "]" * levels + "}"


WRONG = {
    "max_tokens": [10**9, -1, 0, "5", 1.5, True, 5000],
    "max_completion_tokens": [10**9, 3],
    "n": [10**6, 0, 2],
    "top_logprobs": [10**6, -1, 3],
    "temperature": [-0.1, 2.1, "hot"],
    "top_p": [0, 2, -1],
    "stop": [["x"] * 5, "", "y" * 300, [1]],
    "seed": [2**63, 1.5, "1"],
    "logit_bias": [{"50256": -100}],
    "presence_penalty": [0.5],
    "stream_options": [{"include_usage": True}],
    "messages": [[], "hi", [{"role": "tool", "content": "x"}], [{"role": "user", "content": [{"type": "image_url"}]}]],
    "response_format": [{"type": "xml"}, {"type": "json_schema"}],
    "model": ["", 5, None],
    "tools": [[]],
    "chat_template": ["{{ 1 }}"],
    "chat_template_kwargs": [{}],
    "lora_path": ["/etc"],
    "guided_regex": ["(a+)+"],
    "prompt_embeds": ["x"],
}


@pytest.mark.parametrize("param", WRONG)
def test_a_value_that_cannot_be_met_is_a_400_that_names_its_parameter(town, param):
    for value in WRONG[param]:
        answer = town.post("/v1/chat/completions", SOUND | {param: value})
        assert answer.status_code == 400, value
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        named = {"messages": "messages", "top_logprobs": None, "stream_options": None, "max_completion_tokens": None}
        assert error["param"] in (param, named.get(param, param)), error


def test_numbers_that_are_none_and_schemas_that_cannot_be_held_to_are_refused(town):
    for body in (b'{"model":"ada","temperature":NaN}', b'{"model":"ada","top_p":Infinity}', b"{", b"[]", b"\xff", b""):
        assert town.post("/v1/chat/completions", body).status_code == 400, body
    for schema in ({"type": "what"}, {"$ref": "http://127.0.0.1/x"}, {"enum": ["x" * 10**5]}):
        wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
        error = town.post("/v1/chat/completions", SOUND | {"response_format": wanted})
        assert (error.status_code, error.json()["error"]["param"]) == (400, "response_format")
    long = town.post("/v1/chat/completions", SOUND | {"messages": user("word " * 600)}).json()["error"]
    assert (long["code"], long["param"]) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize(
    "name", ["Ada", "ada ", "../ada", "ada/", "champion", "SMALL", "small@nobody", "other@ada", "builtin:english-10m"]
)
def test_a_name_that_is_no_model_is_not_found_and_never_the_base(town, name):
    for path in ("/v1/chat/completions", "/v1/completions"):
        body = {"model": name, "max_tokens": 4} | ({"prompt": "x"} if "chat" not in path else {"messages": user("x")})
        answer = town.post(path, body)
        assert answer.status_code == 404
        assert answer.json()["error"] | {"message": ""} == {
            "message": "",
            "type": "not_found_error",
            "param": "model",
            "code": "model_not_found",
        }


def test_a_version_can_be_asked_for_as_project_at_version(town):
    assert chat(town, "small@ada", "hello", max_tokens=1).model == "ada"


def test_bodies_too_large_too_deep_or_too_many_are_refused_while_others_are_served(town):
    assert town.post("/v1/chat/completions", b"x" * (2**22 + 1)).status_code == 413
    assert town.post("/v1/chat/completions", deep(100_000).encode()).status_code == 400
    many = SOUND | {"messages": user("x") * 2000}
    assert town.post("/v1/chat/completions", many).status_code == 400
    with socket.create_connection(("127.0.0.1", town.port), timeout=20) as endless:
        endless.sendall(
            f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{town.port}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 2**26:
                endless.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        assert sent < 2**26
        assert chat(town, "ada", "hello", max_tokens=1).usage.completion_tokens == 1
    headers = town.raw(f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{town.port}\r\nX: {'y' * 2**20}\r\n\r\n")
    assert headers.startswith((b"HTTP/1.1 4", b""))
    assert chat(town, "ada", "hello", max_tokens=1)


def test_a_request_that_two_servers_would_read_in_two_ways_is_refused(town):
    host = f"Host: 127.0.0.1:{town.port}\r\n"
    posted = f"POST /v1/completions HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
    two_lengths = f"{posted}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for request in (two_lengths, f"{posted}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"):
        assert town.raw(request).startswith(b"HTTP/1.1 400")
    assert town.raw(f"GET /v1/models HTTP/1.1\r\n{host}{host}\r\n").startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
    ranges = "bytes=" + ",".join("0-1" for _ in range(2000))
    assert town.get("/v1/models", range=ranges).status_code == 200


def test_without_a_key_only_programs_of_this_machine_are_answered(town):
    for headers in ({"host": "evil.example"}, {"host": f"127.0.0.1.:{town.port}"}, {"origin": "http://evil.example"}):
        assert town.get("/v1/models", **headers).status_code == 421
    assert town.get("/healthz", host="evil.example").status_code == 200


def test_with_a_key_nothing_but_health_is_told_without_it(furnished):
    with serving(furnished, key=KEY) as town:
        routes = [("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("POST", "/v1/completions")]
        routes += [("POST", "/v1/chat/completions"), ("GET", "/nowhere")]
        for method, path in routes:
            for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"api-key": KEY}):
                answer = town.ask(method, path, headers=given)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key"), path
            assert town.ask(method, f"{path}?key={KEY}").status_code == 401
        assert [town.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        client = town.client(key=KEY)
        assert client.chat.completions.create(**SOUND).model == "ada"


def test_an_error_of_ours_says_a_number_and_its_detail_is_in_the_log_alone(project, caplog):
    def picky(base: Base, version: ModelVersion) -> Callable[[], str]:
        if version.name == "ada":
            raise RuntimeError("at /home/me/.burnish")
        return unasked(base, version)

    with serving(project, check=picky) as town, caplog.at_level("ERROR", logger="burnish.serve"):
        refused = town.post("/v1/chat/completions", SOUND)
        assert refused.status_code == 503
        assert "home" not in refused.text
        assert "at /home/me/.burnish" in caplog.text
        project.store.db.path.rename(project.folder / "gone.db")
        failed = town.post("/v1/chat/completions", SOUND)
        assert failed.status_code == 500
        number = re.fullmatch(r"Something went wrong here, .* Error ([0-9a-f]{8})\.", failed.json()["error"]["message"])
        assert number[1] in caplog.text
        assert "Traceback" in caplog.text
        assert town.get("/healthz").status_code == 200


def test_a_metric_has_no_label_that_a_client_made_up(town):
    def series() -> int:
        return sum(not line.startswith("#") for line in town.get("/metrics").text.splitlines())

    town.post("/v1/chat/completions", SOUND | {"model": "made-up"})
    before = series()
    threads = [
        threading.Thread(target=lambda at=at: town.post("/v1/completions", {"model": f"x{at}", "prompt": "secret"}))
        for at in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    town.post("/v1/completions", {"model": "made-up", "prompt": "secret"})
    assert series() - before <= 20  # the series of one more endpoint
    assert "secret" not in town.get("/metrics").text
    assert "x39" not in town.get("/metrics").text
