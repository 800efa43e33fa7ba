"""The learning rate over a run: warm-up, stable, decay (Hu et al. 2024, MiniCPM, arXiv 2404.06395).

Linear decay to zero over the last part costs nothing against a cosine and leaves the length of the stable phase open
(Hägele et al. 2024, arXiv 2405.18392), so the number of steps may be settled while the run is going.
"""

from typing import NamedTuple

from burnish.train.optim import scheduled_lr


class Schedule(NamedTuple):
    """The phases of a run of known length."""

    total_steps: int
    warmup_steps: int
    decay_share: float

    def scale(self, step: int) -> float:
        """Share of the peak learning rate at step 0, 1, ...: up to 1, and towards 0 at the end."""
        return scheduled_lr(
            1.0,
            step=step,
            total_steps=self.total_steps,
            warmup_steps=min(self.warmup_steps, self.total_steps // 10),
            decay_share=self.decay_share,
        )

    def is_decaying(self, step: int) -> bool:
        """True in the last phase, in which dialogues weigh more."""
        return step >= self.total_steps - int(self.decay_share * self.total_steps)
