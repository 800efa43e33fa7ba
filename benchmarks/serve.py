"""Serving many adapters on one base: tokens per second and time to the first token, against two ways with PEFT.

    python -m benchmarks.serve [--model english-10m|smollm-135m] [--rounds 3] [--quick] [--json]

Clients ask again as soon as they are answered; each request names one of the adapters in turn. burnish is its engine,
the peers are PEFT on the same weights: a request at a time, and the batch-per-adapter server that one writes first: all
waiting requests of one adapter, then those of the next. Neither side speaks HTTP. 32 new tokens, no early end.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.generate import prompts_of
from benchmarks.line import Timed, line, shown, tell
from benchmarks.peers import base_of, in_turn, middle, seconds_of, transformers_greedy
from burnish.config import Settings
from burnish.loop.project import create_project
from burnish.model.adapter import adapter_hash, save_adapter
from burnish.model.base import Base
from burnish.model.generator import Request
from burnish.model.lora import AdapterSpec, attach
from burnish.records import ModelVersion
from burnish.registry import register
from burnish.serve.engine import Ended, Engine, Failed, Job, Said, Spoke
from burnish.serve.pool import Pool
from burnish.store.stage import run_stage
from burnish.store.store import Store

NEW_TOKENS, RANK, ADAPTERS = 32, 16, 8
CLIENTS = (1, 8, 32)


def main() -> None:
    """Prints what was found, or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english-10m", choices=["english-10m", "smollm-135m"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, at most 8 clients")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clients = CLIENTS[:2] if options.quick else CLIENTS
    found = measured(options.model, 1 if options.quick else options.rounds, clients)
    tell(found, as_json=options.json, text="\n".join([shown(found), "", *_table(found["grid"])]))


def measured(name: str, rounds: int, clients: Sequence[int]) -> dict:
    """Everything that is reported; the ratios are those of most clients and all adapters."""
    base, plain = base_of(name, "bfloat16"), base_of(name, "bfloat16")
    most = max(clients)
    with tempfile.TemporaryDirectory() as folder:
        project = create_project(Path(folder) / "served", Settings(project=name))
        versions = [_version(project.store, base, at) for at in range(ADAPTERS)]
        peer = _peft(plain, project.store, versions)
        prompts = prompts_of(base, most)
        with _engine(base, project.store) as engine:
            _ask(engine, prompts, versions, most)
            grid = [
                {"clients": count, "adapters": num, **_load(engine, prompts, versions[:num], count, rounds)}
                for count in clients
                for num in (0, 1, ADAPTERS)
            ]
            runs = {
                "burnish": lambda: seconds_of(lambda: _ask(engine, prompts, versions, most)),
                "one by one": lambda: seconds_of(lambda: _peer(peer, prompts[:ADAPTERS], versions, each=True)),
                "batch per adapter": lambda: seconds_of(lambda: _peer(peer, prompts, versions, each=False)),
            }
            seconds = in_turn(rounds, runs)
    works = {"burnish": most, "one by one": ADAPTERS, "batch per adapter": most}
    engines = {key: Timed(seconds=seconds[key], work=NEW_TOKENS * works[key]) for key in runs}
    return line(f"serve {name}", engines, unit="tokens", default="one by one", tuned="batch per adapter", grid=grid)


def _version(store: Store, base: Base, seed: int) -> ModelVersion:
    """A registered adapter of random weights on all linear layers."""
    spec = AdapterSpec(name=f"adapter-{seed}", rank=RANK, alpha=RANK, seed=seed)
    bank = attach(base.model, [spec])
    drawn = torch.Generator().manual_seed(seed)
    state = {key: 0.02 * torch.randn(part.shape, generator=drawn) for key, part in bank.state(0).items()}
    bank.detach()

    def work(folder: Path) -> dict[str, object]:
        save_adapter(folder / "slot", spec=spec, state=state, base=base)
        return {}

    sealed = run_stage(store, stage="train", version=1, settings=spec.name, inputs={}, seed=seed, work=work)
    version = ModelVersion(
        name=spec.name,
        round=1,
        adapter_hash=adapter_hash(state),
        artifact=store.relative(sealed.path / "slot"),
        base=base.name,
        base_hash=base.base_hash,
        template_hash=base.chat.template_hash,
    )
    return register(store, version)


