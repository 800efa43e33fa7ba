"""What `full` and `gpu` make of their runs: costs until a goal, what is saved, utilisation, and shapes as published."""

import importlib
import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import full, gpu
from benchmarks.arithmetic import shape_of
from benchmarks.full import DEFAULT, FULL, LORA, TUNED, against, findings, goal_of, reached, saved, within_one_point
from benchmarks.full_run import Meter, resident_mb
from benchmarks.gpu import DATA_SHEET, KNOBS, SHAPES, against_one, set_knobs, sheet_rate, used
from benchmarks.machine import peak_mb
from burnish.fakes import tiny_base
from burnish.model.decoder import Histories, decode
from burnish.model.forward import output_head
from burnish.model.lora import AdapterSpec, attach
from burnish.model.shared import shared_attention
from burnish.train.batch import Batch, Row, batch_of
from burnish.train.objective import slot_losses
from burnish.train.optim import AdamW, clip_, flatten_


def run_of(*losses: float, pace: float, scores: str = "1010", **more) -> dict:
    """A run with a look after each epoch of 10 steps, `pace` seconds an epoch."""
    spent = [
        {"seconds": pace * at, "cpu_seconds": 2 * pace * at, "peak_mb": 100.0 + at, "added_mb": 10.0 + at}
        for at in range(len(losses))
    ]
    looks = [{"step": 10 * at, "loss": loss, **spent[at]} for at, loss in enumerate(losses)]
    scored = [(f"group {at}", float(score)) for at, score in enumerate(scores)]
    whole = {**spent[-1], "seconds": spent[-1]["seconds"] + 0.5, "joules": None}
    return {"looks": looks, "scores": scored, "precision": "float32", **whole, **more}


OURS = run_of(9.0, 3.0, 2.0, 1.0, pace=1)
PEER = run_of(9.0, 4.0, 1.5, 2.0, pace=5)


def test_a_goal_is_reached_at_the_first_look_that_is_as_low():
    found = reached(OURS["looks"], 2.0)
    assert found is not None
    assert (found.step, found.spent["seconds"], found.spent["peak_mb"]) == (20, 2.0, 102.0)
    assert reached(OURS["looks"], 0.5) is None


def test_the_final_goal_costs_the_peer_its_whole_run_and_the_best_one_what_it_had_spent_by_then():
    loss, spent = goal_of(PEER, "final")
    assert (loss, spent["seconds"]) == (2.0, 15.5)
    loss, spent = goal_of(PEER, "best")
    assert (loss, spent["seconds"]) == (1.5, 10.0)


def test_savings_are_shares_of_the_peers_cost_and_unknown_where_a_counter_is():
    found = against(OURS, PEER)
    assert found["final"]["saved"]["seconds"] == pytest.approx(1 - 2 / 15.5)
    assert found["final"]["saved"]["joules"] is None
    assert found["final"]["saves_80_percent"] == {
        "seconds": True,
        "cpu_seconds": True,
        "peak_mb": False,
        "added_mb": False,
        "joules": None,
    }
    assert found["best"]["reached_at_step"] == 30
    assert found["best"]["saves_80_percent"]["seconds"] is False


def test_nothing_is_saved_where_the_goal_was_not_reached():
    found = against(run_of(9.0, 8.0, pace=1), PEER)["final"]
    assert found["ours"] is None
    assert set(found["saved"].values()) == {None}
    assert saved(None, {"seconds": 1.0})["seconds"] is None


def test_one_point_is_shown_by_the_interval_and_not_by_the_estimate():
    assert within_one_point(-0.01, 0.02) == "yes"
    assert within_one_point(-0.04, -0.011) == "no"
    assert within_one_point(-0.04, 0.03) == "not shown either way"
    assert within_one_point(None, None) == "too few rows to tell"


@pytest.fixture
def options():
    class Options:
        seeds, most, threads = "0,1", 64, 1

    return Options()


def lines_of(options, **peers: list[dict]) -> dict:
    runs = {LORA: [OURS, OURS], FULL: [run_of(9.0, 2.5, 2.0, pace=2)] * 2}
    return findings("claims", {**runs, DEFAULT: peers["default"], TUNED: peers["tuned"]}, options)


