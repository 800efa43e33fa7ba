"""What makes rows in this project: rules, and models where there are some, with what they used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.data.provenance import HUMAN, provenance
from burnish.loop.generating import SeedGenerator, forecast_tokens
from burnish.loop.making import Maker, moves_of
from burnish.loop.stages import Shop
from burnish.synthesize.generator import MOVE as GENERATOR
from burnish.synthesize.sieve import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """The moves of a project in their order, and those of them that take a model."""

    moves: tuple[str, ...]
    makers: Mapping[str, Maker] = field(default_factory=dict)
    usd: Callable[[], float] = lambda: 0.0
    num_tokens: Callable[[], int] = lambda: 0
    tokens_ahead: int = 0
    """Beside those of the rows themselves, for the forecast."""
    notes: Callable[[], tuple[str, ...]] = tuple
    """What there is to say once rows were made."""
    steps: tuple[Step, ...] = ()
    """What only rows of models have to pass in the sieve."""


def makers_of(shop: Shop, folder: Path | None) -> Makers:
    """What makes rows; without a folder nothing is trained or asked for, and only the moves are told."""
    settings, seeds = shop.project.settings, shop.seeds
    moves = moves_of(settings, seeds.task, models=())
    if GENERATOR not in moves:
        return Makers(moves=moves)
    num_people = sum(provenance(row) == HUMAN for row in seeds.of("train"))
    if folder is None:
        return Makers(moves=moves, tokens_ahead=forecast_tokens(num_people, settings))
    generator = SeedGenerator(shop.bench, seeds.task, seeds.columns, folder, shop.talk, should_stop=shop.should_stop)
    return Makers(
        moves=moves,
        makers={GENERATOR: generator.make},
        num_tokens=lambda: generator.num_tokens,
        notes=generator.notes,
        steps=(generator.unlikely,),
    )
