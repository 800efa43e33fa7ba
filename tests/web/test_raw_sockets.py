"""What no browser sends, over plain sockets: each is answered with an error or hung up on, and others are served."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from burnish import http_server
from burnish.http_server import LONGEST_HEADERS
from tests.web.live import serving

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def access(furnished) -> Iterator[object]:
    """One server for all of them: whatever is sent to it, it answers the next one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server, "HEAD_S", 0.6)
        with serving(furnished) as access:
            yield access


def opened(access) -> socket.socket:
    return socket.create_connection(("127.0.0.1", access.port), timeout=10)


def head(access, line="GET / HTTP/1.1", **more: str) -> bytes:
    """The head of a request as somebody with the cookie sends it; an empty value leaves a header out."""
    own = f"http://127.0.0.1:{access.port}"
    headers = {
        "host": own.removeprefix("http://"),
        "cookie": f"{access.cookie}={access.session}",
        "connection": "close",
    }
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def told(access, data: bytes, patience_s: float = 1.0) -> bytes:
    """All that the server says until it hangs up, or until it is quiet for so long."""
    with closing(opened(access)) as wire:
        with suppress(BrokenPipeError, ConnectionResetError):  # hung up on while it is still talking
            wire.sendall(data)
        return everything(wire, patience_s)


def everything(wire: socket.socket, patience_s: float = 10.0) -> bytes:
    said = b""
    wire.settimeout(patience_s)
    with suppress(ConnectionResetError, TimeoutError):
        while more := wire.recv(2**16):
            said += more
    return said


def status(said: bytes) -> int:
    """Status of the first answer; 0 for none."""
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0


def is_well(access) -> bool:
    said = told(access, head(access), patience_s=10.0)
    return status(said) == 200 and b"In use now" in said


def post(access, **more: str) -> bytes:
    origin = f"http://127.0.0.1:{access.port}"
    usual = {"origin": origin, "content_type": FORM}
    return head(access, "POST /models/rollback HTTP/1.1", **(usual | more))


GARBAGE = {
    "noise": b"\x00\xff\xfe\x16\x03\x01\r\n\r\n",
    "tls": bytes.fromhex("160301020001") + b"\x00" * 600,
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "space in name": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    "bare control": b"GET /\x07 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_request_is_refused(access, name):
    said = told(access, GARBAGE[name])
    assert status(said) in (0, 400, 401, 421)
    assert b"desk" not in said
    assert b"Traceback" not in said


def test_an_old_client_without_a_host_gets_no_page(access):
    old = f"GET / HTTP/1.0\r\nCookie: {access.cookie}={access.session}\r\n\r\n".encode()
    assert status(told(access, old)) == 421
    assert status(told(access, head(access, "GET / HTTP/1.0"))) == 200


def test_headers_have_a_limit(access):
    assert status(told(access, head(access, x="a" * (LONGEST_HEADERS // 2)))) == 200
    for many in (head(access, x="a" * 4 * LONGEST_HEADERS), b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000):
        assert status(told(access, many)) in (0, 400, 431)
    assert status(told(access, head(access, f"GET /{'a' * 2**17} HTTP/1.1"))) in (0, 400, 414, 431)
    assert is_well(access)


CHUNKS = {
    "no number": b"zz\r\n",
    "negative": b"-5\r\nhello\r\n",
    "endless number": b"f" * 2**16,
    "larger than told": b"3\r\nreason=too long\r\n0\r\n\r\n",
    "a billion": b"40000000\r\n" + b"a" * 2**21,
    "many small": b"1\r\na\r\n" * 2**14 + b"0\r\n\r\n",
    "cut": b"10\r\nrea",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunked_nonsense_changes_nothing(access, name):
    said = told(access, post(access, transfer_encoding="chunked") + CHUNKS[name])
    assert status(said) in (0, 400, 408, 409, 413)  # 409: a whole form, of somebody who saw no champion
    assert is_well(access)


@pytest.mark.parametrize(
    "more",
    [
        {"content_length": "5", "transfer_encoding": "chunked"},
        {"content_length": "5, 6"},
        {"content_length": "-1"},
        {"content_length": "1e3"},
        {"transfer_encoding": "gzip, chunked"},
    ],
    ids=str,
)
def test_a_body_of_two_lengths_is_no_way_to_smuggle_a_second_request(access, more):
    hidden = b"0\r\n\r\n" + head(access, "GET /models HTTP/1.1")
    said = told(access, post(access, **more) + hidden)
    assert b"Change what is in use" not in said
    assert status(said) in (0, 400, 413, 501)


def test_who_drips_a_request_is_hung_up_on_and_others_are_served(access):
    slow = [opened(access) for _ in range(40)]
    try:
        for wire in slow:
            wire.sendall(b"GET / HTTP/1.1\r\nx: ")
        started = time.monotonic()
        assert is_well(access)
        gone = 0
        for wire in slow:
            wire.settimeout(5)
            gone += wire.recv(1) == b""
        assert gone == len(slow)
        assert time.monotonic() - started < 5
    finally:
        for wire in slow:
            wire.close()


def test_a_second_request_that_never_ends_is_not_waited_for(access):
    with closing(opened(access)) as wire:
        wire.sendall(head(access, "HEAD /costs HTTP/1.1", connection="keep-alive"))
        assert status(wire.recv(2**16)) in (200, 405)
        wire.sendall(b"GET / HT")
        started = time.monotonic()
        everything(wire)
        assert time.monotonic() - started < 4


def test_requests_in_one_breath_are_answered_in_their_order(access):
    said = told(access, head(access, connection="keep-alive") + head(access, "GET /costs HTTP/1.1"))
    assert said.count(b"HTTP/1.1 200") == 2
    assert said.index(b"<title>Overview") < said.index(b"<title>Costs")


@pytest.mark.parametrize(
    "line", ["GET http://evil.com/ HTTP/1.1", "CONNECT evil.com:80 HTTP/1.1", "GET //evil.com HTTP/1.1"]
)
def test_it_is_no_proxy(access, line):
    assert status(told(access, head(access, line))) in (0, 400, 403, 404, 405)


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"]
)
def test_a_path_leads_nowhere_else(access, path):
    said = told(access, head(access, f"GET {path} HTTP/1.1"))
    assert status(said) == 404
    assert b"make_pages" not in said


def test_a_range_is_answered_with_the_whole_file(access):
    said = told(access, head(access, "GET /static/web.css HTTP/1.1", range="bytes=" + "0-0," * 2_000))
    assert status(said) == 200
    assert said.count(b"content-length") == 1
