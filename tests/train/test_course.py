"""Candidates with their own rows and schedules: each ends as it would alone, whoever trains beside it."""

import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from burnish.errors import ConfigError
from burnish.records import Candidate, Trial
from burnish.train.batch import Row, epoch_order
from burnish.train.course import cohorts_of, courses_of, rivals_of, runs_of, turns_of
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.child import KILLED, in_child
from tests.heard import Heard
from tests.train.conftest import MakeJob, candidate
from tests.train.test_referee import Halver
from tests.train.test_resume import files_of

SUBSETS = {"few": [f"row-{at}" for at in range(0, 30, 4)], "half": [f"row-{at}" for at in range(15)]}
MIXED = (
    candidate("all"),
    replace(candidate("few", seed=1, lr=8e-3), subset="few", epochs=4, warmup_share=0.0),
    replace(candidate("half", seed=2), subset="half"),
    replace(candidate("short", seed=3), epochs=1, decay_share=0.5),
)


def mixed(job: MakeJob, candidates: Sequence[Candidate] = MIXED, *, folder: str = "work", **train: object) -> TrainJob:
    return replace(job(candidates, folder=folder, **train), subsets=SUBSETS)


def of(trial: Trial) -> tuple[object, ...]:
    """Everything that may not depend on company, curves and weights to the last bit."""
    return (trial.curve, trial.best_step, trial.dev_loss, trial.adapter_hash, trial.stopped)


def test_candidates_with_rows_of_their_own_end_bit_for_bit_as_alone(job: MakeJob) -> None:
    bank = [replace(one, subset=one.subset or "most") for one in MIXED[:3]]
    subsets = {**SUBSETS, "most": [f"row-{at}" for at in range(29)]}
    asked = replace(
        job(bank, folder="bank", weight_decay=0.1, max_grad_norm=0.3, finalists=8), subsets=subsets, token_dropout=0.2
    )
    for trial in train(asked):
        # the same ranks and the same passes, so the same shapes: no rounding differs
        (alone,) = train(replace(asked, candidates=(trial.candidate,), folder=asked.folder / "alone" / trial.folder))
        assert of(trial) == of(alone)


def test_a_subset_trains_as_a_job_that_has_these_rows_alone(job: MakeJob) -> None:
    asked = replace(mixed(job, (MIXED[2],)), token_dropout=0.2)
    (trial,) = train(asked)
    rows = [row for row in asked.rows if row.id in SUBSETS["half"]]
    plain = replace(MIXED[2], subset="")
    (other,) = train(replace(asked, rows=rows, candidates=(plain,), folder=asked.folder / "other"))
    assert of(trial) == of(other)
    assert trial.curve[-1].step == 3 * 2  # fifteen rows in batches of eight, three epochs


def test_schedules_of_one_cohort_end_one_by_one_each_as_alone(job: MakeJob) -> None:
    long, short = train(mixed(job, (MIXED[0], MIXED[3]), dev=10))
    assert [point.step for point in short.curve][-1] == 4 == short.best_step
    assert [point.step for point in long.curve][-1] == 12
    assert short.stopped == long.stopped == "done"
    for trial in (long, short):
        (alone,) = train(mixed(job, (trial.candidate,), folder=f"alone-{trial.folder}"))
        assert [(p.step, p.epoch, p.lr) for p in trial.curve] == [(p.step, p.epoch, p.lr) for p in alone.curve]
        # they share batches, so products have other shapes than alone and round otherwise
        assert trial.dev_loss == pytest.approx(alone.dev_loss, rel=1e-4)


def test_each_rate_follows_its_own_schedule(job: MakeJob) -> None:
    trials = {trial.folder: trial for trial in train(mixed(job))}
    rates = {name: [point.lr for point in trial.curve] for name, trial in trials.items()}
    peak = MIXED[1].lr
    assert rates["few"] == pytest.approx([peak, peak, *(peak * left / 4 for left in (3, 2, 1, 0))][1:])
    short = MIXED[3].lr  # four steps: no whole one of warm-up, and the fall takes the last two
    assert rates["short"] == pytest.approx([short * part for part in (1, 1, 1, 0.5, 0)])


def test_a_mixed_bank_that_is_killed_ends_with_the_same_bytes(job: MakeJob) -> None:
    expected = train(mixed(job, folder="undisturbed", checkpoint_every_s=1e9))
    undisturbed = files_of(job(folder="undisturbed").folder)
    for hit in (1, 5, 7, 8, 15, 21):
        assert in_child(lambda: train(mixed(job)), f"train.step=kill@{hit}") == KILLED
        assert train(mixed(job)) == expected
        assert files_of(job().folder) == undisturbed
        shutil.rmtree(job().folder)


