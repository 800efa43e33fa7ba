"""What makes rows in this project: rules, and models where there are some, with what they used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.loop.making import Maker, moves_of
from burnish.loop.stages import Shop


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """The moves of a project in their order, and those of them that take a model."""

    moves: tuple[str, ...]
    makers: Mapping[str, Maker] = field(default_factory=dict)
    usd: Callable[[], float] = lambda: 0.0
    num_tokens: Callable[[], int] = lambda: 0


def makers_of(shop: Shop, folder: Path | None) -> Makers:
    """What makes rows; without a folder nothing is trained or asked for, and only the moves are told."""
    return Makers(moves=moves_of(shop.project.settings, shop.seeds.task, models=()))
