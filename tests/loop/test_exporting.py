"""What an export wrote answers as it was measured, by the target's own reader; a kill leaves all or nothing."""

import json
import resource
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from burnish.data.intake import add_files
from burnish.errors import DamagedError, ModelError, StorageError, UsageError
from burnish.fakes import random_version, tiny_base, tiny_folder
from burnish.loop.exporting import FORMATS, export
from burnish.loop.forget import forget
from burnish.loop.parity import Subject, check
from burnish.loop.probing import UNPROVEN, stored_answers
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.round import run_round
from burnish.loop.starting import shell
from burnish.loop.task import task_of_project
from burnish.model.adapter import load_adapter
from burnish.model.generate import generate
from burnish.model.gguf_file import save_gguf
from burnish.model.modelfile import modelfile
from burnish.model.whole import save_whole
from burnish.records import Message
from burnish.registry import get
from burnish.store.manifest import verify
from burnish.store.roles import current_roles
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import small_settings, write_rows
from tests.serve.town import bench_of, wearing

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""float32 sums in another order: the update beside the weights, or inside them."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Project, str]:
    """A project after one round, and its challenger."""
    folder = tmp_path_factory.mktemp("finished")
    changes = {"task.shots": 0, "task.instruction": 'Say "what" it is.', "train.search": [1.0], "train.lr": 0.01}
    settings = settings_with(small_settings(small_base), {**changes, "synthesize.top_up": False})
    project = create_project(folder / "desk", settings)
    add_files(project.store, project.settings, [write_rows(folder / "rows.jsonl", 90)], Silence(), skip_bad=False)
    result, _ = run_round(project, Silence())
    return project, result.challenger


@pytest.fixture
def copied(finished: tuple[Project, str], tmp_path: Path) -> tuple[Project, str]:
    """A copy that a test may change."""
    return open_project(Path(shutil.copytree(finished[0].folder, tmp_path / "desk"))), finished[1]


def answers(project: Project, name: str):
    """Tokens of the version's probes, and what the version as burnish holds it thinks of the next tokens."""
    base, version = bench_of(project), get(project.store, name)
    rows = stored_answers(project, base, version)
    assert len(rows) == 8
    with torch.inference_mode(), wearing(base, project.store.root / version.artifact):
        return [(row, base.model(torch.tensor([row.tokens])).logits) for row in rows]


def same_answers(model, expected) -> bool:
    with torch.inference_mode():
        for row, logits in expected:
            torch.testing.assert_close(model(torch.tensor([row.tokens])).logits, logits, **CLOSE)
    return True


@pytest.fixture(scope="module")
def exports(finished, tmp_path_factory):
    """The version in every format."""
    project, name = finished
    place = tmp_path_factory.mktemp("exports")
    return {form: export(project, name, form, place / f"it's {form}", Silence()) for form in FORMATS}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_answers_as_it_was_measured_and_says_how_to_start_it(form, exports, finished):
    done, folder = exports[form], Path(exports[form].folder)
    assert (done.parity.checked, done.parity.compared, done.parity.allowed) == (True, 8, 1e-3)
    assert done.parity.largest < done.parity.allowed
    assert verify(folder).content_hash == done.content_hash
    page, card = (folder / "START.md").read_text(), (folder / "README.md").read_text()
    assert all(line in page for line in done.start)
    assert "8 stored answers came out again" in page.lower()
    assert f"# {finished[1]}" in card
    assert "## Scores" in card
    assert subprocess.run(["sh", "-n", folder / "start.sh"], check=False).returncode == 0


