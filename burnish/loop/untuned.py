"""What tuning has to beat: the base as it comes, shown no examples or a few, and no model at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.config import Settings
from burnish.data.dataset import set_hash
from burnish.evaluate.calibrated import calibrated_score
from burnish.evaluate.commonest import commonest_evaluation
from burnish.evaluate.prompt import pick_shots
from burnish.fingerprint import fingerprint
from burnish.loop.stages import Shop, score_stage
from burnish.loop.workbench import BASE_NAME, Workbench
from burnish.records import Evaluation, Example, Interval, ModelVersion, as_json, from_json

CALIBRATE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Untuned:
    """The untuned base, its scores on dev_a and the shots with which it does better."""

    version: ModelVersion
    zero_shot: Evaluation
    few_shot: Evaluation | None
    commonest: Interval
    """Score of always giving the commonest answer."""
    calibrated: Interval | None = None
    """Accuracy with each label's own weight taken away, of label tasks."""
    shots: Sequence[Example] = field(default=())

    @property
    def baselines(self) -> dict[str, Interval]:
        """All yardsticks by their names in the JSON."""
        few_shot = {"few_shot": self.few_shot.overall} if self.few_shot else {}
        calibrated = {"calibrated": self.calibrated} if self.calibrated else {}
        return {"commonest_answer": self.commonest, "zero_shot": self.zero_shot.overall, **few_shot, **calibrated}

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
    plain = Untuned(version=version, zero_shot=zero_shot, few_shot=None, commonest=commonest)
    shots = pick_shots(train, settings.task.shots, settings.seed)
    if shots:
        few_shot = score_stage(shop, version, "dev_a", shots=shots)
        better = (few_shot.overall.value or 0.0) > (zero_shot.overall.value or 0.0)
        plain = replace(plain, few_shot=few_shot, shots=shots if better else ())
    return replace(plain, calibrated=_calibrated(shop, shots)) if shop.seeds.task.kind == "label" else plain


def _calibrated(shop: Shop, shots: Sequence[Example]) -> Interval:
    """The calibrated accuracy of the base on dev_a, measured once."""
    rows, task, base = shop.seeds.of("dev_a"), shop.seeds.task, shop.bench.base

    def work(_: Path) -> dict[str, Any]:
        return {"overall": as_json(calibrated_score(base, task, rows, shots))}

    inputs = {
        "base": base.base_hash,
        "template": base.chat.template_hash,
        "examples": set_hash(rows),
        "shots": set_hash(shots),
    }
    sealed = shop.run("calibrate", CALIBRATE_VERSION, {"task": as_json(task)}, inputs, 60 * len(rows), work)
    return from_json(Interval, sealed.record["overall"])
