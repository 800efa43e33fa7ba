"""What scripts rely on: one object on stdout, talk on stderr, the same keys and types release after release."""

import json
import shutil
import sys
from dataclasses import replace

import pytest

from burnish.loop.result import load_result
from tests.cli.calls import burnish
from tests.cli.conftest import QUICK, overrides
from tests.cli.golden import check, shape

READING = {
    "status": ("status",),
    "models": ("models",),
    "power": ("power",),
    "costs": ("costs",),
    "report": ("report", "--json"),
    "config-show": ("config", "show"),
    "data-show": ("data", "show", "--limit", "3"),
    "data-check": ("data", "check"),
    "data-rejects": ("data", "rejects"),
    "data-render": ("data", "render"),
    "eval": ("eval", "--data", "rows.jsonl"),
}


def pin(name: str, data: dict[str, object]) -> None:
    check(f"json/{name}.json", json.dumps(shape(data), indent=1) + "\n")


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_keeps_its_shape(name, promoted, monkeypatch):
    monkeypatch.chdir(promoted[0].parent)
    words = [word for word in READING[name] if word != "--json"]
    call = burnish(*words, "--project", "desk", "--json")
    assert call.code == 0
    assert call.data["schema_version"] == 1
    if name != "report":
        pin(name, call.data)


def test_a_round_keeps_its_shape_and_promotes_with_exit_code_0(promoted):
    call = promoted[1]
    assert (call.code, call.data["decision"]) == (0, "PROMOTE")
    assert call.data["champion"] == call.data["challenger"]
    pin("round", call.data)


def test_a_round_that_proves_nothing_has_the_same_shape_and_exit_code_6(held, promoted):
    call = held[1]
    assert (call.code, call.data["decision"]) == (6, "INCONCLUSIVE")
    assert call.data.keys() == promoted[1].data.keys()


@pytest.mark.parametrize(
    ("decision", "approval", "code"),
    [
        ("PROMOTE", "", 0),
        ("PROMOTE", "waiting", 4),
        ("PROMOTE", "refused", 3),
        ("HOLD", "", 3),
        ("INCONCLUSIVE", "", 6),
    ],
)
def test_each_decision_has_an_exit_code_of_its_own(held, decision, approval, code):
    kept = load_result(held[0] / held[1].data["report"].removesuffix("report.html") / "round.json")
    assert replace(kept, decision=decision, approval=approval).exit_code == code


def test_the_same_round_again_says_that_nothing_changed_and_keeps_its_exit_code(held):
    folder, first = held
    again = burnish("round", "--project", folder, "--json", "--quiet")
    assert again.code == first.code
    assert again.data == {**first.data, "unchanged": True}
    assert again.err == ""


def test_run_lists_its_rounds_and_says_why_it_stopped(held):
    call = burnish("run", "--project", held[0], "--json")
    assert call.code == 6
    assert call.data["stopped"] == "nothing is new: add data, or change settings"
    pin("run", call.data)


def test_one_command_goes_from_a_file_to_a_paired_result(here, small_base, held):
    rows = held[0].parent / "rows.jsonl"
    call = burnish("try", rows, "--base", small_base, *overrides(QUICK), "--json")
    pin("try", call.data)
    assert (here / call.data["report"]).is_file()
    assert (here / "burnish-rows" / "burnish.yaml").is_file()
    assert call.data["challenger_hash"] == held[1].data["challenger_hash"]


def test_an_evaluation_names_the_model_and_counts_the_rows_of_every_slice(promoted, monkeypatch):
    folder, done = promoted
    monkeypatch.chdir(folder.parent)
    for asked, name in (("base", "base"), ("champion", done.data["champion"]), (done.data["champion"],) * 2):
        data = burnish("eval", "--project", "desk", "--model", asked, "--data", "rows.jsonl", "--json").data
        assert data["model"] == name
        assert len(data["model_hash"]) == 64
        assert (data["model_hash"] == done.data["challenger_hash"]) is (name != "base")
        assert data["num_examples"] == data["overall"]["accuracy"]["n"] == 120
        for column in ("channel", "answer"):
            parts = [score["accuracy"]["n"] for key, score in data["slices"].items() if key.startswith(f"{column}=")]
            assert sum(parts) == 120, column


