"""An exported base is a base: burnish and transformers load it and give the recipe's own logits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from burnish.errors import DataError
from burnish.model.base import load_base
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.records import Message
from recipes.base.__main__ import pretrain
from recipes.base.documents import Data
from recipes.base.door import enter
from recipes.base.export import export
from recipes.base.few_shot import Labelled, few_shot, read_labelled
from recipes.base.held_out import measure, nats_of_base, nats_of_llama
from recipes.base.llama import Llama
from recipes.base.rounding import ROUNDINGS, bytes_in_eight_bits
from tests.recipes.conftest import PLAN, some_texts

WINDOW = 64


@pytest.fixture(scope="module")
def model() -> Llama:
    """Random weights that bfloat16 holds exactly, large enough that logits differ."""
    model = Llama(PLAN.shape, seed=5).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_((weight * (6 if weight.ndim == 2 else 1)).bfloat16().float())
    return model


@pytest.fixture(scope="module")
def folder(model: Llama, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model, data.tokenizer, tmp_path_factory.mktemp("base"))


def test_burnish_and_transformers_load_it_with_equal_logits(model: Llama, data: Data, folder: Path) -> None:
    from transformers import LlamaForCausalLM

    ids_BT = torch.tensor([data.tokenizer.encode(some_texts()[0]).ids[:40]])
    with torch.no_grad():
        ours_BTV = model(ids_BT)
        base = load_base(str(folder), precision="float32")
        assert base.warnings == ()
        through_burnish = logits_of(output_head(base.model), forward_hidden(base.model, ids_BT))
        theirs_BTV = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)(ids_BT).logits
    assert ours_BTV.std() > 0.1
    for found_BTV in (through_burnish, theirs_BTV):
        # float32 sums in another order through two layers
        torch.testing.assert_close(found_BTV, ours_BTV, atol=1e-4, rtol=1e-4)


def test_a_conversation_is_rendered_as_the_corpus_spells_it(data: Data, folder: Path) -> None:
    base = load_base(str(folder), precision="float32")
    turns = (Message(role="user", content="how to appeal"), Message(role="assistant", content="yes"))
    text = "<|im_start|>user\nhow to appeal<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
    assert list(base.chat.render(turns).tokens) == data.tokenizer.encode(text).ids


def test_held_out_loss_is_the_mean_of_what_each_next_token_costs(model: Llama, data: Data, folder: Path) -> None:
    texts = some_texts()[:12]

    def encode(text: str) -> list[int]:
        return data.tokenizer.encode(text).ids

    found = measure(nats_of_llama(model), encode, texts, context=WINDOW, device="cpu")
    ids = torch.tensor([encode(texts[1])])
    cost = torch.nn.functional.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="sum").item()
    assert ids.shape[1] <= WINDOW + 1
    assert found.nats[1] == pytest.approx(cost, rel=1e-4)
    assert found.tokens[1] == ids.shape[1] - 1
    assert found.bytes[1] == len(texts[1].encode())
    assert found.tokens[0] == len(encode(texts[0])) - 1  # a text of many windows loses its first token only
    assert found.per_byte.value == pytest.approx(found.nats.sum() / found.bytes.sum())
    base = load_base(str(folder), precision="float32")
    same = measure(nats_of_base(base), encode, texts, context=WINDOW, device="cpu")
    np.testing.assert_allclose(same.nats, found.nats, rtol=1e-4)
    assert same.worse_per_byte(found).value == pytest.approx(0, abs=1e-4)


def test_rounding_to_8_bits_is_off_by_half_a_step_of_its_row_at_most(model: Llama) -> None:
    weights = dict(model.named_parameters())
    for name, rounded in ROUNDINGS["8 bits"](weights).items():
        if rounded.ndim == 2:
            step_R1 = weights[name].abs().amax(1, keepdim=True) / 127
            assert ((rounded - weights[name]).abs() <= 0.5001 * step_R1).all()
    assert bytes_in_eight_bits(weights) < 0.6 * 2 * PLAN.shape.num_weights
    assert all(torch.equal(part.float(), weights[name]) for name, part in ROUNDINGS["bfloat16"](weights).items())


def test_few_shot_asks_only_rows_that_it_has_not_shown(folder: Path, tmp_path: Path) -> None:
    rows = [Labelled(f"{word} {n}", label) for n in range(4) for word, label in (("pay", "a"), ("move", "b"))]
    base = load_base(str(folder), precision="float32")
    found = few_shot(base, rows)
    assert found.n == len(rows) - 2
    assert found == few_shot(base, rows)
    with pytest.raises(DataError, match="2 rows of 2 labels leave none to ask"):
        few_shot(base, rows[:2])
    (tmp_path / "rows.jsonl").write_text('{"text": "pay", "label": "a"}\n{"text": "pay"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2 of rows.jsonl is no labelled row"):
        read_labelled(tmp_path / "rows.jsonl")


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["recipes.base", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        enter(pretrain, "python -m recipes.base")
    return int(caught.value.code or 0)


def test_the_command_makes_a_base_and_tells_what_it_is_worth(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"t {n}", "label": f"l{n % 2}"}) + "\n" for n in range(6)))
    (tmp_path / "sources.md").write_text("All invented.")
    words = [data.corpus.path, "--out", tmp_path / "out", "--shape", "1m", "--device", "cpu", "--tokens", 512]
    words += ["--context", 64, "--rows", 2, "--micro-rows", 2, "--held-out", 6, "--texts", 6, "--few-shot", rows]
    words += ["--sources", tmp_path / "sources.md", "--json"]
    assert call(monkeypatch, *words, "--only-prepare") == 0
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert call(monkeypatch, *words) == 0
    first = json.loads(capsys.readouterr().out)
    # the run is over: the same command only measures again, now beside a rival, which is the base itself
    assert call(monkeypatch, *words, "--rival", tmp_path / "out" / "base") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 4
    assert report["tokens"] == 512
    assert report["chance"] == 0.5
    assert report["few_shot"]["n"] == 4
    assert set(report["rounding"]) == {"bfloat16", "8 bits"}
    assert (first["curve"], first["per_byte"]) == (report["curve"], report["per_byte"])
    # through burnish, so sums come in another order
    assert report["rival"]["worse_per_byte"]["value"] == pytest.approx(0, abs=1e-4)
    assert report["curve"][-1]["held_out"] > 0
    card = (tmp_path / "out" / "base" / "README.md").read_text()
    assert "All invented." in card
    assert f"{report['num_weights']:,} parameters" in card
    assert load_base(str(tmp_path / "out" / "base")).vocab_size == 4096

    assert call(monkeypatch, *words, "--lr", 0.02) == 78
    said = capsys.readouterr().err
    assert "plan.lr 0.01 -> 0.02" in said
    assert "hint: Undo the change" in said


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--shape", "7b"], 78, "there is no shape '7b'"),
        (["--sources", "none.md"], 2, "none.md cannot be read"),
        (["--texts", "0"], 2, "--texts is 0"),
        (["--rival", "builtin:english-99m"], 65, "there is no built-in base model 'english-99m'"),
        (["--device", "tpu"], 2, "there is no device 'tpu'"),
        (["--few-shot", "none.jsonl"], 65, "there is no file of labelled rows none.jsonl"),
        ([], 65, "there is no corpus none.jsonl"),
    ],
)
def test_a_wrong_call_ends_in_a_message_and_its_code(
    words: list[str], code: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert call(monkeypatch, "none.jsonl", "--out", tmp_path / "out", *words) == code
    said = capsys.readouterr().err
    assert f"error: {what}" in said
    assert "hint: " in said
    assert not (tmp_path / "out").exists()
