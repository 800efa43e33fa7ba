"""The first 20 losses of our loop equal those of PEFT with torch's AdamW, and of TRL where it is installed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burnish.fakes import tiny_folder
from burnish.model.base import load_base
from burnish.train.batch import Row, epoch_order
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.train.conftest import MakeJob
from tests.train.peers import ONE, QUIET, peft_model, trl_losses

STEPS = 20


def our_losses(asked: TrainJob) -> list[float]:
    (trial,) = train(asked)
    losses = [point.train_loss for point in trial.curve if point.train_loss is not None]
    assert len(losses) == STEPS  # so few steps that each has its own point
    return [loss for loss in losses if loss is not None]


def ordered_rows(asked: TrainJob) -> list[list[Row]]:
    lengths = [len(row.tokens) for row in asked.rows]
    orders = [epoch_order(lengths, batch_size=8, seed=asked.seed, epoch=epoch) for epoch in range(asked.train.epochs)]
    return [[asked.rows[index] for index in batch] for order in orders for batch in order]


def labelled(row: Row, width: int) -> tuple[list[int], list[int]]:
    space = width - len(row.tokens)
    labels = [token if learned else -100 for token, learned in zip(row.tokens, row.learned, strict=True)]
    return [*row.tokens, *[1] * space], labels + [-100] * space


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT 0.21 asks for it
def test_the_first_losses_equal_peft_and_torch_adamw(job: MakeJob, tmp_path: Path) -> None:
    asked = job((ONE,), **QUIET)
    model = peft_model(asked, str(tiny_folder(tmp_path / "base")))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=ONE.lr, weight_decay=asked.train.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / STEPS)
    theirs = []
    for rows in ordered_rows(asked):
        width = max(len(row.tokens) for row in rows)
        tokens, labels = (torch.tensor(part) for part in zip(*(labelled(row, width) for row in rows), strict=True))
        mask = torch.tensor([[place < len(row.tokens) for place in range(width)] for row in rows])
        loss = model(input_ids=tokens, attention_mask=mask.long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, asked.train.max_grad_norm)
        optimiser.step()
        schedule.step()
        theirs.append(loss.item())
    assert our_losses(asked) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_the_first_losses_equal_trl(job: MakeJob, rows: tuple[Row, ...], tmp_path: Path) -> None:
    asked = replace(job((ONE,), **QUIET), rows=rows[:32])  # whole batches only: TRL takes the rows one after the other
    in_order = [labelled(row, 0) for batch in ordered_rows(asked) for row in batch]
    data = [{"input_ids": tokens, "labels": labels} for tokens, labels in in_order]
    theirs = trl_losses("SFT", asked, data, tmp_path)
    assert our_losses(asked) == pytest.approx(theirs, rel=1e-3)


def test_a_loaded_tiny_folder_is_the_base_of_these_tests(job: MakeJob, tmp_path: Path) -> None:
    assert load_base(str(tiny_folder(tmp_path / "base"))).base_hash == job().base.base_hash
