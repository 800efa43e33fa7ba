"""What cannot be trained is said before the first step: no candidate, no row, a rank or a bank that is too large.

P numbers of a slot.
"""

import math
from collections import Counter

import torch

from burnish.errors import ConfigError, DataError, TrainingError
from burnish.free_memory import free_memory
from burnish.model.adapter import load_adapter
from burnish.model.lora import target_layers
from burnish.records import Candidate
from burnish.store.files import shown_size
from burnish.train.batch import check_rows
from burnish.train.course import cohorts_of, courses_of, rivals_of
from burnish.train.job import TrainJob
from burnish.train.optim import padded

BYTES_OF_A_NUMBER = 6 * 4
"""float32: the weight, the best one so far, its gradient as it comes and summed up, two moments of AdamW."""


def check_job(job: TrainJob) -> None:
    """Raises an error with a hint when the job cannot be trained, or not on this machine; touches nothing.

    ConfigError for candidates, DataError for rows, ModelError for target layers, TrainingError for memory.
    """
    _check_candidates(job)
    if not job.rows:
        raise DataError("there is no row to train on", hint="Add data, or loosen the filter that left none.")
    check_rows(job.rows, name="train", objective=job.train.objective)
    check_rows(job.dev, name="dev_b", objective=job.train.objective)
    _check_preference(job)
    cohorts = cohorts_of(job)
    if job.referee and len(rivals_of(cohorts, courses_of(job, cohorts))) > 1:
        raise ConfigError(
            "a referee compares candidates at equal steps, but these differ in rows or schedule",
            hint="Give all candidates the same subset and schedule, or leave out the referee.",
        )
    if job.train.method == "lora":
        _check_ranks(job)
    check_memory(job, free_bytes(next(job.base.model.parameters()).device))


def _check_candidates(job: TrainJob) -> None:
    if not job.candidates:
        raise ConfigError(
            "a bank of 0 candidates has nothing to train",
            hint="Name at least one candidate; train.search makes one for each of its numbers.",
        )
    name, count = Counter(candidate.name for candidate in job.candidates).most_common(1)[0]
    if count > 1:
        raise ConfigError(f"{count} candidates are called {name!r}", hint="Each gets a folder of its own name.")
    for candidate in job.candidates:
        if wrong := _wrong_schedule(candidate):
            raise ConfigError(
                f"candidate {candidate.name!r} has {wrong}", hint="Leave it out to train as the job says."
            )


def _check_preference(job: TrainJob) -> None:
    """What a reference forbids: tokens left out, of which it knows nothing, and starts that are no adapter here."""
    if job.train.objective != "sft" and job.token_dropout:
        raise ConfigError(
            f"objective {job.train.objective} cannot leave out tokens: the reference knows whole prompts",
            hint="Set train.token_dropout to 0.",
        )
    asked = {candidate.name: candidate for candidate in job.candidates}
    if strangers := sorted(set(job.starts) - set(asked)):
        raise ConfigError(
            f"there is no candidate {strangers[0]!r} to start from an adapter", hint="Name the candidates themselves."
        )
    if job.starts and job.train.method != "lora":
        raise ConfigError("only adapters start from an adapter", hint="Set train.method to lora.")
    for name, folder in job.starts.items():
        spec, _ = load_adapter(folder, job.base)
        if (spec.rank, spec.alpha) != (asked[name].rank, asked[name].alpha):
            raise ConfigError(
                f"candidate {name!r} has rank {asked[name].rank} and alpha {asked[name].alpha:g}, "
                f"but starts from an adapter of rank {spec.rank} and alpha {spec.alpha:g}",
                hint="Give the candidate the adapter's rank and alpha.",
            )


def _wrong_schedule(candidate: Candidate) -> str:
    """The first setting of its own that is out of its range, in words."""
    if candidate.epochs is not None and candidate.epochs < 1:
        return f"epochs {candidate.epochs}, which must be 1 or more"
    if candidate.warmup_share is not None and not 0 <= candidate.warmup_share <= 1:
        return f"warmup_share {candidate.warmup_share}, which must be from 0 to 1"
    if candidate.decay_share is not None and not 0 <= candidate.decay_share <= 1:
        return f"decay_share {candidate.decay_share}, which must be from 0 to 1"
    if candidate.beta is not None and not 0 < candidate.beta < math.inf:
        return f"beta {candidate.beta}, which must be a positive number"
    if candidate.sft_weight is not None and not 0 <= candidate.sft_weight < math.inf:
        return f"sft_weight {candidate.sft_weight}, which must be 0 or more"
    return ""


def _check_ranks(job: TrainJob) -> None:
    """A rank above the smaller side of a layer adds numbers and no freedom: borne in some layers, refused in all."""
    layers = target_layers(job.base.model, job.lora.targets).values()
    widest = max(min(layer.in_features, layer.out_features) for layer in layers)
    for candidate in job.candidates:
        if candidate.rank > widest:
            raise ConfigError(
                f"candidate {candidate.name!r} has rank {candidate.rank}, more than the {widest} of its widest layer",
                hint=f"Set lora.rank to at most {widest}; 8 to 64 is the useful range.",
            )


def check_memory(job: TrainJob, free: int) -> None:
    """Raises TrainingError when weights, gradients and optimiser of all slots need more than `free` bytes.

    Says how many candidates fit. What a batch takes comes on top, and is halved when it does not fit.
    """
    slot_bytes = BYTES_OF_A_NUMBER * numbers_of_slot(job)
    needed = slot_bytes * len(job.candidates)
    if needed <= free:
        return
    fitting = free // slot_bytes
    what = f"{len(job.candidates)} candidates of rank {max(one.rank for one in job.candidates)}"
    if job.train.method == "full":
        what, hint = "every weight of the base", "Train adapters (train.method lora), or take a smaller base."
    elif fitting > 0:
        hint = f"At most {fitting} fit: name fewer candidates (train.search), or lower lora.rank."
    else:
        hint = "Not one fits: lower lora.rank, adapt fewer layers (lora.targets), or take a smaller base."
    raise TrainingError(
        f"{what} take {shown_size(needed)} for weights, gradients and optimiser; {shown_size(free)} are free", hint=hint
    )


def numbers_of_slot(job: TrainJob) -> int:
    """P: numbers that each slot takes in the buffers, padding to the widest rank and alignment included."""
    if job.train.method == "full":
        return sum(padded(parameter.numel()) for parameter in job.base.model.parameters())
    rank = max(candidate.rank for candidate in job.candidates)
    layers = target_layers(job.base.model, job.lora.targets).values()
    return sum(padded(rank * layer.in_features) + padded(rank * layer.out_features) for layer in layers)


def free_bytes(device: torch.device) -> int:
    """Memory that this process can still get on the device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return free_memory()
