"""The review page as a browser asks it: the real server in a process of its own, and a reviewer with cookies.

`benchmarks.ui` comes in by this door.
"""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

QUESTION = re.compile(r'name="(item|turn|by|shown)" value="([^"]*)"')


class Held(NamedTuple):
    """What is on the screen: the fields of its form."""

    item: str
    turn: int
    shown: str


class Visitor:
    """One reviewer, who keeps cookies and makes a connection for each page, as after a long thought."""

    def __init__(self, address: str, reviewer: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self.origin, self.reviewer = f"http://{parts.netloc}", reviewer
        self.place = (parts.hostname, parts.port)
        self.cookies: dict[str, str] = {}
        self._ask("GET", f"{parts.path}?{parts.query}")
        self._ask("POST", "/review/name", {"name": reviewer})

    def next(self) -> Held | None:
        """The page with the next question; None: nothing is left."""
        status, text = self._ask("GET", "/review")
        assert status == 200, f"GET /review: {status}"
        place = text.partition('id="place"')[2]
        fields: dict[str, str] = {}
        for name, value in QUESTION.findall(place):
            fields.setdefault(name, value)
        if not fields or 'action="/review/decide"' not in place:
            return None
        return Held(fields["item"], int(fields["turn"]), fields["shown"])

    def decide(self, held: Held, act: str) -> None:
        """Sends the form. Raises AssertionError unless the answer was taken."""
        form = {"item": held.item, "turn": str(held.turn), "by": self.reviewer, "shown": held.shown, "act": act}
        status, text = self._ask("POST", "/review/decide", form | {"seconds": "20"})
        assert status == 303, f"POST /review/decide: {status} {text[:300]}"

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        headers = {
            "Origin": self.origin,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        connection.request(method, path, urlencode(form) if form is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer.status, text


class Server(NamedTuple):
    """A running `burnish ui`."""

    address: str
    """Where a visitor starts."""
    pid: int

    def times(self) -> tuple[float, float]:
        """Seconds that it ran, and seconds that its threads waited for a core; as Linux tells them."""
        used = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        waited = [path.read_text().split()[1] for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        return sum(map(int, used)) / os.sysconf("SC_CLK_TCK"), sum(map(int, waited)) / 1e9


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Runs `burnish ui`."""
    command = [sys.executable, "-m", "burnish.cli.main", "ui", "--project", str(folder), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield Server(json.loads(server.stdout.readline())["url"], server.pid)
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()
