"""burnish.yaml: every mistake stops at once with its line and what would be right; what is written reads back equal."""

import json
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from burnish.config import GateSettings, Settings, TaskSettings, TrainSettings
from burnish.errors import AccessError, ConfigError
from burnish.foreign_names import ADVICE, SETTING
from burnish.settings.schema import allowed, json_schema, setting_names
from burnish.settings.source import read_settings
from burnish.settings.text import resolved, settings_text, write_settings

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SETTINGS = st.builds(
    Settings,
    project=TEXT,
    revision=st.none() | TEXT,
    seed=st.integers(0, 2**32 - 1),
    task=st.builds(
        TaskSettings,
        labels=st.lists(TEXT | st.sampled_from(["no", "1", "null", "1e-4", "x" * 120]), max_size=4).map(tuple),
        fields=st.dictionaries(TEXT | st.sampled_from(["no", "<<", "x" * 200]), st.sampled_from(["exact", "number"])),
        instruction=TEXT,
    ),
    train=st.builds(
        TrainSettings,
        lr=st.just("auto") | st.floats(1e-300, 1.0),
        search=st.lists(st.floats(1e-9, 1e9), max_size=15).map(tuple),
    ),
    gate=st.builds(GateSettings, alpha=st.floats(1e-12, 0.49), protected=st.just(("channel=web", "a: b"))),
)


def read(tmp_path, text: str, *overrides: str) -> Settings:
    (tmp_path / "burnish.yaml").write_text(text, encoding="utf-8")
    return read_settings(tmp_path / "burnish.yaml", overrides)


def refusal(tmp_path, text: str, *overrides: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, *overrides)
    return caught.value.message, caught.value.hint


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(settings=SETTINGS)
def test_written_settings_read_back_equal(settings, tmp_path):
    write_settings(tmp_path / "burnish.yaml", settings)
    assert read_settings(tmp_path / "burnish.yaml") == settings


