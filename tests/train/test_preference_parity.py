"""The first losses on pairs and thumbs equal those of TRL's DPOTrainer and KTOTrainer on the same model and rows.

The tolerance: both sum a few float32 log-probabilities of up to about 30 nats an answer, each right to about 1e-6 of
its size, and multiply their difference by a beta of at most 0.5: about 1e-5 in one loss. AdamW divides a gradient by
its own size, so where it is nearly zero a rounding turns a whole step of up to 4e-3, in few of a thousand numbers.
1e-3 leaves room for that, and is a hundredth of what the losses move by.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.fakes import tiny_folder
from burnish.train.batch import Row
from burnish.train.course import cohorts_of, turns_of
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.train.conftest import MakeJob
from tests.train.test_parity import ONE, QUIET, peft_model

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


def their_losses(kind: str, asked: TrainJob, data: list[dict[str, Any]], tmp_path: Path, **own: object) -> list[float]:
    import datasets
    import torch
    import trl
    from transformers import PreTrainedTokenizerFast

    folder = str(tiny_folder(tmp_path / "base"))
    trainer_of: Any = getattr(trl, f"{kind}Trainer")

    class InOrder(trainer_of):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # tokens already, and batches in our order

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = getattr(trl, f"{kind}Config")(
        output_dir=tempfile.mkdtemp(dir=tmp_path),
        per_device_train_batch_size=8,
        num_train_epochs=1,
        learning_rate=ONE.lr,
        weight_decay=asked.train.weight_decay,
        max_grad_norm=asked.train.max_grad_norm,
        beta=asked.train.beta,
        logging_steps=1,
        logging_nan_inf_filter=False,
        lr_scheduler_type="linear",
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        max_length=None,
        **own,
    )
    trainer = InOrder(
        model=peft_model(asked, folder),
        args=config,
        train_dataset=datasets.Dataset.from_list(data),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


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
    theirs = their_losses("DPO", asked, data, tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5])
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
    theirs = their_losses("KTO", asked, data, tmp_path)
    assert len(theirs) == 9
    assert max(theirs) - min(theirs) > 0.1
    assert our_losses(asked) == pytest.approx(theirs, abs=1e-3)
