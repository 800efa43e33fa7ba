"""The first losses on pairs and thumbs equal those of TRL's DPOTrainer and KTOTrainer on the same model and rows.

The tolerance: both sum a few float32 log-probabilities of up to about 30 nats an answer, each right to about 1e-6 of
its size, and multiply their difference by a beta of at most 0.5: about 1e-5 in one loss. AdamW divides a gradient by
its own size, so where it is nearly zero a rounding turns a whole step of up to 4e-3, in few of a thousand numbers.
1e-3 leaves room for that, and is a hundredth of what the losses move by.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from burnish.train.batch import Row
from burnish.train.course import cohorts_of, turns_of
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.train.conftest import MakeJob
from tests.train.peers import ONE, QUIET, trl_losses

ASKED = {**QUIET, "epochs": 3}


def our_losses(asked: TrainJob) -> list[float]:
    (trial,) = train(asked)
    return [point.train_loss for point in trial.curve if point.train_loss is not None]


def batches_of(asked: TrainJob) -> list[list[Row]]:
    cohorts = cohorts_of(asked)
    return [list(turn.rows) for epoch in range(asked.train.epochs) for turn in turns_of(asked, cohorts, epoch)]


def halves(row: Row) -> tuple[list[int], list[int]]:
    """Prompt and answer."""
    start, end = row.learned.index(True), len(row.learned) - list(row.learned)[::-1].index(True)
    return list(row.tokens[:start]), list(row.tokens[start:end])


def whole_batches(asked: TrainJob) -> TrainJob:
    """24 rows: TRL takes the rows one after the other."""
    return replace(asked, rows=asked.rows[:24])


@pytest.mark.filterwarnings("ignore")
def test_the_first_losses_on_pairs_equal_trl(preference_job: MakeJob, tmp_path: Path) -> None:
    asked = whole_batches(preference_job("dpo", (ONE,), sft_weight=0.5, **ASKED))
    data = []
    for row in (row for batch in batches_of(asked) for row in batch):
        assert row.rejected is not None
        prompt, chosen = halves(row)
        data.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": halves(row.rejected)[1]})
    theirs = trl_losses("DPO", asked, data, tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5])
    assert len(theirs) == 9
    assert max(theirs) - min(theirs) > 0.1  # something happens
    assert our_losses(asked) == pytest.approx(theirs, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_the_first_losses_on_thumbs_equal_trl(preference_job: MakeJob, tmp_path: Path) -> None:
    asked = whole_batches(preference_job("kto", (ONE,), beta=0.5, **ASKED))
    data = []
    for batch in batches_of(asked):
        answers = [halves(row)[1] for row in batch]
        turned = [answers[-1], *answers[:-1]]  # as TRL's _prepare_dataset does within each batch
        data += [
            {"prompt_ids": halves(row)[0], "completion_ids": own, "KL_completion_ids": other, "label": row.is_good}
            for row, own, other in zip(batch, answers, turned, strict=True)
        ]
    theirs = trl_losses("KTO", asked, data, tmp_path)
    assert len(theirs) == 9
    assert max(theirs) - min(theirs) > 0.1
    assert our_losses(asked) == pytest.approx(theirs, abs=1e-3)
