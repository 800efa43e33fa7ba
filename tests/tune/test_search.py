"""The learning-rate prior, the candidates of a search, and the pick among trained ones."""

import pytest

from burnish.config import LoraSettings, Settings, TrainSettings
from burnish.errors import TrainingError
from burnish.fakes import tiny_base
from burnish.records import Candidate, Interval, Task, Trial
from burnish.tune import search
from burnish.tune.search import PREFERENCE_SHARE, candidates, pick, prior_lr, token_dropout


@pytest.mark.parametrize(
    ("family", "hidden_size", "expected"),
    [("llama", 2048, 4.9e-4), ("llama", 4096, 2.9e-4), ("qwen3", 2560, 4.9e-4), ("phi", 2560, 2e-4)],
)
def test_the_prior_gives_the_published_rates(family: str, hidden_size: int, expected: float) -> None:
    assert prior_lr(family, hidden_size) == pytest.approx(expected, rel=0.02)


def test_the_prior_rises_as_the_base_gets_smaller() -> None:
    rates = [prior_lr("llama", width) for width in (8192, 4096, 2048, 1024, 1000, 768, 320, 64)]
    assert rates == sorted(rates)


def test_full_fine_tuning_starts_at_a_tenth() -> None:
    assert prior_lr("llama", 2048, method="full") == pytest.approx(prior_lr("llama", 2048) / 10)


def test_candidates_differ_in_name_and_rate_alone() -> None:
    settings = Settings(seed=7, lora=LoraSettings(rank=8, alpha=24), train=TrainSettings(lr=1e-3, search=(0.5, 1, 4)))
    assert candidates(settings, tiny_base()) == tuple(
        Candidate(name=name, rank=8, alpha=24.0, lr=lr, seed=7) for name, lr in (("a", 5e-4), ("b", 1e-3), ("c", 4e-3))
    )


@pytest.mark.parametrize(
    ("small", "lora", "objective", "expected"),
    [
        (1024, {}, "sft", [(0.5, 128), (0.5, 256)]),
        (8, {}, "sft", [(1, 32), (2, 32)]),
        (1024, {"alpha": 16}, "sft", [(1, 16), (2, 16)]),
        (1024, {}, "dpo", [(1, 32), (2, 32)]),
    ],
)
def test_auto_widens_the_prior_and_lets_b_learn_faster_on_a_small_base(
    small: int,
    lora: dict[str, float],
    objective: str,
    expected: list[tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SMALL_BASE", small)
    settings = Settings(lora=LoraSettings(**lora), train=TrainSettings(objective=objective))  # type: ignore[arg-type]
    base = tiny_base()
    prior = prior_lr("llama", base.hidden_size) * (1.0 if objective == "sft" else PREFERENCE_SHARE)
    # rates are written with three digits, so they may be half a unit of the third one off
    pairs = [(pytest.approx(prior * times, rel=5e-3), alpha) for times, alpha in expected]
    assert [(candidate.lr, candidate.alpha) for candidate in candidates(settings, base)] == pairs


@pytest.mark.parametrize(("method", "rates"), [("lora", [1e-3, 2e-3]), ("full", [1e-3])])
def test_a_rate_that_was_set_is_tried_as_it_is(method: str, rates: list[float]) -> None:
    settings = Settings(train=TrainSettings(method=method, lr=1e-3))  # type: ignore[arg-type]
    assert [candidate.lr for candidate in candidates(settings, tiny_base())] == rates
    assert {candidate.alpha for candidate in candidates(settings, tiny_base())} == {32.0}


def test_preferences_start_at_a_twenty_fifth_and_leave_out_no_token() -> None:
    base, label = tiny_base(), Task(kind="label")
    examples, pairs = (Settings(train=TrainSettings(objective=what, search=(1.0,))) for what in ("sft", "dpo"))
    rates = [candidates(settings, base)[0].lr for settings in (examples, pairs)]
    assert rates[1] == pytest.approx(rates[0] / 25, rel=1e-2)  # three digits each
    assert token_dropout(examples, label, base) > 0 == token_dropout(pairs, label, base)


def test_full_fine_tuning_tries_the_middle_alone() -> None:
    settings = Settings(train=TrainSettings(method="full", lr=1e-4, search=(2.0, 0.5, 1.0)))
    assert [candidate.lr for candidate in candidates(settings, tiny_base())] == [1e-4]


def trial(
    name: str, lr: float, score: tuple[float, float, float] | None, *, loss: float | None = 1.0, **more: str
) -> Trial:
    value = Interval(value=score[0], low=score[1], high=score[2], n=100) if score else None
    candidate = Candidate(name=name, rank=4, alpha=8, lr=lr, seed=0)
    return Trial(candidate=candidate, curve=(), best_step=1, dev_loss=loss, dev_score=value, **more)  # type: ignore[arg-type]


def test_within_one_standard_error_the_lower_loss_wins_and_of_equal_losses_the_smaller_rate() -> None:
    # half width 0.098, so one standard error is 0.05
    best, third = trial("b", 2e-3, (0.90, 0.802, 0.998), loss=0.5), trial("c", 4e-3, (0.89, 0, 1), loss=0.5)
    assert pick([trial("a", 1e-3, (0.86, 0, 1), loss=0.4), best, third]).candidate.name == "a"
    assert pick([trial("a", 1e-3, (0.84, 0, 1), loss=0.4), best, third]).candidate.name == "b"
    assert pick([trial("a", 1e-3, (0.86, 0, 1), loss=0.6), third, best]).candidate.name == "b"


def test_without_scores_the_dev_loss_decides() -> None:
    assert pick([trial("a", 1e-3, None, loss=0.9), trial("b", 2e-3, None, loss=0.2)]).candidate.name == "b"
    assert pick([trial("a", 1e-3, None, loss=None), trial("b", 2e-3, None, loss=0.2)]).candidate.name == "b"


def test_a_diverged_trial_is_taken_only_when_there_is_no_other() -> None:
    wild = trial("w", 1e-4, (0.99, 0.9, 1.0), stopped="diverged")
    assert pick([wild, trial("a", 1e-3, (0.5, 0.4, 0.6))]).candidate.name == "a"
    assert pick([wild]).candidate.name == "w"


def test_nothing_to_pick_from_is_told() -> None:
    with pytest.raises(TrainingError, match="no candidate"):
        pick([])
