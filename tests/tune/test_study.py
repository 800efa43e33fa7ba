"""The study proposes within its space, remembers through kills, and later searches start from earlier ones."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from burnish.errors import UsageError
from burnish.records import Candidate, CurvePoint, Interval, Trial
from burnish.tune.space import Space
from burnish.tune.study import TuneStudy

SPACE = Space(lr=(1e-4, 1e-2), ranks=(4, 8), epochs=(2, 4), batch_sizes=(8, 16))
PLAIN = {"rank": 8, "epochs": 2, "batch_size": 8, "human_weight": 1.0, "replay_share": 0.0}


@pytest.fixture
def study(tmp_path: Path) -> Iterator[TuneStudy]:
    opened = TuneStudy(tmp_path / "tune.db", "one", SPACE, seed=0)
    yield opened
    opened.close()


def result(score: float | None, *, loss: float = 1.0, stopped: str = "done") -> Trial:
    point = CurvePoint(step=3, epoch=1.0, train_loss=None, dev_loss=loss, lr=1e-3)
    return Trial(
        candidate=Candidate(name="t000", rank=4, alpha=8.0, lr=1e-3, seed=0),
        curve=(point,),
        best_step=3,
        dev_loss=loss,
        dev_score=None if score is None else Interval(value=score, low=score - 0.1, high=score + 0.1, n=50),
        stopped=stopped,
    )


def test_a_heat_shares_one_recipe_and_stays_within_the_space(study: TuneStudy) -> None:
    for _ in range(4):
        heat = study.next_heat(4)
        assert len({tuple(values[name] for name in SPACE.shared) for values in heat.proposals.values()}) == 1
        assert all(SPACE.holds(values) for values in heat.proposals.values())
        for number in heat.proposals:
            study.tell(number, result(0.5 + 0.01 * number), 0.1)
    assert len(study.tried()) == 16


def test_wanted_values_come_first_once_and_only_from_inside_the_space(study: TuneStudy) -> None:
    first = [{"lr": lr, **PLAIN} for lr in (1e-3, 1.0, 2e-3)]
    heat = study.next_heat(3, first)
    assert list(heat.proposals.values())[:2] == [first[0], first[2]]
    for number in heat.proposals:
        study.tell(number, result(0.5), 0.1)
    assert not any(values in first for values in study.next_heat(3, first).proposals.values())


def test_an_unfinished_heat_is_found_again_by_another_process(study: TuneStudy, tmp_path: Path) -> None:
    heat = study.next_heat(3)
    study.tell(next(iter(heat.proposals)), result(0.6), 0.1)
    study.close()
    again = TuneStudy(tmp_path / "tune.db", "one", SPACE, seed=0)
    assert again.next_heat(3) == heat
    again.close()


def test_an_outcome_is_told_once(study: TuneStudy) -> None:
    (number,) = study.next_heat(1).proposals
    study.tell(number, result(0.6), 0.1)
    study.tell(number, result(0.9), 0.2)
    (tried,) = study.tried()
    assert (tried.trial, tried.move) == (result(0.6), 0.1)


def test_trials_that_left_early_are_pruned_with_their_losses_in_optunas_own_words(
    study: TuneStudy, tmp_path: Path
) -> None:
    left, wild, done = study.next_heat(3).proposals
    study.tell(left, result(None, loss=2.0, stopped="outrun"), None)
    study.tell(wild, result(None, loss=float("nan"), stopped="diverged"), None)
    study.tell(done, result(0.7), 0.1)
    seen = optuna.load_study(study_name="one", storage=f"sqlite:///{tmp_path / 'tune.db'}").trials
    assert [trial.state.name for trial in seen] == ["PRUNED", "PRUNED", "COMPLETE"]
    assert seen[left].intermediate_values == {3: -2.0}
    assert seen[done].value == 0.7
    assert len(study.tried()) == 3


def test_a_kill_between_asking_and_writing_down_leaves_no_stray(study: TuneStudy, tmp_path: Path) -> None:
    study._study.ask()
    study._study.enqueue_trial({"lr": 1e-3})
    heat = study.next_heat(2)
    for number in heat.proposals:
        study.tell(number, result(0.5), 0.1)
    states = [trial.state.name for trial in study._trials()]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]


def test_another_search_in_the_file_hears_what_this_one_came_to(study: TuneStudy, tmp_path: Path) -> None:
    heat = study.next_heat(3)
    for place, number in enumerate(heat.proposals):
        study.tell(number, result((0.5, 0.9, 0.7)[place]), 0.1)
    study.note_choice(list(heat.proposals)[1])
    study.close()
    later = TuneStudy(tmp_path / "tune.db", "two", SPACE, seed=0)
    assert later.choices_before() == [list(heat.proposals.values())[1]]
    later.close()


def test_no_slots_are_refused(study: TuneStudy) -> None:
    with pytest.raises(UsageError, match="0 slots"):
        study.next_heat(0)


def test_the_same_seed_proposes_the_same(tmp_path: Path) -> None:
    heats = []
    for name in ("a.db", "b.db"):
        study = TuneStudy(tmp_path / name, "one", SPACE, seed=3)
        heats.append(study.next_heat(4))
        study.close()
    assert heats[0] == heats[1]
