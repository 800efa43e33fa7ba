"""What rungs would have done on curves that all ran to their end: who stays, what it costs, what is lost.

    python -m benchmarks.rungs [--decay-share 0.2] [--train 300] [--epochs 4] [--ranks 4,16,64]

A bank of 5 learning rates by the given ranks trains on the example messages, built-in base, and nobody leaves. Then
each rule is played over the recorded dev losses. Cost is in full runs of one candidate.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sweep import _rendered
from benchmarks.sweep_trl import ALPHA, BATCH, RATES, WARMUP_SHARE
from burnish.config import LoraSettings, TrainSettings
from burnish.model.base import load_base
from burnish.records import Candidate
from burnish.train.batch import Row
from burnish.train.job import TrainJob
from burnish.train.referee import Losses
from burnish.train.run import train
from burnish.tune.rungs import Rungs

RULES = {
    "hopeless alone": Rungs(keep_share=1.0),
    "both (default)": Rungs(),
    "a third kept": Rungs(keep_share=0.34),
    "a quarter kept": Rungs(keep_share=0.25),
}


class Recorder:
    """A referee that sends nobody away and keeps what it is shown, the end included."""

    def looks(self, total_steps: int) -> tuple[int, ...]:
        """Those of the rungs, and the end."""
        return (*Rungs().looks(total_steps), total_steps)

    def rows(self, num_dev: int) -> tuple[int, ...]:
        """Those of the rungs."""
        return Rungs().rows(num_dev)

    def leavers(self, looked: Sequence[int], losses_LKN: Losses, weight_N: Losses, total_steps: int) -> tuple[int, ...]:
        """Nobody."""
        self.looked, self.losses_LKN, self.weight_N = list(looked), losses_LKN.copy(), weight_N
        return ()

    def identity(self) -> Mapping[str, Any]:
        """A name."""
        return {"rule": "recorder"}


def main() -> None:
    """Trains the bank and prints one line a rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decay-share", type=float, default=1.0)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--dev", type=int, default=130)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--ranks", default="4,16,64")
    options = parser.parse_args()
    seen = recorded(options)
    ends_K = seen.losses_LKN[-1] @ seen.weight_N / seen.weight_N.sum()
    print("dev loss at the end:", json.dumps(np.round(ends_K, 4).tolist()))
    for name, rule in RULES.items():
        kept, cost = played(seen, rule)
        lost = min(ends_K[slot] for slot in kept) / min(ends_K) - 1
        print(f"{name}: cost {cost:.1f} of {len(ends_K)}, loss {lost:+.1%}, kept {kept}")


def recorded(options: argparse.Namespace) -> Recorder:
    """All candidates trained to their end."""
    base, recorder = load_base("builtin:english-10m"), Recorder()
    data = _rendered(options.train, options.dev)
    rows, dev = ([Row(id=str(n), **row) for n, row in enumerate(data[part])] for part in ("train", "dev"))
    points = [(lr, int(rank)) for lr in RATES for rank in options.ranks.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            base=base,
            rows=rows,
            dev=dev,
            candidates=[
                Candidate(name=f"p{at:02d}", rank=r, alpha=ALPHA, lr=lr, seed=0) for at, (lr, r) in enumerate(points)
            ],
            train=TrainSettings(epochs=options.epochs, batch_size=BATCH, patience=1000, warmup_share=WARMUP_SHARE),
            lora=LoraSettings(),
            seed=0,
            folder=Path(folder),
            referee=recorder,
            decay_share=options.decay_share,
        )
        train(job)
    return recorder


def played(seen: Recorder, rule: Rungs) -> tuple[list[int], float]:
    """The slots that a rule keeps to the end, and what they all cost in full runs."""
    *looks, total = seen.looked
    losses_LKN = seen.losses_LKN[:-1].copy()
    running, steps, last = set(range(losses_LKN.shape[1])), 0, 0
    for place, step in enumerate(looks):
        steps, last = steps + (step - last) * len(running), step
        losses_LKN[place, sorted(set(range(losses_LKN.shape[1])) - running)] = np.nan
        running -= set(rule.leavers(looks[: place + 1], losses_LKN[: place + 1], seen.weight_N, total))
    return sorted(running), (steps + (total - last) * len(running)) / total


if __name__ == "__main__":
    main()
