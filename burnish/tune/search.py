"""Which learning rates to try, from what others measured on many models, and which of the tried adapters to take.

A good prior beats a long search: on the published sweep of 548 runs two learning rates lose 0.006% against twenty
configurations (docs/decisions/0002-learning-rate-prior.md).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from burnish.config import Settings
from burnish.errors import TrainingError
from burnish.model.base import Base
from burnish.records import Candidate, Interval, Task, Trial

FULL_LR = 5e-5
"""Learning rate of full fine-tuning at the reference width of 2,000."""
LORA_TIMES = 10.0
"""LoRA wants ten times the learning rate of full fine-tuning, at every size (LoRA Without Regret, 2025)."""
WIDTH_POWER = {"llama": 0.781, "mistral": 0.781, "qwen2": 0.0775, "qwen3": 0.0775}
"""How fast the best rate falls with the hidden size, by family, fitted on the same sweep."""
OTHER_FAMILIES_LR = 2e-4
PREFERENCE_SHARE = 0.04
"""Share of that rate for dpo and kto: others' rule of 0.03 to 0.05, which gives about 1e-5; not measured here."""
STANDARD_ERROR_Z = 1.96
PEOPLE_ONLY = "people"
"""The subset of a job's rows that are not synthetic."""
SMALL_BASE = 1024
"""Below this hidden size token dropout is on for labels, and B may learn faster than A; measured on the built-in base
alone."""
TRIES = ((1.0, 1.0), (2.0, 1.0))
"""What is tried where nothing else is asked: multiples of the learning rate and of alpha."""
TRIES_OF_SMALL = ((0.5, 4.0), (0.5, 8.0))
"""To AdamW four times the alpha is a rate four times as high for B, and the same for A: LoRA+ (Hayou et al. 2024,
arXiv 2402.12354), in an adapter that every reader knows (docs/decisions/0030-faster-b.md)."""
FULL_TRIES, FULL_TRIES_OF_SMALL = ((2.0, 1.0),), ((4.0, 1.0),)
"""The same for full fine-tuning, which trains one model: multiples of its own prior."""
LABEL_DROPOUT = 0.15


def prior_lr(family: str, hidden_size: int, *, method: str = "lora") -> float:
    """The peak learning rate to start from: 5e-5 * 10 * (2000 / hidden size)^power, for Llama- and Qwen-like families.

    LoRA Without Regret (Schulman et al., Thinking Machines, 2025) and its published code; full fine-tuning gets a
    tenth. The fit is on models from 1B up; what we measured far below it is in the decision note.
    """
    power = WIDTH_POWER.get(family)
    lr = OTHER_FAMILIES_LR if power is None else FULL_LR * LORA_TIMES * (2000 / hidden_size) ** power
    return lr / LORA_TIMES if method == "full" else lr


def candidates(settings: Settings, base: Base) -> tuple[Candidate, ...]:
    """One candidate for each multiple in train.search, named a, b, c, ...; full fine-tuning tries the middle one alone.

    All start from the same seed, so that they differ in nothing but the learning rate and, for auto, alpha.
    """
    config: Any = base.model.config
    train = settings.train
    share = 1.0 if train.objective == "sft" else PREFERENCE_SHARE
    prior = share * prior_lr(config.model_type, base.hidden_size, method=train.method)
    peak = prior if train.lr == "auto" else train.lr
    tries = tries_of(settings, base)
    if train.method == "full":
        tries = (sorted(tries)[len(tries) // 2],)
    return tuple(
        Candidate(
            name=_name(index),
            rank=settings.lora.rank,
            alpha=settings.lora.usual_alpha * alpha_times,
            lr=float(f"{peak * lr_times:.3g}"),
            seed=settings.seed,
        )
        for index, (lr_times, alpha_times) in enumerate(tries)
    )


def tries_of(settings: Settings, base: Base) -> tuple[tuple[float, float], ...]:
    """Multiples of the learning rate and of alpha, a pair a candidate; auto: more than one alpha on small bases.

    A rate that was set is tried as it is: our own prior alone is moved.
    """
    train = settings.train
    if train.search != "auto":
        return tuple((multiple, 1.0) for multiple in train.search or (1.0,))
    is_small, is_prior = base.hidden_size < SMALL_BASE, train.lr == "auto"
    if train.method == "full":
        return ((1.0, 1.0),) if not is_prior else FULL_TRIES_OF_SMALL if is_small else FULL_TRIES
    is_open = is_prior and train.objective == "sft" and settings.lora.alpha == "auto"
    return TRIES_OF_SMALL if is_open and is_small else TRIES


def on_people_only(tried: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The same candidates once more, learning only from rows that burnish did not make."""
    return tuple(replace(one, name=f"{one.name}-{PEOPLE_ONLY}", subset=PEOPLE_ONLY) for one in tried)


def token_dropout(settings: Settings, task: Task, base: Base) -> float:
    """The share of user tokens that training leaves out.

    auto: 0.15 where the answer is a label and the base small, where it paid (docs/decisions/0007-token-dropout.md); 0
    for fields and text, whose answers may copy the very token that was dropped, and for preferences.
    """
    asked = settings.train.token_dropout
    if asked != "auto":
        return asked
    if settings.train.objective != "sft":
        return 0.0
    return LABEL_DROPOUT if task.kind == "label" and base.hidden_size < SMALL_BASE else 0.0


def pick(trials: Sequence[Trial]) -> Trial:
    """The trial to take: of all within one standard error of the best dev score, the one with the lowest dev loss.

    Scores of a hundred rows cannot tell close trials apart, but the loss on the same rows often can; ties go to the
    lower learning rate. Trials without a score count only when none has one. Diverged trials are taken last.
    Raises TrainingError when there is nothing to pick.
    """
    if not trials:
        raise TrainingError("no candidate was trained", hint="Put at least one multiple into train.search.")
    alive = [trial for trial in trials if trial.stopped != "diverged"] or list(trials)
    scored = [(trial, trial.dev_score) for trial in alive if trial.dev_score and trial.dev_score.value is not None]
    if not scored:
        return min(alive, key=_loss_then_lr)
    best = max((score for _, score in scored), key=_value)
    close = [trial for trial, score in scored if _value(score) >= _value(best) - _standard_error(best)]
    return min(close, key=_loss_then_lr)


def _loss_then_lr(trial: Trial) -> tuple[float, float]:
    return (float("inf") if trial.dev_loss is None else trial.dev_loss, trial.candidate.lr)


def _value(score: Interval) -> float:
    assert score.value is not None, score
    return score.value


def _standard_error(score: Interval) -> float:
    """Half a 95% interval over 1.96; 0 when there is none."""
    if score.low is None or score.high is None:
        return 0.0
    return (score.high - score.low) / 2 / STANDARD_ERROR_Z


def _name(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"z{index}"
