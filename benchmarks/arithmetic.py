"""The two floors of a LoRA step, counted from a model's shape and a batch: products it cannot do without, bytes it must
move.

    python -m benchmarks.arithmetic [--model english-10m|smollm-135m] [--rows 16] [--rank 16]

Counted is the least that gives these gradients exactly: each distinct history once, no gradient below the first
adapter, the top layer beyond its keys and values at predicting nodes only, the head at those nodes, half of a causal
square. Norms, softmax and other sweeps are no products and are left out, so a share of 100% is out of reach.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """The sizes of a decoder of the Llama kind."""

    layers: int
    hidden: int
    heads: int
    key_heads: int
    head_size: int
    mlp: int
    vocab: int

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the linear layers of one decoder layer."""
        queries, keys = self.heads * self.head_size, self.key_heads * self.head_size
        return {
            "q": (self.hidden, queries),
            "k": (self.hidden, keys),
            "v": (self.hidden, keys),
            "o": (queries, self.hidden),
            "gate": (self.hidden, self.mlp),
            "up": (self.hidden, self.mlp),
            "down": (self.mlp, self.hidden),
        }


class Work(NamedTuple):
    """What a batch asks for."""

    nodes: int
    """Distinct histories."""
    wanted: int
    """Nodes at which something is predicted."""
    pairs: int
    """Node and node it sees, itself included, over all nodes."""
    wanted_pairs: int
    """The same over wanted nodes."""


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json spells."""
    heads = config["num_attention_heads"]
    return Shape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=heads,
        key_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        mlp=config["intermediate_size"],
        vocab=config["vocab_size"],
    )


def work_of(batches: Iterable[Sequence[Mapping[str, Any]]]) -> Work:
    """The work of rows {tokens, learned}, batch by batch; histories count once in their batch."""
    total = Work(0, 0, 0, 0)
    for rows in batches:
        depth: dict[tuple[int, int], int] = {}  # (node before, token) to the node; values count up from 1
        depth_of, wanted = [0], set()
        for row in rows:
            node, last = 0, max(place for place, learned in enumerate(row["learned"]) if learned)
            for place, token in enumerate(row["tokens"][:last]):
                before = depth_of[node]
                node = depth.setdefault((node, token), len(depth_of))
                if node == len(depth_of):
                    depth_of.append(before + 1)
                if row["learned"][place + 1]:
                    wanted.add(node)
        found = Work(len(depth_of) - 1, len(wanted), sum(depth_of), sum(depth_of[node] for node in wanted))
        total = Work(*(one + other for one, other in zip(total, found, strict=True)))
    return total


def step_flops(shape: Shape, work: Work, rank: int) -> int:
    """Operations (a product and a sum are two) of forward and backward for one adapter on all linear layers."""
    total = 4 * work.wanted * shape.hidden * shape.vocab
    for layer in range(shape.layers):
        is_last = layer == shape.layers - 1
        for name, (size_in, size_out) in shape.linear.items():
            nodes = work.wanted if is_last and name not in ("k", "v") else work.nodes
            forward = size_in * size_out + rank * (size_in + size_out)
            backward = rank * (size_in + size_out) + rank * size_out  # both factors' gradients, and dy B
            if layer > 0 or name not in ("q", "k", "v"):
                backward += size_in * size_out + rank * size_in
            total += 2 * nodes * (forward + backward)
        pairs = work.wanted_pairs if is_last else work.pairs
        total += 6 * 2 * pairs * shape.heads * shape.head_size  # two products forward, four backward
    return total


def step_bytes(shape: Shape, rank: int, *, weight_bytes: int, portions: int = 1) -> int:
    """Bytes that a step must move: frozen weights there and back in every portion; the adapter, its moments and AdamW.

    The adapter is read twice a portion and its gradient added to (two sweeps); AdamW reads four numbers and writes
    three. Activations are left out: they fit no cache here either, but how often they move is a matter of design.
    """
    linear = shape.layers * sum(size_in * size_out for size_in, size_out in shape.linear.values())
    adapter = shape.layers * sum(rank * (size_in + size_out) for size_in, size_out in shape.linear.values())
    frozen = 2 * weight_bytes * (linear + shape.hidden * shape.vocab)
    return portions * (frozen + 4 * 4 * adapter) + 7 * 4 * adapter


def main() -> None:
    """Prints both floors of a step on this machine."""
    from benchmarks.machine import copy_rate, matrix_rate
    from benchmarks.shapes import CONFIGS, mixed_rows

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english-10m", choices=sorted(CONFIGS))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args()
    shape = shape_of(CONFIGS[options.model]())
    work = work_of([mixed_rows(options.rows)])
    flops, size = step_flops(shape, work, options.rank), step_bytes(shape, options.rank, weight_bytes=2)
    rate, copied = matrix_rate("bfloat16"), copy_rate()
    print(f"{options.rows} rows, {work.nodes} histories, {work.wanted} of them predict; rank {options.rank}")
    print(f"by arithmetic: {flops / 1e9:.2f} GFLOP at {rate / 1e9:.0f} GFLOP/s: {1e3 * flops / rate:.1f} ms")
    print(f"by bytes: {size / 1e6:.0f} MB at {copied / 1e9:.1f} GB/s: {1e3 * size / copied:.1f} ms")


if __name__ == "__main__":
    main()
