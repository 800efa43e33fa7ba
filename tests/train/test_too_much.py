"""Banks that cannot be trained are refused before the first step, with what would fit."""

import resource
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from burnish.config import LoraSettings
from burnish.errors import BurnishError, ConfigError, DataError, TrainingError
from burnish.model.base import Base
from burnish.train.batch import Row, batch_of, target_weight
from burnish.train.dropout import thinned
from burnish.train.job import TrainJob
from burnish.train.refusals import BYTES_OF_A_NUMBER, check_memory, numbers_of_slot
from burnish.train.run import train
from burnish.train.trainee import trainee_of
from tests.child import in_child
from tests.train.conftest import THREE, MakeJob, candidate


def refusal(asked: TrainJob) -> BurnishError:
    """The error that stops this job; nothing may be written before it."""
    with pytest.raises(BurnishError) as caught:
        train(asked)
    assert caught.value.hint
    assert not asked.folder.exists()
    return caught.value


def test_a_bank_of_no_candidates_is_refused(job: MakeJob) -> None:
    error = refusal(job(()))
    assert isinstance(error, ConfigError)
    assert "0 candidates" in error.message


def test_two_candidates_of_one_name_are_refused(job: MakeJob) -> None:
    assert "2 candidates are called 'a'" in refusal(job((THREE[0], THREE[1], replace(THREE[2], name="a")))).message


def test_a_rank_larger_than_every_layer_is_refused_and_one_larger_than_some_is_exact(job: MakeJob, base: Base) -> None:
    error = refusal(job((candidate("a"), candidate("b", rank=33))))
    assert (type(error), error.message) == (
        ConfigError,
        "candidate 'b' has rank 33, more than the 32 of its widest layer",
    )
    assert "at most 32" in error.hint
    keys = replace(job((candidate("a", rank=17),)), lora=LoraSettings(rank=4, targets=("k_proj",)))
    assert base.model.config.hidden_size == 32
    assert base.model.get_submodule("model.layers.0.self_attn.k_proj").out_features == 16
    assert "more than the 16" in refusal(keys).message
    (trial,) = train(job((candidate("a", rank=32),)))  # k_proj has 16 outputs, the others can use 32
    assert trial.learned


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"epochs": 0}, "epochs 0"), ({"warmup_share": 1.5}, "warmup_share 1.5"), ({"decay_share": -0.1}, "decay_share")],
)
def test_a_schedule_out_of_range_is_refused(job: MakeJob, wrong: dict[str, float], words: str) -> None:
    error = refusal(job((candidate("a"), replace(candidate("b"), **wrong))))  # type: ignore[arg-type]
    assert "candidate 'b' has " + words in error.message


def test_a_filter_that_leaves_no_row_is_a_clear_error(job: MakeJob) -> None:
    asked = job((replace(candidate("a"), subset="few"),))
    assert "there is no row to train on" in refusal(replace(asked, rows=())).message
    assert "no subset 'few'" in refusal(asked).message
    assert "'few' holds no row" in refusal(replace(asked, subsets={"few": []})).message
    error = refusal(replace(asked, subsets={"few": ["row-1", "row-99"]}))
    assert isinstance(error, DataError)
    assert error.message == "the subset 'few' holds 1 ids that no row has, such as row-99"


def test_what_is_learned_keeps_a_token_before_it_however_many_are_left_out() -> None:
    bare = Row(id="bare", tokens=[5, 6, 7, 8], learned=[False, False, True, True], asked=[True, True, False, False])
    for epoch in range(20):
        (row,) = thinned([bare], 0.999, seed=0, epoch=epoch)
        assert row.tokens[0] == 5
        assert target_weight([row]) == 2.0
        assert batch_of([row]).targets_M.tolist() == [7, 8]


def test_a_bank_that_memory_cannot_hold_says_how_many_candidates_fit(job: MakeJob) -> None:
    asked = job()
    slot_bytes = BYTES_OF_A_NUMBER * numbers_of_slot(asked)
    check_memory(asked, 3 * slot_bytes)
    with pytest.raises(TrainingError, match=r"3 candidates of rank 4 take .* are free") as caught:
        check_memory(asked, 3 * slot_bytes - 1)
    assert caught.value.hint.startswith("At most 2 fit")
    check_memory(job(THREE[:2]), 3 * slot_bytes - 1)
    with pytest.raises(TrainingError) as caught:
        check_memory(asked, slot_bytes - 1)
    assert caught.value.hint.startswith("Not one fits")
    with pytest.raises(TrainingError, match="every weight of the base"):
        check_memory(job(THREE[:1], method="full"), slot_bytes)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_a_slot_is_said_to_take_is_what_its_buffers_have(job: MakeJob, method: str) -> None:
    asked = job(THREE[:1] if method == "full" else THREE, method=method)
    with trainee_of(asked) as trainee:
        assert trainee.flat.theta_KP.shape[1] == numbers_of_slot(replace(asked, base=plain(asked)))


def plain(asked: TrainJob) -> Base:
    """A base without a bank, since the job's own carries one now."""
    from burnish.fakes import tiny_base

    return tiny_base()


def test_a_process_with_little_memory_refuses_a_large_bank_before_its_first_step(job: MakeJob) -> None:
    many = [candidate(str(at), rank=32) for at in range(400)]
    asked = job(many, epochs=1)
    room = 40_000_000
    assert BYTES_OF_A_NUMBER * numbers_of_slot(asked) * len(many) > 2 * room

    def limited() -> None:
        limit = psutil.Process().memory_info().vms + room
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        error = refusal(asked)
        assert isinstance(error, TrainingError)
        fitting = int(error.hint.removeprefix("At most ").split()[0])
        # memory that the check itself takes is no longer free: a tenth at most
        assert 0.9 * room <= fitting * BYTES_OF_A_NUMBER * numbers_of_slot(asked) <= room

    assert in_child(limited) == 0


@pytest.mark.parametrize("differs_at", [0, 17, 39, 59])
def test_a_long_prefix_that_differs_by_one_token_in_one_row_trains_exactly(job: MakeJob, differs_at: int) -> None:
    prefix = [20 + at % 50 for at in range(60)]
    other = [*prefix[:differs_at], 99, *prefix[differs_at + 1 :]]
    begins = [prefix, prefix, other, prefix]
    rows = [
        Row(id=str(at), tokens=[*begin, 30 + at, 40, 41 + at], learned=[False] * 61 + [True] * 2)
        for at, begin in enumerate(begins)
    ]
    with trainee_of(job()) as trainee:
        trainee.flat.theta_KP.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
        found = []
        for portions in ([rows], [[row] for row in rows]):
            trainee.flat.grad_KP.zero_()
            total = torch.zeros(3)
            for portion in portions:
                losses = trainee.losses(portion, [0, 1, 2], weight_sum=target_weight(rows))
                trainee.flat.add_gradients_(losses.sum())
                total += losses.detach()
            found.append((total, trainee.flat.grad_KP.clone()))
    (together, gradient), (apart, reference) = found
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=0.0)  # float32 sums in another order
    assert torch.cosine_similarity(gradient, reference, dim=1).min() > 0.9999


def test_a_bank_that_fits_is_trained_and_nothing_is_left_on_the_base(job: MakeJob, tmp_path: Path) -> None:
    train(job(epochs=1))
    assert numbers_of_slot(job()) > 0  # raises when the base still carries a bank