def test_the_line_has_both_ratios_each_until_its_own_peers_last_loss(options):
    slow = run_of(9.0, 8.0, 3.0, pace=10, scores="0010")
    found = lines_of(options, default=[slow, slow], tuned=[PEER, PEER])
    assert json.loads(json.dumps(found)) == found
    assert (found["ratio_tuned"], found["ratio_default"]) == (15.5 / 2, 20.5 / 1)
    assert found["ratio_default_cpu"] == 40.0 / 2
    assert found["ratio_to_best"][TUNED][0] == pytest.approx(10 / 3)
    assert found["medians_s"] == {LORA: 2.0, FULL: 4.0, TUNED: 15.5}
    assert found["quality"]["gap"] == 0.0
    assert found["quality_against_trl"][DEFAULT]["gap"] == pytest.approx(0.25)
    assert "80% saved in" in full.shown(found)


def test_a_peer_that_did_not_run_and_a_goal_that_was_not_reached_keep_their_reasons(options):
    deep = run_of(9.0, 0.1, pace=1)
    found = lines_of(options, default=[{"absent": "no module named trl"}] * 2, tuned=[deep, deep])
    assert found["ratio_default"] is found["ratio_tuned"] is None
    assert "no module named trl" in found["ratio_reason"][DEFAULT]
    assert "lowest dev loss 1.0000, to reach: 0.1000" in found["ratio_reason"][TUNED]
    assert "no module named trl" in full.shown(found)


def test_engines_that_do_not_start_alike_are_not_compared(options):
    other = run_of(8.0, 4.0, 1.5, pace=5)
    with pytest.raises(SystemExit, match="before training is not the same"):
        lines_of(options, default=[PEER, PEER], tuned=[other, other])


def test_a_meter_counts_only_while_it_runs():
    meter = Meter()
    meter.pause()
    seconds, cpu_seconds = meter.seconds, meter.cpu_seconds
    sum(range(100_000))
    assert meter.told()["seconds"] == seconds
    meter.start()
    sum(range(100_000))
    assert meter.read()["cpu_seconds"] > cpu_seconds


def test_memory_that_a_process_has_is_no_more_than_it_ever_had():
    assert 0 < resident_mb() <= peak_mb() + 1  # the kernel counts both in batches of pages


@pytest.mark.parametrize(
    ("name", "published"),
    [("qwen2.5-0.5b", 494_032_768), ("llama-3.2-1b", 1_235_814_400), ("llama-3.1-8b", 8_030_261_248)],
)
def test_the_shapes_have_the_published_numbers_of_weights(name, published):
    config = SHAPES[name]
    shape = shape_of(config)
    products = shape.layers * sum(size_in * size_out for size_in, size_out in shape.linear.values())
    embeddings = shape.hidden * shape.vocab * (1 if config["tie_word_embeddings"] else 2)
    norms = shape.hidden * (2 * shape.layers + 1)
    biases = 0
    if config["model_type"] == "qwen2":  # of queries, keys and values
        biases = shape.layers * sum(shape.linear[part][1] for part in "qkv")
    assert products + embeddings + norms + biases == published


def test_utilisation_is_operations_a_second_over_the_rates_of_the_card():
    assert used(4e12, 2.0, 8e12, 20e12) == {"flops_per_s": 2e12, "of_data_sheet": 0.1, "of_matrix_rate": 0.25}
    assert used(4e12, 2.0, 8e12, None)["of_data_sheet"] is None


def test_a_bank_is_compared_with_one_adapter_of_its_own_shape():
    speeds = {"a K=1": 10.0, "a K=4": 30.0, "b K=4": 7.0}
    assert against_one(speeds) == {"a K=1": 1.0, "a K=4": 3.0}


def test_a_card_without_a_known_data_sheet_has_no_rate():
    assert sheet_rate("NVIDIA H200") == DATA_SHEET["H200"]
    assert sheet_rate("NVIDIA H100 PCIe") == DATA_SHEET["H100 PCIe"]
    assert sheet_rate("cpu") is None


