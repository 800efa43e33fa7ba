"""Rows become batches: sorted by length within windows, in an order that only the seed and the epoch decide.

A batch is a tree of distinct token histories (model/decoder.py says why). What stands behind a row's last target cannot
change any loss and is left out. Shapes: B rows, T positions, N nodes of the tree, M target tokens of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from burnish.errors import DataError
from burnish.fingerprint import fingerprint_bytes
from burnish.model.decoder import Histories, histories_of

WINDOW_BATCHES = 8
"""Batches in a window that is sorted by length: wide enough for little padding, narrow enough to keep batches mixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rendered conversation and which of its tokens are to be learned."""

    id: str
    tokens: Sequence[int]
    learned: Sequence[bool]
    weight: float = 1.0
    """Multiplies the loss of each of its target tokens."""
    asked: Sequence[bool] = ()
    """Which tokens stand in what a user wrote; empty: not known, then none may be left out."""
    rejected: "Row | None" = None
    """Of a pair: the same prompt with the answer that was not preferred; the row itself holds the chosen one."""
    is_good: bool | None = None
    """Of a thumb: whether the answer was found good."""
    mismatched: "Row | None" = None
    """Of a thumb: its prompt with the answer of another (train/preference.py)."""

    @property
    def objective(self) -> str:
        """What can be learned from it: sft, dpo or kto."""
        return "dpo" if self.rejected is not None else "sft" if self.is_good is None else "kto"

    @property
    def width(self) -> int:
        """Positions that its sequences take side by side, padding to the longer one counted."""
        return len(self.tokens) if self.rejected is None else 2 * max(len(self.tokens), len(self.rejected.tokens))


class Batch(NamedTuple):
    """The histories of some rows, and at which node the model has to predict which token."""

    histories: Histories
    wanted_U: Tensor
    """Nodes whose hidden state predicts something, each once."""
    at_M: Tensor
    """For each target its place in `wanted_U`."""
    targets_M: Tensor
    weight_M: Tensor


KINDS = {"sft": "an example", "dpo": "a pair", "kto": "a thumb"}
"""What each objective learns from."""


def check_rows(rows: Sequence[Row], *, name: str, objective: str = "sft") -> None:
    """Raises DataError when a row cannot be trained on: empty, of unequal lengths, nothing learned or a bad weight.

    Also when it is nothing that the objective learns from, or a pair whose two answers are the same.
    """
    for row in rows:
        if row.objective != objective:
            raise DataError(
                f"{name} row {row.id} is {KINDS[row.objective]}, but {objective} learns from {KINDS[objective]}",
                hint="Set train.objective to what the rows are, or give it other rows.",
            )
        if row.rejected is not None:
            check_rows([row.rejected], name=f"{name} (rejected)")
            if list(row.rejected.tokens) == list(row.tokens):
                raise DataError(
                    f"{name} row {row.id}: the chosen and the rejected answer are the same",
                    hint="Leave the pair out: it tells nothing.",
                )
        if len(row.tokens) != len(row.learned):
            raise DataError(f"{name} row {row.id}: {len(row.tokens)} tokens but {len(row.learned)} marks", hint="")
        if not any(row.learned[1:]):
            raise DataError(
                f"{name} row {row.id} has nothing to learn from: no token of an assistant turn",
                hint="Remove the row or give it an answer; `burnish data check` lists such rows.",
            )
        if not 0 < row.weight < float("inf"):
            raise DataError(f"{name} row {row.id} has weight {row.weight}", hint="Weights are positive numbers.")


def hash_rows(rows: Sequence[Row]) -> str:
    """sha256 over ids, tokens, marks and weights in order: the identity of what is trained on."""
    return fingerprint_bytes(
        chunk
        for row in rows
        for chunk in (
            f"{row.id}\0{len(row.tokens)}\0{row.weight!r}\0".encode(),
            np.asarray(row.tokens, dtype="<i8").tobytes(),
            np.asarray(row.learned, dtype="u1").tobytes(),
            np.asarray(row.asked, dtype="u1").tobytes(),
            *_preferred(row),
        )
    )


def _preferred(row: Row) -> list[bytes]:
    """Nothing for an example, so that its identity is what it was before there were preferences."""
    rejected = [] if row.rejected is None else [hash_rows([row.rejected]).encode()]
    return rejected if row.is_good is None else [*rejected, f"good {row.is_good}".encode()]


def epoch_order(lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch as row numbers; every row occurs once, the order depends on seed and epoch alone.

    Rows are shuffled, sorted by length within windows of 8 batches, cut, and the batches shuffled again.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(lengths)).tolist()
    window = WINDOW_BATCHES * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), window):
        ordered = sorted(shuffled[start : start + window], key=lambda row: lengths[row])
        batches += [ordered[cut : cut + batch_size] for cut in range(0, len(ordered), batch_size)]
    return [batches[index] for index in random.permutation(len(batches)).tolist()]


def by_length(lengths: Sequence[int], *, batch_size: int) -> list[list[int]]:
    """All rows, shortest first, in batches: for measuring, where order does not matter."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def batch_of(rows: Sequence[Row], device: torch.device | str = "cpu") -> Batch:
    """The rows as one batch, each cut before its last target: that token is predicted, never read."""
    learned = [[place for place in range(1, len(row.tokens)) if row.learned[place]] for row in rows]
    histories = histories_of([row.tokens[: places[-1]] for row, places in zip(rows, learned, strict=True)], device)
    node_BT = histories.grid_BT.tolist()
    nodes = [node_BT[number][place - 1] for number, places in enumerate(learned) for place in places]
    wanted = sorted(set(nodes))
    place_of = {node: place for place, node in enumerate(wanted)}
    targets = [row.tokens[place] for row, places in zip(rows, learned, strict=True) for place in places]
    weights = [row.weight for row, places in zip(rows, learned, strict=True) for _ in places]
    return Batch(
        histories,
        torch.tensor(wanted, device=device),
        torch.tensor([place_of[node] for node in nodes], device=device),
        torch.tensor(targets, device=device),
        torch.tensor(weights, dtype=torch.float32, device=device),
    )


def target_weight(rows: Sequence[Row]) -> float:
    """What a batch's loss is divided by: the weight of its target tokens, or of its pairs and thumbs, summed."""
    return sum(row.weight * (num_targets(row) if row.objective == "sft" else 1) for row in rows)


def num_targets(row: Row) -> int:
    """Tokens of a row that are to be predicted."""
    return sum(map(bool, row.learned[1:]))
