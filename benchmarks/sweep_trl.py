"""The peers of `benchmarks.sweep`: one point of the grid with TRL, and Optuna with TRL and pruning."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import peak_mb

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
RANKS = (4, 8, 16, 32)
ALPHA, BATCH, WARMUP_SHARE = 32, 8, 0.05
TRL = {
    "trl default": "SFTConfig as it comes: bf16 autocast, gradient checkpointing",
    "trl tuned fp32": "float32, no checkpointing, batches grouped by length",
    "trl tuned bf16": "bfloat16 weights, no checkpointing, batches grouped by length",
    "trl tuned bf16 micro 2": "the same, 2 rows at once, gradients accumulated",
}


def grid() -> list[tuple[float, int]]:
    """All points (learning rate, rank)."""
    return [(lr, rank) for lr in RATES for rank in RANKS]


def trl(data: dict, options: argparse.Namespace, form: str, lr: float, rank: int) -> dict:
    """One point of the grid, solo."""
    trainer = _trainer(data, options, form, lr, rank)
    begin = trainer.evaluate()["eval_loss"]
    start, cpu_start = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    told = {"at": [lr, rank], "start": begin, "peak_mb": peak_mb()}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "losses": [min(losses)], **told}


def _trainer(data: dict, options: argparse.Namespace, form: str, lr: float, rank: int, callbacks: Sequence = ()):
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    import burnish

    def table(rows: list[dict]) -> datasets.Dataset:
        marked = [[t if m else -100 for t, m in zip(r["tokens"], r["learned"], strict=True)] for r in rows]
        return datasets.Dataset.from_list(
            [{"input_ids": row["tokens"], "labels": labels} for row, labels in zip(rows, marked, strict=True)]
        )

    folder = str(Path(burnish.__file__).parent / "assets" / "english-10m")
    config: dict = {"output_dir": tempfile.mkdtemp(), "num_train_epochs": options.epochs, "report_to": "none"}
    config |= {"per_device_train_batch_size": BATCH, "learning_rate": lr, "save_strategy": "no", "use_cpu": True}
    config |= {"logging_steps": 1000, "disable_tqdm": True, "max_length": None, "warmup_steps": WARMUP_SHARE}
    config |= {"eval_strategy": "epoch", "per_device_eval_batch_size": BATCH}
    dtype = torch.float32
    if "tuned" in form:
        config |= {"gradient_checkpointing": False, "bf16": False, "train_sampling_strategy": "group_by_length"}
        dtype = torch.bfloat16 if "bf16" in form else torch.float32
    if "micro" in form:
        config |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": BATCH // 2}
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=dtype),
        args=SFTConfig(**config),
        train_dataset=table(data["train"]),
        eval_dataset=table(data["dev"]),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
        peft_config=LoraConfig(r=rank, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=list(callbacks),
    )


def optuna_run(data: dict, options: argparse.Namespace, goal: float) -> dict:
    """Optuna's TPE over the same points with one of the TRL forms, pruned by the median after each epoch."""
    import optuna
    from transformers import TrainerCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    class Prune(TrainerCallback):
        """Reports each epoch's dev loss and stops a run that is worse than the median of those before it."""

        def __init__(self, trial: optuna.Trial) -> None:
            self.trial, self.pruned, self.losses = trial, False, []

        def on_evaluate(self, args: object, state: object, control: object, metrics: dict, **rest: object) -> None:
            self.losses.append(metrics["eval_loss"])
            self.trial.report(metrics["eval_loss"], len(self.losses))
            self.pruned = self.trial.should_prune()
            control.should_training_stop |= self.pruned

    def objective(trial: optuna.Trial) -> float:
        lr, rank = trial.suggest_categorical("lr", RATES), trial.suggest_categorical("rank", RANKS)
        watch = Prune(trial)
        _trainer(data, options, options.form, lr, rank, [watch]).train()
        if watch.pruned:
            raise optuna.TrialPruned
        if min(watch.losses) <= goal:
            reached.append((time.perf_counter() - start, time.process_time() - cpu_start))
        return min(watch.losses)

    sampler = optuna.samplers.TPESampler(seed=int(options.seed), n_startup_trials=5)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
    reached: list[tuple[float, float]] = []
    start, cpu_start = time.perf_counter(), time.process_time()
    study.optimize(objective, n_trials=len(grid()))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    states = [trial.state.name for trial in study.trials]
    best = study.best_trial
    at = [best.params["lr"], best.params["rank"]]
    told = {"trials": len(states), "pruned": states.count("PRUNED"), "peak_mb": peak_mb()}
    told |= {"cpu_seconds": cpu_seconds, "told_s": reached[0][0] if reached else None}
    return {"seconds": seconds, "losses": [best.value], "at": at, **told}
