"""Token dropout: each epoch leaves out other tokens of what users wrote, so that no single word is learned by heart.

Word dropout of deep averaging networks (Iyyer et al. 2015, ACL P15-1162), on the tokens of a prompt: answers, roles and
instructions stay whole. Evaluation never drops anything.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from burnish.train.batch import Row

STREAM = 1
"""Keeps these random numbers apart from those that shuffle the rows."""


def thinned(rows: Sequence[Row], share: float, *, seed: int, epoch: int) -> Sequence[Row]:
    """All rows of an epoch, each token of a user left out with probability `share`; seed and epoch alone decide which.

    Rows whose user tokens are not known stay as they are, and so does every first token: what is learned has to be
    predicted from something.
    """
    if not share:
        return rows
    random = np.random.default_rng([seed, epoch, STREAM])
    return [_without(row, random.random(len(row.tokens)) < share) for row in rows]


def _without(row: Row, unlucky: np.ndarray) -> Row:
    if not row.asked:
        return row
    gone = unlucky & np.asarray(row.asked, dtype=bool)
    gone[:1] = False
    kept = np.flatnonzero(~gone).tolist()
    return replace(
        row,
        tokens=[row.tokens[at] for at in kept],
        learned=[row.learned[at] for at in kept],
        asked=[row.asked[at] for at in kept],
    )
