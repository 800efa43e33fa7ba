"""A teacher on a real socket of this machine that behaves as a test scripts it: well, slowly, falsely or not at all."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = dict[str, Any]


def completion(text: str | None, *, model: str = "scripted-1", finish: str = "stop", usage: Any = None, **message: Any):
    """The body of a chat completion."""
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
    }
    if usage is None:
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {**body, "usage": usage} if usage else body


@dataclass
class Act:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """The connection is reset after so many bytes of the body."""
    drip: int = 0
    """So many bytes are sent, one at a time, until the client leaves."""
    endless: bool = False


def say(text: str | None, **more: Any) -> Act:
    return Act(body=json.dumps(completion(text, **more)).encode())


def fail(status: int, message: str = "no", **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Act(status=status, body=json.dumps({"error": {"message": message}}).encode(), headers=named)


@dataclass
class Loopback:
    """A running server: what it was asked, and how it answers."""

    script: Callable[[int, Asked], Act]
    """From the number of the request, from 0, and its body."""
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    on_their_way: int = 0
    most_on_their_way: int = 0

    def take(self, body: Asked, headers: dict[str, str]) -> int:
        with self.lock:
            self.asked.append(body)
            self.headers.append(headers)
            self.on_their_way += 1
            self.most_on_their_way = max(self.most_on_their_way, self.on_their_way)
            return len(self.asked) - 1


@contextmanager
def loopback(script: Callable[[int, Asked], Act]) -> Iterator[Loopback]:
    """A server for as long as the block runs."""
    teacher = Loopback(script)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(teacher))
    server.daemon_threads = True
    teacher.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield teacher
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(teacher: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(size) or b"{}")
            number = teacher.take(body, {name.lower(): value for name, value in self.headers.items()})
            try:
                self.act(teacher.script(number, body))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with teacher.lock:
                    teacher.on_their_way -= 1

        def act(self, act: Act) -> None:
            self.send_response(act.status)
            self.send_header("content-type", "application/json")
            for name, value in act.headers.items():
                self.send_header(name, value)
            if not (act.drip or act.endless):
                self.send_header("content-length", str(len(act.body)))
            self.end_headers()
            if act.cut_at is not None:
                self.wfile.write(act.body[: act.cut_at])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif act.endless:
                self.close_connection = True
                while True:
                    self.wfile.write(b" " * 65536)
            elif act.drip:
                self.close_connection = True
                for _ in range(act.drip):
                    self.wfile.write(b" ")
                    time.sleep(0.02)
            else:
                self.wfile.write(act.body)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    return Handler