def test_the_written_file_explains_every_setting_just_above_it():
    lines = settings_text(Settings()).splitlines()
    for name in setting_names():
        key = name.rpartition(".")[2]
        places = [number for number, line in enumerate(lines) if line.strip().startswith(f"{key}:")]
        assert places, name
        assert all(lines[place - 1].strip().startswith("# ") for place in places), name
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("text", ["", "# nothing\n", "train:\n", "\ufeffseed: 0\n", "seed: 0\r\n"])
def test_what_is_left_out_has_its_default(text, tmp_path):
    assert read(tmp_path, text) == Settings()


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("train.learning_rate", "train.lr"),
        ("learning_rate", "train.lr"),
        ("lora_r", "lora.rank"),
        ("lora.r", "lora.rank"),
        ("lora_rank", "lora.rank"),
        ("lora_alpha", "lora.alpha"),
        ("num_train_epochs", "train.epochs"),
        ("num_epochs", "train.epochs"),
        ("n_epochs", "train.epochs"),
        ("per_device_train_batch_size", "train.batch_size"),
        ("micro_batch_size", "train.batch_size"),
        ("max_seq_length", "data.max_tokens"),
        ("cutoff_len", "data.max_tokens"),
        ("sequence_len", "data.max_tokens"),
        ("base_model", "base"),
        ("model_name_or_path", "base"),
        ("lora_target", "lora.targets"),
        ("warmup_ratio", "train.warmup_share"),
        ("max_grad_norm", "train.max_grad_norm"),
        ("bf16", "train.precision"),
        ("early_stopping_patience", "train.patience"),
        ("save_steps", "train.checkpoint_every_s"),
        ("Learning-Rate", "train.lr"),
        ("learning_rte", "train.lr"),
        ("lora.rnak", "lora.rank"),
        ("trian", "train"),
        ("rank", "lora.rank"),
        ("train.btach_size", "train.batch_size"),
        ("gate.protectd", "gate.protected"),
        ("sed", "seed"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_setting_that_was_meant(key, meant, tmp_path):
    section, _, last = key.rpartition(".")
    text = f"{section}:\n  {last}: 1\n" if section else f"seed: 0\n{last}: 1\n"
    assert refusal(tmp_path, text) == (f"burnish.yaml line 2: {key} is not a setting", f"did you mean `{meant}`?")
    assert refusal(tmp_path, "", f"{key}=1")[1] == f"did you mean `{meant}`?"


def test_a_key_that_fits_several_settings_names_them_all(tmp_path):
    assert refusal(tmp_path, "alpha: 1")[1] == (
        "did you mean `lora.alpha` or `gate.alpha` or `canary.alpha` or `watch.alpha`?"
    )


def test_a_key_for_which_there_is_no_setting_gets_advice(tmp_path):
    assert refusal(tmp_path, "dataset: a.csv")[1] == "data comes in by command: `burnish data add FILE`"


def test_a_key_like_nothing_we_know_gets_no_wild_guess(tmp_path):
    assert refusal(tmp_path, "zzzz: 1")[1] == "`burnish config schema` lists every setting with what it allows"


def test_foreign_names_lead_to_settings_that_exist_and_hide_none():
    assert set(SETTING.values()) <= set(setting_names())
    assert not set(SETTING) & set(ADVICE)
    for foreign in [*SETTING, *ADVICE]:
        assert foreign == foreign.lower().replace("-", "_")
        assert foreign not in Settings.model_fields


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("train:\n  epochs: 0", "train.epochs is 0; allowed: a whole number from 1 to 1000", "config schema"),
        ("train:\n  epochs: 1.5", "train.epochs is 1.5; allowed: a whole number from 1 to 1000", "config schema"),
        (
            "train:\n  lr: '0.1'",
            'train.lr is "0.1"; allowed: a number above 0 and at most 1, or auto',
            "remove the quotes",
        ),
        ("train:\n  lr: 2", "train.lr is 2; allowed: a number above 0 and at most 1, or auto", "config schema"),
        (
            "train:\n  search: 2",
            "train.search is 2; allowed: a list, each item a number above 0",
            "write a list: [a, b]",
        ),
        ("train:\n  precision: fp16", 'train.precision is "fp16"; allowed: auto, float32 or bfloat16', "config schema"),
        ("lora:\n  alpha: yes", "lora.alpha is yes (true); allowed: a number above 0", "config schema"),
        ("task:\n  labels: [a, no]", "task.labels[1] is no, which YAML reads as false, and must be text", '"no"'),
        ("task:\n  labels: [a, 1]", "task.labels[1] is 1, which YAML reads as a number, and must be text", '"1"'),
        ("#\nbase:", "base is empty, which YAML reads as nothing, and must be text", '""'),
        ("#\nlora: 4", "lora is 4; allowed: a section with rank, alpha, targets", "config schema"),
        ("task:\n  fields: {sum: f1}", 'task.fields.sum is "f1"; allowed: exact, number or token_f1', "config schema"),
        ("#\nseed: -1", "seed is -1; allowed: a whole number from 0 to 4294967295", "config schema"),
        ("gate:\n  alpha: 0.5", "gate.alpha is 0.5; allowed: a number above 0 and below 0.5", "config schema"),
        ("#\nroles: {train: 0.9}", "roles: the shares train, dev_a, dev_b, vault and audit must add up to 1", "schema"),
        ("task:\n  fields: {no: exact}", "found the key 'no', which YAML reads as bool", 'quotes: "no"'),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(text, message, hint, tmp_path):
    told, advice = refusal(tmp_path, text)
    assert told.startswith(f"burnish.yaml line 2: {message}")
    assert hint in advice


def test_all_problems_are_told_at_once_in_under_a_second(tmp_path):
    start = time.monotonic()
    message, _ = refusal(
        tmp_path, "train:\n  learning_rate: 1\n  epochs: 0\nlora:\n  rank: none\n", "seed=x", "tran.lr=1"
    )
    assert time.monotonic() - start < 1
    first, *problems = message.splitlines()
    assert first == "5 problems in the settings:"
    assert sorted(problems) == [
        '  --set seed=x: seed is "x"; allowed: a whole number from 0 to 4294967295',
        "  --set tran.lr=1: tran.lr is not a setting; did you mean `train.lr`?",
        "  burnish.yaml line 2: train.learning_rate is not a setting; did you mean `train.lr`?",
        "  burnish.yaml line 3: train.epochs is 0; allowed: a whole number from 1 to 1000, or auto",
        '  burnish.yaml line 5: lora.rank is "none"; allowed: a whole number from 1 to 512',
    ]


def test_overrides_lie_over_the_file_and_the_last_one_counts(tmp_path):
    settings = read(
        tmp_path,
        "train:\n  lr: 0.5\n  epochs: 3\ntask:\n  labels: [a, b, c]\n",
        "train.lr=1e-3",
        "task.labels=['no', x]",
        "task.fields.amount=number",
        "project=no: it is text",
        "task.instruction='1'",
        "gate.protected=[channel=web]",
        "budget.usd=3",
        "budget.usd=",
        "train.lr=1e-4",
    )
    assert settings.train.lr == 1e-4
    assert settings.train.epochs == 3
    assert settings.task.labels == ("no", "x")
    assert settings.task.fields == {"amount": "number"}
    assert (settings.project, settings.task.instruction) == ("no: it is text", "1")
    assert settings.gate.protected == ("channel=web",)
    assert settings.budget.usd is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", "--set train.lr: it is not of the form name=value"),
        ("=3", "--set =3: it is not of the form name=value"),
        ("train=3", "--set train=3: train is a section"),
        ("train.lr.x=1", "--set train.lr.x=1: train.lr is one value and has no part x"),
        ("train.lr=[1", "--set train.lr=[1 line 1"),
        ("train.lr=!!python/name:os 1", "--set train.lr=!!python/name:os 1 line 1: found the tag"),
        ("task.labels=[a, yes]", "--set task.labels=[a, yes]: task.labels[1] is yes"),
        ("train.epochs=0", "--set train.epochs=0: train.epochs is 0; allowed: a whole number from 1 to 1000"),
    ],
)
def test_a_wrong_override_is_refused_by_its_own_words(override, message, tmp_path):
    assert refusal(tmp_path, "task:\n  labels: [1, 2, 3]\n" if "labels" in override else "", override)[0].startswith(
        message
    )


