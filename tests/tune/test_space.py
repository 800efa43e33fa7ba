"""The space offers what base and data can use, rows follow the recipe, and the verdict trades gain for a small move."""

from collections import Counter
from dataclasses import replace

import pytest

from burnish.config import LoraSettings, Settings, TrainSettings
from burnish.errors import ConfigError, DataError, TrainingError
from burnish.fakes import small_examples, tiny_base
from burnish.records import Candidate, Example, Interval, Trial
from burnish.tune.kept import Tried
from burnish.tune.rows import stratified, with_recipe
from burnish.tune.search import prior_lr
from burnish.tune.space import Space, candidate_of, space_of
from burnish.tune.verdict import finalists, verdict_on


def marked(examples: list[Example], kind: str) -> list[Example]:
    return [replace(example, id=f"{kind}-{example.id}", slices={"provenance": kind}) for example in examples]


def test_the_space_surrounds_the_prior_and_the_projects_own_settings() -> None:
    settings = Settings(lora=LoraSettings(rank=4), train=TrainSettings(epochs=4, batch_size=8))
    space = space_of(settings, tiny_base(), small_examples(60))
    prior = prior_lr("llama", 32)
    assert space.lr == (pytest.approx(0.2 * prior), pytest.approx(3 * prior))
    assert space.ranks == (4, 8, 16, 32)  # 64 is wider than the layers
    assert space.epochs == (2, 4, 6)
    assert space.batch_sizes == (8, 16, 32)
    assert (space.human_weights, space.replay_shares) == ((1.0,), (0.0,))


def test_data_weights_are_offered_only_where_the_data_has_such_rows() -> None:
    rows = small_examples(20)
    mixed = space_of(Settings(), tiny_base(), [*rows, *marked(rows, "synthetic")])
    assert (mixed.human_weights, mixed.replay_shares) == ((1.0, 3.0, 5.0), (0.0,))
    kept = space_of(Settings(), tiny_base(), [*rows, *marked(rows, "replay")])
    assert (kept.human_weights, kept.replay_shares) == ((1.0,), (0.0, 0.05, 0.1))


def test_the_projects_own_data_weights_are_among_the_choices_and_the_only_ones_without_such_rows() -> None:
    settings, rows = Settings(train=TrainSettings(human_weight=2.0, replay_share=0.2)), small_examples(20)
    plain = space_of(settings, tiny_base(), rows)
    assert (plain.human_weights, plain.replay_shares) == ((2.0,), (0.2,))
    mixed = space_of(settings, tiny_base(), [*rows, *marked(rows, "synthetic"), *marked(rows, "replay")])
    assert (mixed.human_weights, mixed.replay_shares) == ((1.0, 2.0, 3.0, 5.0), (0.0, 0.05, 0.1, 0.2))


def test_a_batch_is_never_larger_than_the_rows() -> None:
    assert space_of(Settings(), tiny_base(), small_examples(6)).batch_sizes == (6,)


def test_a_rank_wider_than_the_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lora.rank is 64, more than the 32"):
        space_of(Settings(lora=LoraSettings(rank=64)), tiny_base(), small_examples(6))


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no row to train on"):
        space_of(Settings(), tiny_base(), [])


def test_values_become_a_candidate_of_their_own_rate_and_rank() -> None:
    values = {"lr": 0.00123456, "rank": 8}
    assert candidate_of(7, values, Settings(seed=5)) == Candidate(name="t007", rank=8, alpha=32.0, lr=0.00123, seed=5)


def test_a_subset_keeps_the_shares_of_the_answers_and_grows_from_its_parts() -> None:
    rows = small_examples(60)
    part, larger = stratified(rows, 12, seed=1), stratified(rows, 30, seed=1)
    assert Counter(example.answer for example in part) == {"address": 4, "appeal": 4, "payment": 4}
    assert {example.id for example in part} < {example.id for example in larger}
    assert stratified(rows, 100, seed=1) == rows
    assert {e.id for e in part} != {e.id for e in stratified(rows, 12, seed=2)}


def test_an_empty_subset_is_refused() -> None:
    with pytest.raises(DataError, match="subset of 0 rows is empty"):
        stratified(small_examples(6), 0, seed=0)


