"""The same training by others: PEFT's model with our first weights, and TRL's trainers with its rows in our order."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from burnish.fakes import tiny_folder
from burnish.model.lora import AdapterSpec, attach
from burnish.train.job import TrainJob
from tests.train.conftest import candidate

ONE = candidate("a", lr=4e-3, rank=4)
QUIET = {"dev": 0, "epochs": 5, "batch_size": 8, "warmup_share": 0.0, "weight_decay": 0.01, "max_grad_norm": 0.5}


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


def trl_losses(kind: str, asked: TrainJob, data: list[dict[str, Any]], tmp_path: Path, **own: object) -> list[float]:
    import datasets
    import trl
    from transformers import PreTrainedTokenizerFast

    folder = str(tiny_folder(tmp_path / "base"))
    trainer_of: Any = getattr(trl, f"{kind}Trainer")

    class InOrder(trainer_of):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            is_told = kind == "SFT"  # the others would make tokens of what are tokens already
            return super()._prepare_dataset(dataset, *args, **kwargs) if is_told else dataset

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = getattr(trl, f"{kind}Config")(
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
        **({} if kind == "SFT" else {"beta": asked.train.beta}),
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