def test_environment_variables_and_targets_in_the_file_are_plain_text(tmp_path):
    assert read(tmp_path, "project: ${HOME}").project == "${HOME}"
    assert refusal(tmp_path, "_target_: os.system")[0].endswith("_target_ is not a setting")


def test_files_that_are_no_settings_are_refused(tmp_path):
    path = tmp_path / "burnish.yaml"
    with pytest.raises(ConfigError, match=r"there is no .*burnish\.yaml"):
        read_settings(path)
    for data, message in [
        (b"a" * 1_000_001, "larger than 1000000 bytes"),
        (b"seed: 0\n\xff", "line 2: it is not UTF-8"),
        ("seed: 0".encode("utf-16"), "line 1: it is not UTF-8"),
        (b"[a]", r"must hold settings as `name: value`, found \[\"a\"\]"),
    ]:
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=message):
            read_settings(path)
    with pytest.raises(AccessError, match="cannot be read"):
        read_settings(tmp_path)
    with pytest.raises(AccessError, match="cannot be written"):
        write_settings(tmp_path / "none" / "burnish.yaml", Settings())


def test_resolved_settings_are_plain_json_with_a_reason_each():
    settings = Settings(seed=3, train=TrainSettings(lr=0.002))
    table = resolved(settings, {"train.lr": "auto: hidden size 384"})
    assert tuple(table) == setting_names()
    assert table["train.lr"] == {"value": 0.002, "reason": "auto: hidden size 384"}
    assert table["seed"] == {"value": 3, "reason": "set by the project"}
    assert table["lora.targets"] == {"value": ["all-linear"], "reason": "default"}
    assert json.loads(json.dumps(table)) == table
    with pytest.raises(AssertionError, match=r"train\.learning_rate"):
        resolved(settings, {"train.learning_rate": ""})


def test_the_schema_explains_every_setting_and_what_is_allowed_can_be_said():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    for name in setting_names():
        node = schema
        for part in name.split("."):
            node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            node = node["properties"][part]
        assert node["description"], name
        assert allowed(name.split(".")), name


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "num_labels", "passes"),
    [
        (5, 8, 0, 40),
        (80, 8, 10, 30),
        (160, 8, 0, 15),
        (297, 8, 2, 8),
        (100_000, 8, 150, 8),
        (300, 32, 0, 30),
        (600, 8, 60, 24),
        (1500, 8, 150, 24),
    ],
)
def test_few_rows_or_many_labels_are_passed_over_more_often_and_a_number_is_a_number(
    num_rows, batch_size, num_labels, passes
):
    assert TrainSettings(batch_size=batch_size).passes(num_rows, num_labels) == passes
    assert TrainSettings(batch_size=batch_size, epochs=3).passes(num_rows) == 3