def test_one_that_diverges_on_its_own_rows_is_frozen_and_the_rest_goes_on_bit_for_bit(job: MakeJob) -> None:
    wild = replace(MIXED[2], name="wild", lr=1.0, alpha=1e30)
    listener = Heard()
    calm, lost = train(mixed(job, (MIXED[1], wild)), talk=listener)
    (alone,) = train(mixed(job, (MIXED[1],), folder="alone"))
    assert of(calm) == of(alone)
    assert (calm.stopped, lost.stopped) == ("done", "diverged")
    (warning,) = [line for line in listener.warned if "candidate wild diverged" in line]
    assert set(warning.rpartition("the batch was: ")[2].split(", ")) < set(SUBSETS["half"])


def test_one_that_diverges_after_the_others_are_done_costs_them_nothing(job: MakeJob) -> None:
    wild = replace(candidate("wild", lr=3.0), alpha=1e30, warmup_share=1.0, epochs=3)
    quick = replace(MIXED[1], epochs=1)
    trials = train(mixed(job, (quick, wild), epochs=1))
    assert [trial.stopped for trial in trials] == ["done", "diverged"]
    (alone,) = train(mixed(job, (quick,), folder="alone", epochs=1))
    assert of(trials[0]) == of(alone)


def test_only_equals_race(job: MakeJob) -> None:
    twins = [replace(one, name=f"{one.name}-{lr}", lr=lr) for one in (MIXED[0], MIXED[2]) for lr in (1e-4, 8e-3)]
    trials = train(mixed(job, twins, epochs=5, finalists=1))
    assert [trial.stopped for trial in trials] == ["outrun", "done", "outrun", "done"]
    assert [trial.curve[-1].step for trial in trials] == [8, 20, 4, 10]


def test_a_referee_is_refused_when_steps_mean_different_things(job: MakeJob) -> None:
    with pytest.raises(ConfigError, match="differ in rows or schedule"):
        train(replace(mixed(job), referee=Halver()))
    same = [replace(candidate(name, lr=lr), subset="half") for name, lr in (("a", 1e-3), ("b", 5e-3), ("c", 8e-3))]
    assert sorted(trial.stopped for trial in train(replace(mixed(job, same), referee=Halver()))) == [
        "done",
        "outrun",
        "outrun",
    ]


def test_an_epoch_holds_each_cohorts_own_epoch_in_its_own_order_evenly_mixed(job: MakeJob) -> None:
    asked = mixed(job, batch_size=2)
    cohorts = cohorts_of(asked)
    assert [cohort.slots for cohort in cohorts] == [(0, 3), (1,), (2,)]
    for epoch in range(3):
        turns = turns_of(asked, cohorts, epoch)
        for number, cohort in enumerate(cohorts):
            mine = [[row.id for row in turn.rows] for turn in turns if turn.cohort == number]
            assert mine == own_order(cohort.rows, epoch)
        done = [0.0] * len(cohorts)
        for turn in turns:
            done[turn.cohort] += 1 / sum(other.cohort == turn.cohort for other in turns)
            assert max(done) - min(done) <= 0.25 + 1e-9  # the smallest cohort has four batches
    assert {turn.cohort for turn in turns_of(asked, cohorts, 3)} == {1}


def own_order(rows: Sequence[Row], epoch: int) -> list[list[str]]:
    order = epoch_order([len(row.tokens) for row in rows], batch_size=2, seed=0, epoch=epoch)
    return [[rows[index].id for index in batch] for batch in order]


def test_those_with_the_same_rows_share_a_pass_and_their_lines_are_few_views(job: MakeJob) -> None:
    bank = [replace(candidate(str(at)), subset="half" if at in (2, 3, 5) else "") for at in range(7)]
    asked = mixed(job, bank)
    cohorts = cohorts_of(asked)
    assert [cohort.slots for cohort in cohorts] == [(0, 1, 4, 6), (2, 3, 5)]
    assert runs_of(cohorts[0].slots) == [slice(0, 2), slice(4, 5), slice(6, 7)]
    assert rivals_of(cohorts, courses_of(asked, cohorts)) == [(0, 1, 4, 6), (2, 3, 5)]


def test_epochs_follow_from_the_number_of_rows_unless_a_number_is_set(job: MakeJob) -> None:
    asked = job((candidate("own"), replace(candidate("set"), epochs=2)), epochs="auto", batch_size=8)
    own, fixed = courses_of(asked, cohorts_of(asked))
    assert len(asked.rows) == 30
    assert (own.epochs, fixed.epochs) == (40, 2)


def test_other_rows_or_another_schedule_are_another_job(job: MakeJob) -> None:
    asked = mixed(job)
    others = [
        replace(asked, subsets={**SUBSETS, "few": SUBSETS["few"][1:]}),
        replace(asked, candidates=(replace(MIXED[0], epochs=2), *MIXED[1:])),
        replace(asked, candidates=(replace(MIXED[0], subset="half"), *MIXED[1:])),
    ]
    assert len({str(one.identity()) for one in [asked, *others]}) == 4
    again = replace(asked, subsets={name: reversed_copy(ids) for name, ids in SUBSETS.items()})
    assert again.identity() == asked.identity()


def reversed_copy(ids: Sequence[str]) -> list[str]:
    return list(reversed(ids))
