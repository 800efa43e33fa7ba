"""10,000 requests while the champion changes without a pause: none lost, none answered by another adapter; kill -9.

    python -m benchmarks.serve_swaps [--requests 10000] [--clients 32] [--adapters 8] [--threads 2] [--json]

A real `burnish serve` in float32 over the built-in base, asked over sockets. Half of the requests name the champion,
half an adapter. This process promotes and rolls back all the while. Every answer is compared with what the adapter
that its headers name says alone, computed without a server; the adapters' answers to each prompt all differ. The
adapter must be the one that was asked for, or one that was champion between question and answer. At the end the
server is killed under load, started again, and asked for its champion.
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.serve_clients import Ask, Heard, body_of, crowd, send
from benchmarks.serve_servers import Server, Start, end_servers_when_ended, free_port, make_project, ours, start
from burnish.config import Settings

TOKENS = 8
PROMPTS = ("I was paid twice", "the portal does not let me in", "I want a hearing", "where is my card")
SYSTEM = "Answer in one line."


class Moves(threading.Thread):
    """Promotes and rolls back until it is told to end; remembers which version was champion from when to when."""

    def __init__(self, desk: Path, names: Sequence[str], first: str) -> None:
        super().__init__(daemon=True)
        self.desk, self.names = desk, names
        self.ended = threading.Event()
        self.spans: list[list[Any]] = [[first, 0.0, float("inf")]]
        self.count = 0

    def run(self) -> None:
        """Moves the pointer about twenty times a second."""
        from burnish.loop.project import open_project
        from burnish.registry import champion, promote, rollback

        store = open_project(self.desk).store
        while not self.ended.wait(0.05):
            began = time.perf_counter()
            if self.count % 3 == 2:
                rollback(store, "and back", "benchmark")
            else:
                now = champion(store).name
                others = [name for name in self.names if name != now]
                promote(store, others[self.count % len(others)], "under load", "benchmark")
            self.count += 1
            self.spans[-1][2] = time.perf_counter()
            self.spans.append([champion(store).name, began, float("inf")])

    def was_champion(self, name: str, since: float, until: float) -> bool:
        """Whether a version was champion at some time in between."""
        return any(one == name and begins <= until and ends >= since for one, begins, ends in self.spans)


def expected_of(desk: Path) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """What every adapter says to every prompt alone, by name and prompt; and the adapters' hashes."""
    from burnish.loop.project import open_project
    from burnish.loop.workbench import Workbench
    from burnish.model.adapter import load_adapter
    from burnish.model.generate import generate
    from burnish.model.lora import attach
    from burnish.records import Message
    from burnish.registry import folder_of, models
    from burnish.talk import Silence

    project = open_project(desk, ["train.precision=float32"])
    base = Workbench(project.settings, project.store.root, Silence()).base
    asked = [[Message(role="system", content=SYSTEM), Message(role="user", content=text)] for text in PROMPTS]
    prompts = [base.chat.render_prompt(messages) for messages in asked]
    texts, hashes = {}, {}
    for version in models(project.store):
        folder = folder_of(project.store, version)
        hashes[version.name] = version.adapter_hash
        spec, state = load_adapter(folder, base) if folder else (None, None)
        bank = attach(base.model, [spec]) if spec else None
        if bank:
            bank.load(0, state)
        with bank.use(0) if bank else nullcontext():
            said = generate(base, prompts, max_new_tokens=TOKENS)
        if bank:
            bank.detach()
        texts |= {(version.name, text): one.text for text, one in zip(PROMPTS, said, strict=True)}
    return texts, hashes


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The counts."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        names = [name for name, _ in make_project(place, options.adapters)]
        texts, hashes = expected_of(place / "desk")
        distinct = all(len({texts[name, text] for name in names}) == len(names) for text in PROMPTS)
        how = ours(place / "desk", free_port(), options.threads, place / "serve.log", "float32")
        server = _started(how)
        try:
            moves = Moves(place / "desk", names, names[0])
            moves.start()
            began = time.perf_counter()
            heard = asyncio.run(crowd(server.port, options.clients, _asks(options.requests, names)))
            took = time.perf_counter() - began
            moves.ended.set()
            moves.join()
            killed = _killed(server, how, texts, options.clients, place)
        finally:
            server.kill()
        counts = judged(heard, texts, hashes, moves)
    return {
        "name": "serve_swaps",
        "requests": options.requests,
        "adapters": len(names),
        "answers_differ_by_adapter": distinct,
        "moves": moves.count,
        "seconds": took,
        **counts,
        **killed,
    }


def _started(how: Start) -> Server:
    return start(how.command, how.port, how.model, how.threads, how.log, **how.environment)


def _asks(most: int, names: Sequence[str]) -> Callable[[int], Ask | None]:
    project = Settings().project

    def ask(number: int) -> Ask | None:
        if number >= most:
            return None
        model = project if number % 2 else names[number // 2 % len(names)]
        text = PROMPTS[number // 3 % len(PROMPTS)]
        return Ask(model=model, text=text, max_tokens=TOKENS, system=SYSTEM)

    return ask


def judged(
    heard: Sequence[tuple[Ask, Heard | str]],
    texts: Mapping[tuple[str, str], str],
    hashes: Mapping[str, str],
    moves: Moves,
) -> dict[str, Any]:
    """How many were lost, and how many answered by another adapter than may answer."""
    lost = [said for _, said in heard if isinstance(said, str)]
    wrong_hash = wrong_name = wrong_text = 0
    by: dict[str, int] = {}
    for ask, said in heard:
        if isinstance(said, str):
            continue
        until = said.began_at + said.whole_s
        by[said.version] = by.get(said.version, 0) + 1
        wrong_hash += said.adapter != hashes.get(said.version)
        may = said.version == ask.model or (
            ask.model not in hashes and moves.was_champion(said.version, said.began_at, until)
        )
        wrong_name += not may
        wrong_text += said.text != texts.get((said.version, ask.text))
    return {
        "answered": len(heard) - len(lost),
        "lost": len(lost),
        "first_lost": lost[:1],
        "hash_is_not_the_registered": wrong_hash,
        "not_who_may_answer": wrong_name,
        "text_of_another_adapter": wrong_text,
        "answers_by_version": dict(sorted(by.items())),
    }


def _killed(server: Server, how: Start, texts: Mapping, clients: int, place: Path) -> dict[str, Any]:
    """kill -9 while clients wait; what the next server says as the champion."""
    from burnish.loop.project import open_project
    from burnish.registry import champion

    before = champion(open_project(place / "desk").store).name
    timer = threading.Timer(1.0, server.kill)
    timer.start()
    body = Ask(model=Settings().project, text=PROMPTS[0], max_tokens=64, system=SYSTEM)
    cut = asyncio.run(crowd(server.port, clients, lambda _: body if server.process.returncode is None else None))
    timer.join()
    again = _started(how)
    try:
        said = send(again.port, body_of(Ask(model=body.model, text=PROMPTS[0], max_tokens=TOKENS, system=SYSTEM)))
    finally:
        again.kill()
    return {
        "cut_by_kill": sum(isinstance(one, str) for _, one in cut),
        "champion_before_kill": before,
        "champion_after_kill": said.version,
        "same_answer_after_kill": said.text == texts[before, PROMPTS[0]],
    }


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    end_servers_when_ended()
    found = measured(options)
    print(json.dumps(found) if options.json else "\n".join(f"{key}: {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
