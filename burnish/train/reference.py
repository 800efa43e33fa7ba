"""What the adapters said before the first step: log-probabilities of every answer, computed once, kept beside the job.

DPO and KTO measure all progress from there, so a resumed run must find the same numbers: they are written before the
first step in a folder that is there whole or not at all, and computed anew, to the same bits, when it is damaged.
Shapes: K slots, S distinct sequences, G slots at work, N rows.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from burnish.talk import Talk
from burnish.train.batch import Row, hash_rows
from burnish.train.checkpoint import Checkpoint, last_good_checkpoint, save_checkpoint
from burnish.train.preference import sequence

Key = tuple[tuple[int, ...], tuple[bool, ...]]


class Reference:
    """Log-probabilities under the reference, by slot and sequence, in nats."""

    def __init__(self, sequences: Sequence[Row], logp_KS: Tensor) -> None:
        self._column_of = {_key(row): column for column, row in enumerate(sequences)}
        self.logp_KS = logp_KS

    def of(self, rows: Sequence[Row], slots: Sequence[int]) -> Tensor:
        """Of the answers of these rows, float64 [G, N] on the CPU."""
        columns = torch.tensor([self._column_of[_key(row)] for row in rows])
        return self.logp_KS[list(slots)].index_select(1, columns)


def sequences_of(rows: Sequence[Row]) -> list[Row]:
    """Every distinct sequence of pairs and thumbs that a loss needs, in order of first appearance."""
    found: dict[Key, Row] = {}
    for row in rows:
        for one in (row, row.rejected, row.mismatched):
            if one is not None:
                found.setdefault(_key(one), sequence(one))
    return list(found.values())


def reference_of(
    folder: Path, sequences: Sequence[Row], num_slots: int, talk: Talk, measure: Callable[[Sequence[Row]], Tensor]
) -> Reference:
    """The reference kept in the folder; else `measure` gives the nll of the sequences, [K, S] or [1, S] for all slots.

    It has to be called while the adapters are as they start.
    """
    name = hash_rows(sequences)
    found = last_good_checkpoint(folder, talk)
    if found is not None and found.state["sequences"] == name:
        return Reference(sequences, found.tensors["reference"]["logp"])
    with torch.no_grad():
        logp_KS = (-measure(sequences)).expand(num_slots, -1).contiguous()
    save_checkpoint(folder, Checkpoint(0, {"reference": {"logp": logp_KS}}, {"sequences": name}))
    return Reference(sequences, logp_KS)


def _key(row: Row) -> Key:
    return tuple(row.tokens), tuple(map(bool, row.learned))