def test_a_recipe_weights_human_rows_and_adds_its_share_of_replay() -> None:
    human, synthetic = small_examples(20), marked(small_examples(18), "synthetic")
    replay = marked(small_examples(30, seed=1), "replay")
    mixed = with_recipe([*human, *synthetic, *replay], human_weight=3.0, replay_share=0.05, seed=0)
    assert len(mixed) == 40  # 38 rows and 2 of replay make 5%
    weights = {example.id: example.weight for example in mixed}
    assert weights["row-0"] == 3.0
    assert weights["synthetic-row-0"] == 1.0
    assert [example.weight for example in mixed if example.id.startswith("replay")] == [1.0, 1.0]


def test_what_a_project_starts_with_trains_on_every_row_as_it_is() -> None:
    plain = TrainSettings()
    rows = [*small_examples(20), *marked(small_examples(18), "synthetic"), *marked(small_examples(30), "replay")]
    assert with_recipe(rows, human_weight=plain.human_weight, replay_share=plain.replay_share, seed=0) == rows


def test_data_weights_change_nothing_where_no_row_has_such_a_provenance() -> None:
    for rows in (small_examples(20), marked(small_examples(20), "human"), marked(small_examples(20), "synthetic")):
        assert with_recipe(rows, human_weight=5.0, replay_share=0.1, seed=0) == rows


def test_a_share_that_asks_for_more_replay_rows_than_there_are_takes_all_in_their_place() -> None:
    rows = [*marked(small_examples(2), "replay"), *small_examples(20)]
    assert with_recipe(rows, human_weight=1.0, replay_share=0.5, seed=0) == rows
    assert with_recipe(rows, human_weight=1.0, replay_share=0.01, seed=0) == rows[2:]


def test_a_share_of_nothing_but_replay_rows_is_refused() -> None:
    rows = marked(small_examples(6), "replay")
    with pytest.raises(DataError, match="but replay rows"):
        with_recipe(rows, human_weight=1.0, replay_share=0.1, seed=0)
    assert with_recipe(rows, human_weight=1.0, replay_share=0.0, seed=0) == rows


def tried(number: int, score: float | None, *, move: float | None = 0.1, loss: float = 1.0) -> Tried:
    # a half width of 0.098 is a standard error of 0.05
    interval = None if score is None else Interval(value=score, low=score - 0.098, high=score + 0.098, n=100)
    candidate = Candidate(name=f"t{number:03d}", rank=4, alpha=8, lr=1e-3, seed=0)
    trial = Trial(candidate=candidate, curve=(), best_step=1, dev_loss=loss, dev_score=interval)
    return Tried(number=number, values={}, trial=trial, move=move)


def test_within_one_standard_error_the_smaller_move_wins() -> None:
    far, near, worse = tried(0, 0.90, move=0.4), tried(1, 0.86, move=0.2), tried(2, 0.84, move=0.1)
    verdict = verdict_on([far, near, worse])
    assert (verdict.chosen, verdict.best) == (near, far)
    assert "within one standard error (5.0%)" in verdict.reason


def test_the_best_wins_when_nothing_as_good_moves_less() -> None:
    verdict = verdict_on([tried(0, 0.9, move=0.1), tried(1, 0.88, move=0.3), tried(2, None, move=None)])
    assert verdict.chosen.number == 0


def test_a_search_without_a_scored_trial_says_so() -> None:
    with pytest.raises(TrainingError, match="no trial of the search"):
        verdict_on([tried(0, None, move=None)])


def test_finalists_are_the_best_by_score_then_loss() -> None:
    shown = [tried(0, 0.8), tried(1, 0.9, loss=2.0), tried(2, 0.9, loss=1.0), tried(3, None)]
    assert [one.number for one in finalists(shown, 2)] == [2, 1]


def test_holds_wants_every_dimension_within_its_bounds() -> None:
    space = Space(lr=(1e-4, 1e-2), ranks=(4,), epochs=(2,), batch_sizes=(8,))
    values = {"lr": 1e-3, "rank": 4, "epochs": 2, "batch_size": 8, "human_weight": 1.0, "replay_share": 0.0}
    assert space.holds(values)
    assert not space.holds({**values, "lr": 1.0})
    assert not space.holds({**values, "rank": 5})
    assert not space.holds({"lr": 1e-3})
