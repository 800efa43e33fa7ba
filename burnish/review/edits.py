"""How much a reviewer changed in a draft: the least number of characters inserted, deleted or replaced."""

import numpy as np

LONGEST = 5_000
"""Characters between common ends of two texts up to which changes are counted: a tenth of a second."""


def edit_distance(before: str, after: str) -> int:
    """Levenshtein's distance (1966), row by row. Beyond `LONGEST` the longer length: more than that it cannot be."""
    start = _num_shared(before, after)
    before, after = before[start:], after[start:]
    end = _num_shared(before[::-1], after[::-1])
    before, after = before[: len(before) - end], after[: len(after) - end]
    if not before or not after or max(len(before), len(after)) > LONGEST:
        return max(len(before), len(after))
    codes = np.array([ord(char) for char in after])
    steps = np.arange(len(after) + 1)
    row = steps
    for number, char in enumerate(before, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(char)))
        row = np.minimum.accumulate(np.concatenate(([number], best)) - steps) + steps
    return int(row[-1])


def _num_shared(before: str, after: str) -> int:
    """Characters that both begin with."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(before), len(after)))
