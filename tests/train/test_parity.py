"""The first 20 losses of our loop equal those of PEFT with torch's AdamW, and of TRL where it is installed."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.fakes import tiny_folder
from burnish.model.base import load_base
from burnish.model.lora import AdapterSpec, attach
from burnish.train.batch import Row, epoch_order
from burnish.train.job import TrainJob
from burnish.train.run import train
from tests.train.conftest import MakeJob, candidate

STEPS = 20
ONE = candidate("a", lr=4e-3, rank=4)
QUIET = {"dev": 0, "epochs": 5, "batch_size": 8, "warmup_share": 0.0, "weight_decay": 0.01, "max_grad_norm": 0.5}


def our_losses(asked: TrainJob) -> list[float]:
    (trial,) = train(asked)
    losses = [point.train_loss for point in trial.curve if point.train_loss is not None]
    assert len(losses) == STEPS  # so few steps that each has its own point
    return [loss for loss in losses if loss is not None]


def ordered_rows(asked: TrainJob) -> list[list[Row]]:
    lengths = [len(row.tokens) for row in asked.rows]
    orders = [epoch_order(lengths, batch_size=8, seed=asked.seed, epoch=epoch) for epoch in range(asked.train.epochs)]
    return [[asked.rows[index] for index in batch] for order in orders for batch in order]


def peft_model(asked: TrainJob, folder: str) -> Any:
    """PEFT's model on the same base with the same first weights."""
    import peft
    from transformers import AutoModelForCausalLM

    bank = attach(asked.base.model, [AdapterSpec(name="a", rank=ONE.rank, alpha=ONE.alpha, seed=ONE.seed)])
    state = bank.state(0)
    bank.detach()
    config = peft.LoraConfig(r=ONE.rank, lora_alpha=ONE.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config)
    peft.set_peft_model_state_dict(model, state)
    return model


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
    import datasets
    import trl
    from transformers import PreTrainedTokenizerFast

    asked = replace(job((ONE,), **QUIET), rows=rows[:32])  # whole batches only: TRL takes the rows one after the other
    folder = str(tiny_folder(tmp_path / "base"))
    in_order = [labelled(row, 0) for batch in ordered_rows(asked) for row in batch]
    data = [{"input_ids": tokens, "labels": labels} for tokens, labels in in_order]

    class InOrder(trl.SFTTrainer):  # type: ignore[name-defined, misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = trl.SFTConfig(
        output_dir=tempfile.mkdtemp(dir=tmp_path),
        per_device_train_batch_size=8,
        num_train_epochs=1,
        learning_rate=ONE.lr,
        weight_decay=asked.train.weight_decay,
        max_grad_norm=asked.train.max_grad_norm,
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
    )
    trainer = InOrder(
        model=peft_model(asked, folder),
        args=config,
        train_dataset=datasets.Dataset.from_list(data),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
    )
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert our_losses(asked) == pytest.approx(theirs, rel=1e-3)


def test_a_loaded_tiny_folder_is_the_base_of_these_tests(job: MakeJob, tmp_path: Path) -> None:
    assert load_base(str(tiny_folder(tmp_path / "base"))).base_hash == job().base.base_hash
