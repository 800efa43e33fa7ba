"""Muon against AdamW on the same rows: a small shape, a grid of learning rates and several seeds; resumable.

    python -m recipes.base.duel CORPUS --out FOLDER

Both see the same rows in the same order from the same first weights, and are measured on the same held-out texts. A
line of JSON for each run that is done, also where it was done before.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from burnish.cli.options import working
from burnish.cli.terminal import print_json
from burnish.store.files import write_atomic
from burnish.talk import Talk
from burnish.train.checkpoint import claim_folder
from recipes.base.corpus import Corpus
from recipes.base.documents import prepare
from recipes.base.door import enter
from recipes.base.held_out import HeldOut, measure, nats_of_llama
from recipes.base.plan import OptimizerName, Plan
from recipes.base.run import Run
from recipes.base.shape import shape_named

RATES: dict[OptimizerName, tuple[float, ...]] = {"muon": (0.01, 0.02, 0.005), "adamw": (0.002, 0.005, 0.001)}
"""Peak learning rates, the likeliest first."""
TEXTS = 200


class Entry(NamedTuple):
    """One run of the duel."""

    optimizer: OptimizerName
    lr: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.optimizer}-{self.lr:g}-{self.seed}"


def entries(seeds: int) -> Iterator[Entry]:
    """All runs, both optimisers by turns, the likeliest rates first."""
    for rates in zip(*RATES.values(), strict=True):
        for seed in range(seeds):
            for optimizer, lr in zip(RATES, rates, strict=True):
                yield Entry(optimizer, lr, seed)


def compete(
    entry: Entry, plan: Plan, source: Corpus, out: Path, talk: Talk, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Trains one entry to its end and measures it; what was found is kept in its folder."""
    folder = out / entry.name
    claim_folder(folder, {"plan": plan.as_json(), "corpus": source.sha256()})
    kept = folder / "found.json"
    if kept.exists():
        return json.loads(kept.read_bytes())  # type: ignore[no-any-return]
    data = prepare(source, plan, out, talk)
    run = Run(plan, data, folder, device="cpu", talk=talk)
    run.go(should_stop=should_stop)
    found = _measured(run)
    result = {
        **entry._asdict(),
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "nats_per_token": found.per_token._asdict(),
        "nats_per_byte": found.per_byte._asdict(),
    }
    write_atomic(kept, json.dumps(result).encode())
    return result


def _measured(run: Run) -> HeldOut:
    run.model.eval()
    encode = run.data.tokenizer.encode
    texts = run.data.held_out[:TEXTS]
    nats_of = nats_of_llama(run.model)
    return measure(nats_of, lambda text: encode(text).ids, texts, context=run.plan.context, device="cpu")


def duel(
    corpus: Annotated[Path, typer.Argument(help="One JSON string a line.")],
    out: Annotated[Path, typer.Option(help="Folder for the tokens and the runs.")],
    shape: Annotated[str, typer.Option(help="A small shape.")] = "2m",
    tokens: Annotated[int, typer.Option(help="Tokens of each run.")] = 250_000,
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ...")] = 2,
    held_out: Annotated[int, typer.Option(help="Last lines that nobody trains on.")] = 300,
    most: Annotated[int | None, typer.Option(help="Only the first so many runs.")] = None,
) -> None:
    """Trains every entry and prints what it lost on held-out text."""
    torch.set_num_threads(1)
    with working(quiet=False) as (talk, should_stop):
        for entry in list(entries(seeds))[:most]:
            plan = Plan(
                shape=shape_named(shape),
                tokens=tokens,
                context=256,
                rows=8,
                micro_rows=8,
                warmup_steps=20,
                optimizer=entry.optimizer,
                lr=entry.lr,
                seed=entry.seed,
                held_out_lines=held_out,
            )
            print_json(compete(entry, plan, Corpus(corpus, held_out), out, talk, should_stop))


if __name__ == "__main__":
    enter(duel, "python -m recipes.base.duel")
