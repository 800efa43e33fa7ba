"""Clients that leave, wait, come in crowds or do not read cost the others nothing."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import InternalServerError, RateLimitError

from burnish import http_server
from burnish.http_server import LONGEST_HEADERS
from tests.serve.town import Town, chat, serving, user

LONG = {"model": "ada", "max_tokens": 470}
ASKED = "tell me all of it"
CROWD = 12
"""Clients at once where one is answered and one may wait: some are refused, however slowly they come."""


def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> float:
    """Waits for something to become true, and gives the seconds that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < timeout_s
        time.sleep(0.002)
    return time.monotonic() - started


def is_idle(town: Town) -> bool:
    return town.service.engine.num_active + town.service.engine.num_waiting == 0


def answered(town: Town) -> float:
    """Tokens of whole answers so far."""
    lines = town.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("burnish_tokens_total") and "answer" in line
    )


def test_the_prompt_of_these_tests_is_answered_at_length(town):
    assert chat(town, text=ASKED, **LONG).usage.completion_tokens > 300


def test_a_client_that_leaves_its_stream_ends_it_and_frees_its_row(town):
    before = answered(town)
    with chat(town, text=ASKED, stream=True, **LONG) as stream:
        for _ in range(3):
            next(stream)
        assert town.service.engine.num_active == 1
    until(lambda: is_idle(town))
    assert answered(town) == before
    assert 'status="499"' in town.get("/metrics").text


def test_a_client_that_leaves_before_its_whole_answer_ends_it(town):
    body = b'{"model":"ada","max_tokens":470,"prompt":"tell me all of it"}'
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{town.port}\r\nContent-Type: application/json\r\n"
    before = answered(town)
    with socket.create_connection(("127.0.0.1", town.port), timeout=20) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: town.service.engine.num_active == 1)
    until(lambda: is_idle(town))
    assert answered(town) == before


def test_a_crowd_is_told_to_come_back_while_health_answers_and_who_waits_is_served(furnished):
    with serving(furnished, max_rows=1, max_waiting=1) as town, ThreadPoolExecutor(CROWD) as clients:
        going = [clients.submit(chat, town, text=ASKED, **LONG) for _ in range(CROWD)]
        until(lambda: town.service.engine.num_active == 1)
        assert town.get("/healthz").status_code == 200
        refused = [error for done in going if (error := done.exception(timeout=60)) is not None]
        assert refused
        assert all(isinstance(error, RateLimitError) for error in refused), refused
        assert all(int(error.response.headers["retry-after"]) >= 1 for error in refused)
        served = [done.result() for done in going if done.exception() is None]
        assert len(served) >= 2, "one that is answered, and one that waits"
        assert all(one.choices == served[0].choices for one in served)
        until(lambda: is_idle(town))
        assert chat(town, "ada", ASKED, max_tokens=1).usage.completion_tokens == 1


def test_an_answer_that_takes_too_long_is_given_up_and_a_stream_says_so(furnished):
    with serving(furnished, timeout_s=0.25) as town:
        with pytest.raises(InternalServerError) as error:
            chat(town, text=ASKED, **LONG)
        assert (error.value.status_code, error.value.code) == (504, "timeout")
        until(lambda: is_idle(town))
        body = {"model": "ada", "max_tokens": 470, "messages": user(ASKED), "stream": True}
        events = town.post("/v1/chat/completions", body).text.strip().split("\n\n")
        assert '"code": "timeout"' in events[-1]
        assert "data: [DONE]" not in events
        until(lambda: is_idle(town))


def test_clients_that_only_connect_keep_nobody_out(town):
    lines = [socket.create_connection(("127.0.0.1", town.port)) for _ in range(100)]
    try:
        assert chat(town, "ada", ASKED, max_tokens=1).usage.completion_tokens == 1
    finally:
        for line in lines:
            line.close()


def test_who_sends_half_a_request_is_hung_up_on_and_headers_have_a_limit(town, monkeypatch):
    monkeypatch.setattr(http_server, "HEAD_S", 0.3)
    with socket.create_connection(("127.0.0.1", town.port), timeout=10) as line:
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127")
        assert line.recv(1024) == b""
    assert town.get("/v1/models", x="a" * (LONGEST_HEADERS // 2)).status_code == 200
    assert town.get("/v1/models", x="a" * 4 * LONGEST_HEADERS).status_code in (400, 431)
    assert town.get("/healthz").status_code == 200
