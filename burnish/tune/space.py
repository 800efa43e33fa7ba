"""What a search may vary, and within which bounds: own settings of each candidate, and a recipe that a bank shares.

The range of the learning rate surrounds the prior; what the data cannot use is not offered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.config import Settings
from burnish.data.provenance import HUMAN, REPLAY, SYNTHETIC, provenance
from burnish.errors import ConfigError, DataError
from burnish.model.base import Base
from burnish.records import Candidate, Example
from burnish.tune.search import prior_lr

LR_TIMES = (0.2, 3.0)
"""Bounds of the learning rate as multiples of the prior."""
RANKS = (8, 16, 32, 64)
EPOCH_TIMES = (0.5, 1.0, 1.5)
"""Epochs as multiples of train.epochs."""
BATCH_SIZES = (8, 16, 32)
HUMAN_WEIGHTS = (1.0, 3.0, 5.0)
REPLAY_SHARES = (0.0, 0.05, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all candidates of one bank share: they see the same rows in the same batches."""

    batch_size: int
    epochs: int
    human_weight: float = 1.0
    """Weight of a row that people wrote, others counting 1."""
    replay_share: float = 0.0
    """Share of replay rows, which keep general abilities alive, among all rows; 0: all that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The choices of one search. A dimension with one choice is not searched."""

    lr: tuple[float, float]
    """Lowest and highest learning rate, searched on a log scale."""
    ranks: tuple[int, ...]
    epochs: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    human_weights: tuple[float, ...] = (1.0,)
    replay_shares: tuple[float, ...] = (0.0,)

    @property
    def shared(self) -> dict[str, tuple[float, ...]]:
        """The dimensions of the recipe, by name."""
        return {
            "batch_size": self.batch_sizes,
            "epochs": self.epochs,
            "human_weight": self.human_weights,
            "replay_share": self.replay_shares,
        }

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether these are values for every dimension, each within its bounds."""
        choices = {"rank": self.ranks, **self.shared}
        is_whole = values.keys() == choices.keys() | {"lr"}
        return is_whole and self.lr[0] <= values["lr"] <= self.lr[1] and all(values[n] in c for n, c in choices.items())


def space_of(settings: Settings, base: Base, train: Sequence[Example], *, num_labels: int = 0) -> Space:
    """The space for this base and these rows, of a task with so many labels.

    Raises DataError for an empty subset, ConfigError when the project's rank is larger than a layer it adapts to.
    """
    if not train:
        raise DataError("there is no row to train on", hint="add data: burnish data add FILE")
    config: Any = base.model.config
    width = base.hidden_size
    if settings.lora.rank > width:
        raise ConfigError(
            f"lora.rank is {settings.lora.rank}, more than the {width} of the base's layers",
            hint=f"set lora.rank to at most {width}; 8 to 64 is the useful range",
        )
    prior = prior_lr(config.model_type, width)
    middle = prior if settings.train.lr == "auto" else settings.train.lr
    kinds = {provenance(example) for example in train}
    passes = settings.train.passes(len(train), num_labels)
    return Space(
        lr=(LR_TIMES[0] * middle, LR_TIMES[1] * middle),
        ranks=tuple(sorted({*(rank for rank in RANKS if rank <= width), settings.lora.rank})),
        epochs=tuple(sorted({max(1, round(times * passes)) for times in EPOCH_TIMES})),
        batch_sizes=tuple(
            sorted({*(size for size in BATCH_SIZES if size <= len(train)), min(settings.train.batch_size, len(train))})
        ),
        human_weights=_with(settings.train.human_weight, HUMAN_WEIGHTS if {HUMAN, SYNTHETIC} <= kinds else ()),
        replay_shares=_with(settings.train.replay_share, REPLAY_SHARES if REPLAY in kinds else ()),
    )


def _with(own: float, choices: Sequence[float]) -> tuple[float, ...]:
    """The project's own value among the choices; alone where there is nothing to choose."""
    return tuple(sorted({own, *choices}))


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe in the values of a trial."""
    return Recipe(
        batch_size=int(values["batch_size"]),
        epochs=int(values["epochs"]),
        human_weight=float(values["human_weight"]),
        replay_share=float(values["replay_share"]),
    )


def candidate_of(number: int, values: Mapping[str, Any], settings: Settings) -> Candidate:
    """The candidate of a trial; alpha is the project's, so that ranks share a learning rate (alpha / rank scaling)."""
    return Candidate(
        name=f"t{number:03d}",
        rank=int(values["rank"]),
        alpha=settings.lora.usual_alpha,
        lr=float(f"{values['lr']:.3g}"),
        seed=settings.seed,
    )
