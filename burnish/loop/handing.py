"""`burnish handoffs`: which cases go to a person, of a version and of the one before it, on the same rows of dev_a.

Thresholds are set on dev_b, each model's by its own answers. No vault is read, and train and audit rows are not either.
"""

from collections.abc import Callable

from burnish.errors import UsageError
from burnish.evaluate.handoff import HandoffChange, handoff_change, rare_values
from burnish.evaluate.threshold import TARGET, calibrate
from burnish.loop.inspection import find_model
from burnish.loop.project import Project
from burnish.loop.seeds import Seeds, demand_dev_rows
from burnish.loop.stages import score_stage, shop_outside_rounds
from burnish.loop.workbench import BASE_NAME
from burnish.records import Evaluation, ModelVersion
from burnish.talk import Talk


def handoffs_of_project(
    project: Project,
    talk: Talk,
    *,
    of: str = "champion",
    against: str = "",
    target: float = TARGET,
    should_stop: Callable[[], bool] = lambda: False,
) -> HandoffChange:
    """The hand-offs of the version `of` against another, without a name the one it was to replace.

    Both are asked without solved examples. Answers that a round has scored are not asked for again.

    Raises:
        DataError: dev_a or dev_b has no row.
        UsageError: the two are one version, or there is no such version.
    """
    shop = shop_outside_rounds(project, talk, should_stop)
    demand_dev_rows(shop.seeds, "compare hand-offs by")
    after = find_model(project, of, shop.bench)
    before = find_model(project, against or _replaced(after), shop.bench)
    if before.name == after.name:
        raise UsageError(
            f"{after.name} cannot be compared with itself",
            hint="name two versions, --of VERSION --against VERSION; `burnish models` lists them",
        )
    return handed_off(
        shop.seeds,
        before=(score_stage(shop, before, "dev_b"), score_stage(shop, before, "dev_a")),
        after=(score_stage(shop, after, "dev_b"), score_stage(shop, after, "dev_a")),
        target=target,
        seed=project.settings.seed,
    )


def handed_off(
    seeds: Seeds,
    *,
    before: tuple[Evaluation, Evaluation],
    after: tuple[Evaluation, Evaluation],
    target: float = TARGET,
    seed: int = 0,
) -> HandoffChange:
    """The hand-offs of two models, each given by its evaluations on dev_b, for the threshold, and on dev_a."""
    return handoff_change(
        before[1],
        after[1],
        (calibrate(before[0], target=target), calibrate(after[0], target=target)),
        rare=rare_values(seeds.of("train"), seeds.columns, has_labels=seeds.task.kind == "label"),
        seed=seed,
    )


def _replaced(version: ModelVersion) -> str:
    """Name of the champion that a version was trained to replace; the untuned base where none is known."""
    return version.parents[0] if version.parents else BASE_NAME
