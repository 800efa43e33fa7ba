"""One training run of TRL + PEFT, or of the Hugging Face Trainer + PEFT, in a process of its own, in one of its forms.

    python -m benchmarks.trl_run SPEC.json      prints a line of JSON; needs a Python with trl and peft

The spec is that of engine.py with a `form` instead of a precision. `same` starts from burnish's own first adapter and
takes rows in the order given, for comparing losses step by step.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_mb


@dataclass(frozen=True, slots=True)
class Form:
    """How the peer is set up."""

    what: str
    dtype: str = "float32"
    config: Mapping[str, Any] = field(default_factory=dict)
    trainer: str = "trl"
    flush: bool = False
    """Denormal numbers flushed to zero in the process."""
    micro: int = 0
    """Rows at once, gradients accumulated to the batch; 0: the whole batch."""


TUNED = {"gradient_checkpointing": False, "bf16": False, "train_sampling_strategy": "group_by_length"}
PACKED = {"gradient_checkpointing": False, "bf16": False, "packing": True, "max_length": 512}
FORMS = {
    "trl default": Form("SFTConfig as it comes: bf16 autocast, gradient checkpointing"),
    "trl fp32": Form("float32, no checkpointing, grouped by length", config=TUNED),
    "trl bf16": Form("bfloat16 weights, no checkpointing, grouped by length", "bfloat16", TUNED),
    "trl bf16 flush": Form("as trl bf16, denormal numbers flushed", "bfloat16", TUNED, flush=True),
    "trl bf16 micro 4": Form("as trl bf16, 4 rows at once", "bfloat16", TUNED, micro=4),
    "trl bf16 micro 2": Form("as trl bf16, 2 rows at once", "bfloat16", TUNED, micro=2),
    "trl bf16 micro 1": Form("as trl bf16, 1 row at once, no padding at all", "bfloat16", TUNED, micro=1),
    "trl bf16 packed": Form("bfloat16 weights, packed to 512 tokens", "bfloat16", PACKED),
    "trl bf16 compiled": Form("as trl bf16, torch.compile", "bfloat16", {**TUNED, "torch_compile": True}),
    "hf bf16": Form("transformers.Trainer, otherwise as trl bf16", "bfloat16", TUNED, trainer="hf"),
}
TUNED_FORMS = tuple(name for name in FORMS if name != "trl default")


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Trains, and tells seconds of `trainer.train()`, real tokens, the loss of each step, and peak memory."""
    import torch

    form = FORMS[spec["form"]]
    torch.set_flush_denormal(form.flush)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(spec, form, scratch)
        if spec.get("same"):
            _start_as_ours(trainer.model, spec)
        start, cpu_start = time.perf_counter(), time.process_time()
        trainer.train()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tokens = sum(len(row["tokens"]) for row in spec["rows"]) * spec.get("epochs", 1)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "tokens": tokens,
        "losses": [losses],
        "peak_mb": peak_mb(),
    }


def _trainer(spec: dict[str, Any], form: Form, scratch: str) -> Any:
    import datasets
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, PreTrainedTokenizerFast, Trainer
    from transformers import TrainingArguments as Arguments
    from trl import SFTConfig, SFTTrainer

    (candidate,) = spec["candidates"]
    data = datasets.Dataset.from_list([_labelled(row) for row in spec["rows"]])
    model = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=getattr(torch, form.dtype))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(spec["base"])
    lora = LoraConfig(
        r=candidate["rank"], lora_alpha=candidate["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
    )
    settings = _settings(spec, form, scratch)
    if form.trainer == "trl":
        config = SFTConfig(**{"max_length": None, **settings})
        return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, peft_config=lora)
    return Trainer(
        model=get_peft_model(model, lora),
        args=Arguments(**settings),
        train_dataset=data,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )


def _settings(spec: dict[str, Any], form: Form, scratch: str) -> dict[str, Any]:
    (candidate,) = spec["candidates"]
    rows = spec["batch"]
    if form.config.get("packing"):  # as many tokens in a step as the rows of a batch have
        mean = sum(len(row["tokens"]) for row in spec["rows"]) / len(spec["rows"])
        rows = max(1, round(rows * mean / form.config["max_length"]))
    micro = form.micro or rows
    return {
        "output_dir": scratch,
        "num_train_epochs": spec.get("epochs", 1),
        "report_to": "none",
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": max(1, rows // micro),
        "learning_rate": candidate["lr"],
        "warmup_steps": spec.get("warmup_share", 0.05),
        "save_strategy": "no",
        "use_cpu": True,
        "logging_steps": 1,
        "disable_tqdm": True,
        **form.config,
        **({"train_sampling_strategy": "sequential"} if spec.get("same") else {}),
    }


def _labelled(row: dict[str, Any]) -> dict[str, Any]:
    labels = [token if mark else -100 for token, mark in zip(row["tokens"], row["learned"], strict=True)]
    return {"input_ids": row["tokens"], "labels": labels}


def _start_as_ours(model: Any, spec: dict[str, Any]) -> None:
    """Puts burnish's first adapter into the peer's model: the same numbers, under the same names."""
    from peft import set_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    from burnish.model.lora import AdapterSpec, attach

    (candidate,) = spec["candidates"]
    wanted = AdapterSpec(**{key: candidate[key] for key in ("name", "rank", "alpha", "seed")})
    bank = attach(AutoModelForCausalLM.from_pretrained(spec["base"]), [wanted])
    found = set_peft_model_state_dict(model, bank.state(0))
    assert not found.unexpected_keys, found.unexpected_keys


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