def test_doctor_reports_versions_devices_threads_rates_sqlite_and_disk():
    data = burnish("doctor", "--json").data
    pin("doctor", data)
    assert data["cores"] >= 1
    assert data["threads"] >= 1
    assert set(data["matrix_gflops"]) == {"float32", "bfloat16"}
    assert all(rate > 0 for rate in data["matrix_gflops"].values())
    assert data["missing"] == []
    text = burnish("doctor", "--fast").out
    for word in ("system", "python", "cores", "memory", "disk free", "sqlite", "torch", "matrix rates"):
        assert word in text


def test_doctor_names_what_is_missing_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as an installation without the extra looks to Python
    data = burnish("doctor", "--fast", "--json").data
    assert data["missing"] == [
        {
            "what": "pyarrow is missing: needed for Parquet files and datasets folders",
            "mend": "pip install 'burnish[train]'",
        }
    ]
    for risk in data["risks"]:
        assert set(risk) == {"what", "mend"}


def test_talk_goes_to_stderr_and_quiet_leaves_only_the_result(held, monkeypatch):
    monkeypatch.chdir(held[0].parent)
    loud = burnish("eval", "--project", "desk", "--data", "rows.jsonl", "--model", "base")
    assert "score base: 90 rows" in loud.err
    quiet = burnish("eval", "--project", "desk", "--data", "rows.jsonl", "--model", "base", "--quiet")
    assert (quiet.err, quiet.out) == ("", loud.out)


def test_characters_that_could_drive_a_terminal_come_back_whole_from_json_and_never_raw(here, capsys):
    from burnish.cli.terminal import print_json, print_text

    text = "a\x1b[31mb\u202ec\x85d é"
    print_json({"text": text})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": text}
    assert not {"\x1b", "\u202e", "\x85"} & set(printed)
    print_text(text)
    assert capsys.readouterr().out == "a[31mbcd é\n"


@pytest.fixture(scope="module")
def searched(held, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "desk"
    shutil.copytree(held[0], folder)
    return folder, burnish("tune", "--project", folder, "--trials", "2", "--slots", "2", "--json", "--quiet")


def test_a_search_keeps_its_shape(searched):
    call = searched[1]
    assert (call.code, call.data["chosen"] in {trial["number"] for trial in call.data["trials"]}) == (0, True)
    assert set(call.data["settings"]) <= {"lora.rank", "train.epochs", "train.batch_size", "train.lr", "train.search"}
    pin("tune", {**call.data, "settings": {}})  # which settings differ from now is the data's


def test_what_a_search_applies_is_then_in_the_settings(searched):
    folder, found = searched
    changed = burnish("tune", "--apply", "--project", folder, "--json", "--quiet").data
    assert changed == {"schema_version": 1, "changed": found.data["settings"]}
    settings = burnish("config", "show", "--project", folder, "--json").data["settings"]
    for name, value in found.data["settings"].items():
        section, key = name.split(".")
        assert settings[section][key] == value


def test_a_diagnosis_keeps_its_shape(held):
    call = burnish("diagnose", "--project", held[0], "--model", "base", "--json", "--quiet")
    assert (call.code, call.data["model"], call.data["num_looked"] > 0) == (0, "base", True)
    # which slices stand out and which causes are likely is the data's; a weakness keeps its shape in tests/diagnose
    pin("diagnose", {**call.data, "weaknesses": [], "causes": {}})


def test_a_plan_keeps_its_shape(held):
    call = burnish("plan", "--project", held[0], "--json", "--quiet")
    assert (call.code, call.data["peak_bytes"] > 0, call.data["seconds"] > 0) == (0, True, True)
    pin("plan", call.data)


def test_an_export_keeps_its_shape(promoted, here):
    call = burnish("export", "--format", "vllm", "--to", "out", "--project", promoted[0], "--json", "--quiet")
    assert (call.code, call.data["parity"]["checked"], call.data["unchanged"]) == (0, True, False)
    pin("export", call.data)
    again = burnish("export", "--format", "vllm", "--to", "out", "--project", promoted[0])
    assert (again.out, "unchanged, " in again.err, "vllm serve" in again.err) == (f"{here / 'out'}\n", True, True)


def test_an_evaluation_of_an_empty_file_is_bad_data(held, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    call = burnish("eval", "--project", held[0], "--data", empty, "--json")
    assert (call.code, call.out) == (65, "")
    assert f"{empty} holds no row" in call.err