@pytest.mark.parametrize("form", ["peft", "vllm"])
def test_peft_loads_the_adapter_over_the_base_that_it_names_and_gives_the_same_logits(form, exports, finished):
    from peft import PeftModel

    folder = exports[form].folder
    named = json.loads((Path(folder) / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = AutoModelForCausalLM.from_pretrained(named, dtype=torch.float32)
    assert same_answers(PeftModel.from_pretrained(base, folder), answers(*finished))


def test_transformers_loads_the_merged_model_and_its_tokenizer(exports, finished):
    folder = exports["merged"].folder
    expected = answers(*finished)
    assert same_answers(AutoModelForCausalLM.from_pretrained(folder), expected)
    asked = [Message(role="system", content='Say "what" it is.'), Message(role="user", content="é 12")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": turn.role, "content": turn.content} for turn in asked]
    theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert theirs == bench_of(finished[0]).chat.render_prompt(asked)


def test_transformers_reads_the_gguf_file_with_the_same_logits_tokens_and_template(exports, finished):
    folder = exports["gguf"].folder
    expected = answers(*finished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    assert same_answers(model, expected)
    own = bench_of(finished[0])
    for row, _ in expected:
        text = own.tokenizer.decode(row.tokens, clean_up_tokenization_spaces=False)
        assert tuple(tokenizer(text, add_special_tokens=False).input_ids) == row.tokens
    assert tokenizer.chat_template == own.chat.source


def test_the_start_script_of_an_adapter_says_what_the_version_says(exports, finished, monkeypatch, capsys):
    project, name = finished
    asked = "the password is refused"
    monkeypatch.setattr(sys, "argv", ["start.py", asked])
    runpy.run_path(str(Path(exports["peft"].folder) / "start.py"))
    base, task = bench_of(project), task_of_project(project)
    prompt = base.chat.render_prompt(
        [Message(role="system", content=task.instruction), Message(role="user", content=asked)]
    )
    with wearing(base, project.store.root / get(project.store, name).artifact):
        (said,) = generate(base, [prompt], max_new_tokens=task.max_new_tokens)
    assert capsys.readouterr().out == f"{said.text}\n"


def test_commands_are_quoted_and_name_rank_type_and_base(exports, finished):
    project, name = finished
    (line,) = exports["vllm"].start
    words = shlex.split(line)
    assert words[:3] == ["vllm", "serve", str(Path(project.settings.base).resolve())]
    assert words[words.index("--max-lora-rank") + 1] == "8"
    assert words[words.index("--lora-modules") + 1] == f"{name}=./"
    assert json.loads(words[words.index("--override-generation-config") + 1]) == {"temperature": 0}
    assert exports["ollama"].start[0] == f"ollama create {name} -f Modelfile"
    base = bench_of(project)
    asked = [
        json.loads((Path(exports[form].folder) / "START.md").read_text().split("```json\n")[1].split("```")[0])
        for form in ("vllm", "merged")
    ]
    assert asked[0]["stop_token_ids"] == list(base.chat.end_ids)
    assert "stop_token_ids" not in asked[1]
    model = (Path(exports["ollama"].folder) / "Modelfile").read_text()
    assert 'FROM ./model.gguf\nTEMPLATE """{{ range .Messages }}' in model
    assert 'SYSTEM """Say "what" it is."""' in model
    assert 'PARAMETER stop "<|im_end|>"' in model


def test_only_the_question_of_a_command_becomes_the_words_after_start_sh():
    lines = ("python start.py QUESTION", "vllm serve '/my QUESTION/base' --dtype float32")
    assert shell(lines).splitlines()[3:] == ['python start.py "$@"', lines[1]]


def test_the_same_again_changes_nothing_and_another_version_replaces_only_what_is_as_it_was_written(finished, tmp_path):
    project, name = finished
    place = tmp_path / "out"
    first = export(project, name, "peft", place, Silence())
    assert export(project, name, "peft", place, Silence()).unchanged
    assert not export(project, name, "vllm", place, Silence()).unchanged
    (place / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than an earlier export"):
        export(project, name, "peft", place, Silence())
    assert (place / "mine.txt").read_text() == "mine"
    again = export(project, name, "peft", place, Silence(), force=True)
    assert (again.content_hash, again.files) == (first.content_hash, first.files)
    with pytest.raises(UsageError, match="holds a project"):
        export(project, name, "peft", project.folder, Silence(), force=True)
    with pytest.raises(UsageError, match="is a file"):
        export(project, name, "peft", place / "README.md", Silence(), force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_tampered_weights_are_refused(copied, tmp_path):
    project, name = copied
    version = get(project.store, name)
    random_version(project.store, bench_of(project), "other", adapter_hash=version.adapter_hash, seed=3)
    with pytest.raises(ModelError, match="the weights of other have the hash"):
        export(project, "other", "merged", tmp_path / "out", Silence())
    weights = project.store.root / version.artifact / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(data)
    with pytest.raises(DamagedError, match=r"adapter_model\.safetensors"):
        export(project, name, "merged", tmp_path / "out", Silence())
    assert [path.name for path in tmp_path.iterdir()] == ["desk"]


def test_files_that_answer_otherwise_than_was_measured_are_no_export(copied, tmp_path):
    project, name = copied
    base = bench_of(project)
    folder = project.store.root / random_version(project.store, base, "ada").artifact
    adapter = load_adapter(folder, base)
    for form in ("peft", "merged", "gguf"):
        shutil.copytree(folder, draft := tmp_path / form)
        if form == "merged":
            (draft / "adapter_config.json").unlink()
            save_whole(draft, base, adapter, Silence())
        if form == "gguf":
            save_gguf(draft / "model.gguf", base, adapter, name, Silence())
        version = get(project.store, name)
        subject = Subject(project=project, base=base, version=version, adapter=adapter, draft=draft)
        with pytest.raises(ModelError, match=f"{name} does not answer as it was measured: 8 of 8"):
            check(form, subject)


def test_without_a_stored_evaluation_it_says_not_checked_and_without_a_judged_round_so_does_the_card(copied, tmp_path):
    project, _ = copied
    random_version(project.store, bench_of(project), "ada")
    done = export(project, "ada", "gguf", tmp_path / "out", Silence())
    assert (done.parity.checked, done.parity.reason, done.parity.compared) == (False, UNPROVEN, 0)
    assert "Not checked: no stored evaluation" in (tmp_path / "out" / "START.md").read_text()
    assert "No round has judged this version" in (tmp_path / "out" / "README.md").read_text()
    assert done.warnings == ("the gate did not pass ada: its verdict was never asked for",)


def test_llama_server_is_told_of_no_more_positions_than_the_window_of_the_attention(tmp_path):
    settings = small_settings(tiny_folder(tmp_path / "base", "mistral"))
    project = create_project(tmp_path / "desk", settings)
    add_files(project.store, settings, [write_rows(tmp_path / "rows.jsonl", 9)], Silence(), skip_bad=False)
    random_version(project.store, bench_of(project), "ada")
    done = export(project, "ada", "gguf", tmp_path / "out", Silence())
    assert shlex.split(done.start[0])[-2:] == ["--ctx-size", "16"]


def test_an_instruction_with_signs_that_ollama_drops_is_refused_for_it():
    base = tiny_base()
    assert 'SYSTEM """Élève, 你好\n\t!"""' in modelfile(base, "m", instruction="Élève, 你好\n\t!", num_tokens=9)
    with pytest.raises(ModelError, match=r"has '\\u202f', which Ollama drops"):
        modelfile(base, "m", instruction="Qui\u202f?", num_tokens=9)


@pytest.mark.parametrize("form", ["merged", "gguf"])
def test_a_disk_that_fills_up_is_told_and_leaves_nothing(form, finished, tmp_path):
    project, name = finished
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"(could not be written|no space left).* free"):
            export(project, name, form, tmp_path / "out", Silence())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any(tmp_path.iterdir())


def test_the_base_and_a_version_that_learned_a_forgotten_row_are_refused(copied, tmp_path):
    project, name = copied
    with pytest.raises(UsageError, match="untuned base"):
        export(project, "base", "peft", tmp_path / "out", Silence())
    learned = next(row for row, role in current_roles(project.store).items() if role == "train")
    forget(project, learned)
    with pytest.raises(UsageError, match=f"{name} learned 1 of the rows that were forgotten"):
        export(project, name, "peft", tmp_path / "out", Silence())


PLACES = ("export.checked", "artifact.manifest", "deliver.sealed", "deliver.aside", "deliver.renamed")


def test_a_kill_at_any_place_leaves_the_old_or_the_new_and_the_same_command_finishes(finished, exports, tmp_path):
    project, name = finished
    place, before, after = tmp_path / "out", "vllm", "peft"
    export(project, name, before, place, Silence())
    for point in PLACES:
        asked = partial(export, project, name, after, place, Silence())
        assert in_child(asked, f"{point}=kill") == KILLED, point
        is_there = point == "deliver.renamed"
        if place.exists():
            assert verify(place).record["format"] == (after if is_there else before), point
        done = asked()
        assert (done.unchanged, done.content_hash) == (is_there, exports[after].content_hash), point
        assert [path.name for path in tmp_path.iterdir()] == ["out"], point
        before, after = after, before
