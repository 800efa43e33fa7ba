"""`burnish diagnose`: where a model is weak and why, from its answers on dev_a, each weakness tested anew on dev_b."""

from collections.abc import Callable, Sequence

from burnish.diagnose.diagnosis import Diagnosis, diagnose
from burnish.diagnose.gold import GoldCheck, check_gold
from burnish.diagnose.rows import text_of
from burnish.errors import DataError
from burnish.loop.inspection import find_model
from burnish.loop.project import Project
from burnish.loop.seeds import Seeds
from burnish.loop.stages import score_stage, shop_outside_rounds
from burnish.records import Example
from burnish.talk import Talk


def diagnose_project(
    project: Project, talk: Talk, *, model: str = "champion", should_stop: Callable[[], bool] = lambda: False
) -> Diagnosis:
    """The weak slices of a model by name, the likely causes of its errors, and how many gold answers are doubted.

    Scores are found again where a round has made them. Raises DataError when dev_a or dev_b has no row, and what
    `gather` and `find_model` raise.
    """
    shop = shop_outside_rounds(project, talk, should_stop)
    for role in ("dev_a", "dev_b"):
        if not shop.seeds.of(role):
            raise DataError(
                f"no row has the role {role}, so there is nothing to diagnose by",
                hint="add data: burnish data add FILE",
            )
    version = find_model(project, model, shop.bench)
    looked, checked = (score_stage(shop, version, role) for role in ("dev_a", "dev_b"))
    return diagnose(
        looked,
        checked,
        _texts(shop.seeds.of("dev_a")),
        _texts(shop.seeds.of("dev_b")),
        task=shop.seeds.task,
        train=shop.seeds.of("train"),
        declared=_declared(shop.seeds, talk),
        gold=_gold(shop.seeds, project.settings.seed) if shop.seeds.task.kind == "label" else None,
        seed=project.settings.seed,
    )


def _declared(seeds: Seeds, talk: Talk) -> list[str]:
    """The columns to report by that some row of dev_a has; of others it is said that they tell nothing yet."""
    seen = {column for row in seeds.of("dev_a") for column in row.slices}
    for column in seeds.columns:
        if column not in seen:
            talk.warn(f"no row of dev_a has the column {column!r}: nothing is said of its slices")
    return [column for column in seeds.columns if column in seen]


def _gold(seeds: Seeds, seed: int) -> GoldCheck:
    """Doubts about the answers of train and dev_a; nobody looks at those of other roles."""
    rows = [*seeds.of("train"), *seeds.of("dev_a")]
    return check_gold(
        [row.id for row in rows],
        [text_of(row) for row in rows],
        [row.answer for row in rows],
        [row.group for row in rows],
        seed=seed,
    )


def _texts(examples: Sequence[Example]) -> dict[str, str]:
    return {example.id: text_of(example) for example in examples}
