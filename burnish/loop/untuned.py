"""What tuning has to beat: the base as it comes, shown no examples or a few, and no model at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from burnish.config import Settings
from burnish.evaluate.commonest import commonest_evaluation
from burnish.evaluate.prompt import pick_shots
from burnish.fingerprint import fingerprint
from burnish.loop.stages import Shop, score_stage
from burnish.loop.workbench import BASE_NAME, Workbench
from burnish.records import Evaluation, Example, Interval, ModelVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Untuned:
    """The untuned base, its scores on dev_a and the shots with which it does better."""

    version: ModelVersion
    zero_shot: Evaluation
    few_shot: Evaluation | None
    commonest: Interval
    """Score of always giving the commonest answer."""
    shots: Sequence[Example] = field(default=())

    @property
    def baselines(self) -> dict[str, Interval]:
        """All yardsticks by their names in the JSON."""
        few_shot = {"few_shot": self.few_shot.overall} if self.few_shot else {}
        return {"commonest_answer": self.commonest, "zero_shot": self.zero_shot.overall, **few_shot}

    @property
    def best(self) -> Evaluation:
        """The fairer baseline."""
        return self.few_shot if self.few_shot and self.shots else self.zero_shot


def base_version(bench: Workbench, settings: Settings) -> ModelVersion:
    """The registry entry of the untuned base."""
    base = bench.base
    return ModelVersion(
        name=BASE_NAME,
        round=0,
        adapter_hash=fingerprint({"base": base.base_hash}),
        artifact="",
        base=settings.base,
        base_hash=base.base_hash,
        template_hash=base.chat.template_hash,
    )


def untuned_baseline(shop: Shop) -> Untuned:
    """Scores the base with and without shots, by the same constrained decoding as every other model."""
    settings = shop.project.settings
    version = base_version(shop.bench, settings)
    zero_shot = score_stage(shop, version, "dev_a")
    train = shop.seeds.of("train")
    commonest = commonest_evaluation(shop.seeds.task, train, zero_shot, shop.seeds.of("dev_a")).overall
    shots = pick_shots(train, settings.task.shots, settings.seed)
    if not shots:
        return Untuned(version=version, zero_shot=zero_shot, few_shot=None, commonest=commonest)
    few_shot = score_stage(shop, version, "dev_a", shots=shots)
    better = (few_shot.overall.value or 0.0) > (zero_shot.overall.value or 0.0)
    return Untuned(
        version=version,
        zero_shot=zero_shot,
        few_shot=few_shot,
        commonest=commonest,
        shots=shots if better else (),
    )