def test_every_knob_is_a_whole_number_of_the_engine_and_can_be_set():
    for name, (module, constant) in KNOBS.items():
        now = getattr(importlib.import_module(module), constant)
        assert isinstance(now, int)
        assert set_knobs([f"{name}={now}"]) == {name: now}


def test_a_knob_that_does_not_exist_is_refused():
    for text in ("rank=4", "tokens_at_once=many", "tokens_at_once"):
        with pytest.raises(SystemExit, match="tokens_at_once"):
            set_knobs([text])


def test_without_that_gpu_the_line_says_that_nothing_was_run(capsys):
    gpu.main(["--json", "--device", "cuda:63"])
    found = json.loads(capsys.readouterr().out)
    assert found["not_run"] == "no GPU"
    assert found["ratio_default"] is found["ratio_tuned"] is found["limit_share"] is None


MOVES = ("aten::_to_copy", "aten::copy_")


class OneDevice(TorchDispatchMode):
    """No operator inside may take tensors from two devices, as none could on a GPU; numbers (0-dim) may come along.

    The device is torch's `meta`, which has shapes and types and no values: what reads a value fails there, too.
    """

    seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor) and one.dim()]
        where = {one.device.type for one in tensors}
        assert len(where) < 2 or func._schema.name in MOVES, (func, where)
        self.seen += "meta" in where
        return func(*args, **(kwargs or {}))


def test_the_check_of_devices_notices_an_index_that_was_left_behind():
    with pytest.raises(AssertionError, match="index_select"), OneDevice():
        torch.empty(3, 2, device="meta").index_select(0, torch.tensor([1]))


@pytest.fixture(scope="module")
def elsewhere():
    """A tiny model that lies on another device than the processor."""
    return tiny_base("qwen2", precision="bfloat16").model.to("meta")


@pytest.mark.parametrize(
    ("tokens", "slots"),
    [(40, [0, 1, 2]), (40, [1]), (400, [0, 2])],  # 400: torch's own attention in place of whole score matrices
)
def test_a_step_of_the_bank_stays_on_the_device_of_the_model(elsewhere, tokens, slots):
    batch = batch_of([Row(id="", tokens=range(tokens), learned=[at > 20 for at in range(tokens)])])
    with OneDevice() as device:
        bank = attach(elsewhere, [AdapterSpec(name=str(at), rank=4 + at, alpha=8, seed=at) for at in range(3)])
        factors = [factor for entry in bank.parameters_of_bank() for factor in (entry.A, entry.B)]
        flat = flatten_(factors, num_slots=3, stacked=True)
        there = Batch(Histories(*(one.to("meta") for one in batch.histories)), *(one.to("meta") for one in batch[1:]))
        with bank.use(slots):
            hidden = decode(elsewhere, there.histories, num_slots=len(slots), wanted_U=there.wanted_U)
        losses = slot_losses(hidden, output_head(elsewhere), there, weight_sum=1.0)
        flat.add_gradients_(losses.sum())
        norms = clip_(flat.grad_KP, 1.0)
        AdamW(flat.theta_KP).step_(flat, torch.zeros_like(norms), weight_decay=0.1)
        bank.detach()
    assert device.seen > 100
    assert (hidden.dtype, losses.dtype, flat.theta_KP.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert (losses.shape, losses.device.type, flat.grad_KP.device.type) == ((len(slots),), "meta", "meta")


def test_attention_to_a_shared_beginning_stays_on_its_device():
    own = [torch.empty(12, 7, 8, device="meta", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    shared = [torch.empty(4, 33, 8, device="meta", dtype=torch.bfloat16, requires_grad=True) for _ in range(2)]
    with OneDevice() as device:
        out = shared_attention(*own, *shared, scale=0.5)
        gradients = torch.autograd.grad(out.sum(), [*own, *shared])
    assert device.seen > 20
    assert [one.shape for one in gradients] == [one.shape for one in (*own, *shared)]
    assert {one.dtype for one in (out, *gradients)} == {torch.bfloat16}