@contextmanager
def _engine(base: Base, store: Store) -> Iterator[Engine]:
    pool = Pool(base, store, check=lambda base, version: "", adapter_bytes=1 << 30)
    engine = Engine(pool, max_rows=64)
    engine.start()
    yield engine
    engine.close(60)


def _ask(
    engine: Engine, prompts: Sequence[tuple[int, ...]], versions: Sequence[ModelVersion], count: int, each: int = 1
) -> list[float]:
    """Seconds to the first token of every request of `count` clients that ask `each` times, one after the other."""
    firsts: list[float] = []
    left = threading.Semaphore(0)

    def submit(client: int, turn: int) -> None:
        started, is_first = time.perf_counter(), True
        prompt = prompts[(client + turn) % len(prompts)]
        version = versions[client % len(versions)] if versions else _plain(engine.pool.base)

        def hear(said: Said) -> None:
            nonlocal is_first
            assert not isinstance(said, Failed), said
            if isinstance(said, Spoke) and is_first:
                is_first = False
                firsts.append(time.perf_counter() - started)
            if isinstance(said, Ended):
                _ = submit(client, turn + 1) if turn + 1 < each else left.release()

        request = Request(prompt=prompt, max_new_tokens=NEW_TOKENS, end_ids=())
        engine.submit(Job(request=request, versions=(version,), tell=hear))

    for client in range(count):
        submit(client, 0)
    for _ in range(count):
        left.acquire()
    return firsts


def _plain(base: Base) -> ModelVersion:
    hashes = {"base_hash": base.base_hash, "template_hash": base.chat.template_hash}
    return ModelVersion(name="base", round=0, adapter_hash="", artifact="", base=base.name, **hashes)


def _load(
    engine: Engine, prompts: Sequence[tuple[int, ...]], versions: Sequence[ModelVersion], count: int, rounds: int
) -> dict[str, float]:
    """Speed and waiting under a steady load."""
    each = max(2, 8 // count)
    firsts: list[float] = []
    seconds = [seconds_of(lambda: firsts.extend(_ask(engine, prompts, versions, count, each))) for _ in range(rounds)]
    ordered = sorted(firsts)
    return {
        "tokens_per_s": NEW_TOKENS * count * each / middle(seconds),
        "first_token_s": middle(ordered),
        "first_token_p95_s": ordered[int(0.95 * (len(ordered) - 1))],
    }


def _peft(base: Base, store: Store, versions: Sequence[ModelVersion]) -> Base:
    """The same base with all adapters as PEFT loads them."""
    from peft import PeftModel

    first, *rest = versions
    model = PeftModel.from_pretrained(base.model, str(store.root / first.artifact), adapter_name=first.name)
    for version in rest:
        model.load_adapter(str(store.root / version.artifact), adapter_name=version.name)
    return replace(base, model=model.eval())


def _peer(base: Base, prompts: Sequence[tuple[int, ...]], versions: Sequence[ModelVersion], *, each: bool) -> None:
    """All prompts, each by its adapter: one request at a time, or all requests of an adapter together."""
    groups = {version.name: prompts[at :: len(versions)] for at, version in enumerate(versions)}
    for name, group in groups.items():
        base.model.set_adapter(name)
        transformers_greedy(base, group, 1 if each else max(1, len(group)), NEW_TOKENS)


def _table(grid: Sequence[dict[str, float]]) -> list[str]:
    rows = ["| clients | adapters | tokens/s | first token, s | 95% of them, s |", "|--:|--:|--:|--:|--:|"]
    for one in grid:
        cells = [f"{one[key]:.3g}" for key in ("tokens_per_s", "first_token_s", "first_token_p95_s")]
        rows.append(f"| {one['clients']} | {one['adapters'] or 'base'} | {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main()
