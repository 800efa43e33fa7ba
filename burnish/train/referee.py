"""Who decides in the middle of a run which candidates leave: the loop shows it dev losses, it names slots.

A referee only computes: what it says follows from the losses it is shown, so a resumed run hears the same again.
Shapes: L looks so far, K slots, N rows of dev that it looks at. A slot that had left, or was not finite, holds nan.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]
"""Mean loss of each dev row in nats per target token."""


class Referee(Protocol):
    """Decides at chosen steps who goes on."""

    def looks(self, total_steps: int) -> tuple[int, ...]:
        """Steps after which dev is measured and `leavers` is asked, rising."""

    def rows(self, num_dev: int) -> tuple[int, ...]:
        """Which rows of dev it looks at, always the same: a look in the middle of an epoch measures no other."""

    def leavers(self, looked: Sequence[int], losses_LKN: Losses, weight_N: Losses, total_steps: int) -> tuple[int, ...]:
        """Slots that stop now, never the best one. `looked`: the step of each look, of which the last one is now."""

    def identity(self) -> Mapping[str, Any]:
        """What decides its answers, as plain JSON."""
