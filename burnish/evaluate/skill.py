"""In which slices a model shows skill: more right answers there than its own answers, dealt out at random, would be.

A model that says one label to everything is right on all rows of that label, and of every column that follows it. There
is nothing in that to protect, where a skilled model's slice may not be lost. The chance agreement is that of Cohen's
kappa (1960); the test is a permutation test.
"""

from collections.abc import Sequence

import numpy as np

from burnish.evaluate.summary import is_in_slice
from burnish.records import Evaluation, RowResult

LEVEL = 0.05
DEALS = 2000
"""Random deals; a p-value of 0.05 is then known to about half a point."""


def slices_without_skill(evaluation: Evaluation) -> frozenset[str]:
    """Slices ("column=value") in which the right answers are no more than chance would give, at 5% one-sided.

    An answer is right where it is the expected one. The deals are seeded: the same evaluation gives the same slices.
    """
    rows = [row for row in evaluation.rows if row.score is not None]
    by_text = {
        text: number for number, text in enumerate({row.output for row in rows} | {row.expected for row in rows})
    }
    said_N = np.array([by_text[row.output] for row in rows])
    wanted_N = np.array([by_text[row.expected] for row in rows])
    random = np.random.default_rng(0)
    dealt_RN = np.stack([random.permutation(said_N) for _ in range(DEALS)]) == wanted_N
    inside = {name: _members(rows, name) for name in evaluation.slices}
    return frozenset(
        name
        for name, members_N in inside.items()
        if (1 + np.sum(dealt_RN[:, members_N].sum(1) >= (said_N == wanted_N)[members_N].sum())) / (1 + DEALS) > LEVEL
    )


def _members(rows: Sequence[RowResult], name: str) -> np.ndarray:
    return np.array([is_in_slice(row, name) for row in rows], dtype=bool)
