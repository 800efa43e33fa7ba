"""What makes rows in this project: rules, and models where there are some, with what they used."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.errors import ConfigError
from burnish.loop import crossfit
from burnish.loop.generating import SeedGenerator
from burnish.loop.learner import forecast_tokens
from burnish.loop.making import Maker, Making, moves_of
from burnish.loop.solving import Solver
from burnish.loop.stages import Shop
from burnish.loop.teaching import Teaching, approved_terms, open_teacher, people_of
from burnish.synthesize.generator import MOVE as GENERATOR
from burnish.synthesize.moves import NOISE_MOVE
from burnish.synthesize.questions import MOVE as TEACHER
from burnish.synthesize.sieve import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """The moves of a project in their order, and those of them that take a model."""

    moves: tuple[str, ...]
    makers: Mapping[str, Maker] = field(default_factory=dict)
    teaching: Teaching | None = None
    """Repairs rows that others made; None: nobody does."""
    solver: Solver | None = None
    """Solves rows blind; None: nobody does."""
    generator: SeedGenerator | None = None
    """Learns people's rows; None: nothing does."""
    crossed: crossfit.CrossFit | None = None
    """Adapters that vote on rows whose parents they have not seen; None: the champion votes."""
    tokens_ahead: int = 0
    """Beside those of the rows themselves, for the forecast."""

    @property
    def usd(self) -> float:
        """What was paid to others for the rows."""
        return sum(one.usd for one in (self.teaching, self.solver) if one)

    @property
    def num_tokens(self) -> int:
        """Tokens that the generator learned and wrote, and that the voting adapters learned."""
        return sum(one.num_tokens for one in (self.generator, self.crossed) if one)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What only rows of models have to pass in the sieve."""
        return (self.generator.unlikely,) if self.generator else ()

    def refined(self, making: Making, passed: Callable[[], Collection[str]]) -> Making:
        """The rows, those that passed the filters repaired by a teacher where there is one; noise stays noise."""
        if self.teaching is None:
            return making
        good, whole = passed(), (TEACHER, NOISE_MOVE)
        return self.teaching.refined(making, lambda one: one.provenance.move not in whole and one.example.id in good)

    def close(self) -> None:
        """Ends connections to endpoints."""
        for one in (self.teaching, self.solver):
            if one:
                one.teacher.close()

    def notes(self) -> tuple[str, ...]:
        """What there is to say once rows were made."""
        told = [note for one in (self.generator, self.teaching) if one for note in one.notes()]
        return (*told, *([self.crossed.note()] if self.crossed and self.crossed.trials else []))


def makers_of(shop: Shop, folder: Path | None) -> Makers:
    """What makes rows; without a folder nothing is trained or asked for, and only the moves are told.

    Raises ConfigError where a teacher is asked for that is not set, that nobody allowed, or that has no price.
    """
    settings = shop.project.settings
    has_teacher = settings.teacher.is_set
    moves = moves_of(settings, shop.seeds.task, models=(TEACHER,) if has_teacher else ())
    if TEACHER in moves and not has_teacher:
        raise ConfigError(
            "synthesize.moves names the teacher, but no teacher is set",
            hint="set teacher.base_url and teacher.model, or leave the teacher out of synthesize.moves",
        )
    if folder is None:
        ahead = forecast_tokens(len(people_of(shop)), settings) if GENERATOR in moves else 0
        return Makers(moves=moves, tokens_ahead=ahead + (crossfit.forecast_tokens(shop) if is_crossed(shop) else 0))
    teaching = _teaching(shop) if has_teacher else None
    generator = _generator(shop, folder) if GENERATOR in moves else None
    makers = {
        **({TEACHER: teaching.make} if teaching else {}),
        **({GENERATOR: generator.make} if generator else {}),
    }
    solver = _solver(shop, teaching)
    crossed = crossfit.CrossFit(shop, folder) if is_crossed(shop) else None
    return Makers(moves=moves, makers=makers, teaching=teaching, solver=solver, generator=generator, crossed=crossed)


def is_crossed(shop: Shop) -> bool:
    """Whether adapters are trained to vote on the rows of this project."""
    return shop.project.settings.synthesize.cross_fit and shop.seeds.task.kind == "label"


def _generator(shop: Shop, folder: Path) -> SeedGenerator:
    task, columns = shop.seeds.task, shop.seeds.columns
    return SeedGenerator(shop.bench, task, columns, folder, shop.talk, should_stop=shop.should_stop)


def _teaching(shop: Shop) -> Teaching:
    return Teaching(
        teacher=open_teacher(shop, shop.project.settings.teacher, "teacher"),
        task=shop.seeds.task,
        people=people_of(shop),
        terms=approved_terms(shop.project),
        repairs=shop.project.settings.synthesize.refine,
    )


def _solver(shop: Shop, teaching: Teaching | None) -> Solver | None:
    """The verifier, or the teacher in its place; None where settings ask for no solution."""
    settings = shop.project.settings
    if not settings.synthesize.solutions:
        return None
    other = open_teacher(shop, settings.verifier, "verifier") if settings.verifier.is_set else None
    teacher = other or (teaching.teacher if teaching else None)
    if teacher is None:
        return None
    return Solver(teacher=teacher, task=shop.seeds.task, people=people_of(shop), draws=settings.synthesize.solutions)
