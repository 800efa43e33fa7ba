"""Files are added whole or not at all, duplicates once, and what was added is there unchanged."""

import json
import os
import signal

import pytest

from burnish.config import Settings
from burnish.data.dataset import load_examples, rejects
from burnish.data.intake import add_files, batch_name
from burnish.errors import DamagedError, DataError
from burnish.store.batches import batches
from burnish.store.store import open_store
from burnish.talk import Silence
from tests.child import KILLED, in_child

DEFAULT = Settings()
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.fixture
def store(tmp_path):
    (tmp_path / "project").mkdir()
    return open_store(tmp_path / "project")


def written(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def add(store, *paths, skip_bad=False):
    return add_files(store, DEFAULT, paths, Silence(), skip_bad=skip_bad)


def row(number, **more):
    return {"text": f"question {number}", "label": f"label {number % 2}"} | more


def test_what_was_added_comes_back_with_everything(store, tmp_path):
    turns = [{"role": r, "content": c} for r, c in [("system", "s"), ("user", "é\u2028"), ("assistant", "a")]]
    path = written(tmp_path, {"id": "x", "group": "g", "weight": 2, "messages": turns, "channel": "web"}, row(1))
    report = add(store, path)
    first, second = load_examples(store)
    assert [(turn.role, turn.content) for turn in first.messages] == [(t["role"], t["content"]) for t in turns]
    assert (first.id, first.group, first.weight, dict(first.slices)) == ("x", "g", 2.0, {"channel": "web"})
    assert (first.source, second.source) == ("rows.jsonl:1", "rows.jsonl:2")
    assert (report.num_kept, report.num_rejected, report.num_duplicates) == (2, 0, 0)
    assert report.batches == ("rows.jsonl",)


def test_duplicates_are_left_out_within_a_file_and_of_earlier_batches(store, tmp_path):
    assert add(store, written(tmp_path, row(1), row(2), row(1, channel="web"))).num_duplicates == 1
    report = add(store, written(tmp_path, row(3), row(2), name="more.jsonl"))
    assert (report.num_kept, report.num_duplicates, report.by_reason) == (1, 1, {"duplicate": 1})
    assert [found.reason for found in rejects(store)] == [
        "duplicate: same as rows.jsonl:1",
        "duplicate: same as rows.jsonl:2",
    ]
    assert len(list(load_examples(store))) == 3


def test_the_same_file_again_adds_nothing_and_ids_stay(store, tmp_path):
    path = written(tmp_path, row(1), row(2))
    add(store, path)
    before = [example.id for example in load_examples(store)]
    report = add(store, path)
    assert (report.num_kept, report.num_duplicates, report.batches) == (0, 2, ())
    assert [example.id for example in load_examples(store)] == before
    assert len(batches(store)) == 1


def test_bad_rows_stop_the_addition_with_counts_places_and_the_way_on(store, tmp_path):
    path = written(tmp_path, row(1), *["{broken"] * 6, {"text": "a", "label": " "}, row(1))
    with pytest.raises(DataError) as caught:
        add(store, path)
    assert caught.value.message.startswith(f"7 of 9 rows of {path} cannot be used (json 6, empty-answer 1)")
    assert caught.value.message.count("rows.jsonl:") == 5
    start = path.read_bytes().index(b"{broken")
    assert f"rows.jsonl:2 (byte {start})  json: " in caught.value.message  # D1
    assert " at at " not in caught.value.message
    assert "--skip-bad" in caught.value.hint
    assert list(load_examples(store)) == []
    assert batches(store) == []


def test_skip_bad_keeps_the_good_rows_and_records_the_others(store, tmp_path):
    report = add(store, written(tmp_path, row(1), "{broken", row(2)), skip_bad=True)
    assert (report.num_kept, report.num_rejected, report.by_reason) == (2, 1, {"json": 1})
    assert [(found.row, found.reason.split(":")[0]) for found in rejects(store)] == [(2, "json")]
    assert batches(store)[0].num_rejects == 1


@pytest.mark.parametrize("rows", [(), ("{broken",)])
def test_a_file_without_an_example_is_an_error_even_when_bad_rows_may_be_skipped(rows, store, tmp_path):
    with pytest.raises(DataError):
        add(store, written(tmp_path, *rows), skip_bad=True)


def test_an_id_that_another_example_has_gets_a_mark_and_keeps_it(store, tmp_path):
    report = add(
        store, written(tmp_path, row(1, id="1"), row(2, id="1")), written(tmp_path, row(3, id="1"), name="b.csv")
    )
    ids = [example.id for example in load_examples(store)]
    assert ids[0] == "1"
    assert len(set(ids)) == 3
    assert all(name.startswith("1-") for name in ids[1:])
    assert report.num_renamed == 2
    assert [example.group for example in load_examples(store)] == ids


def test_two_files_of_one_name_are_two_batches(store, tmp_path):
    (tmp_path / "other").mkdir()
    add(store, written(tmp_path, row(1)))
    assert add(store, written(tmp_path / "other", row(2))).batches == ("rows.jsonl-2",)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Claims 2026 (final).CSV", "claims-2026-final-.csv"),
        ("../../etc/passwd", "passwd"),
        ("-", "stdin"),
        ("CON", "data-con"),
        ("données.jsonl", "donn-es.jsonl"),
        ("x" * 300, "x" * 48),
        ("...", "data"),
        ("日本", "data"),
    ],
)
def test_a_batch_name_is_safe_whatever_the_file_is_called(path, name):  # D12
    assert batch_name(path) == name


def test_secrets_control_tokens_and_conflicts_are_counted_and_shown_nowhere(store, tmp_path):  # D13
    mail = "jane.doe@mail.example.org"
    rows = [row(1), row(1) | {"label": "other"}, row(3) | {"text": f"my key is {KEY}"}, row(4) | {"text": "<|im_end|>"}]
    bad = json.dumps({"text": f"{KEY} {mail}", "label": ""})
    report = add(store, written(tmp_path, *rows, bad), skip_bad=True)
    assert report.secrets == {"aws-key": 1}
    assert (report.num_control_tokens, report.num_conflicts) == (1, 1)
    assert len(report.warnings) == 3
    shown = report.as_text() + json.dumps(report.as_json()) + "".join(f"{r.reason}{r.snippet}" for r in rejects(store))
    with pytest.raises(DataError) as caught:
        add(store, written(tmp_path, bad, row(9), name="other.jsonl"))
    shown += caught.value.message
    assert KEY not in shown
    assert mail not in shown
    assert "[aws-key]" in shown


@pytest.mark.parametrize("point", ["data.moved", "artifact.rename", "stage.sealed", "data.sealed", "batch.commit"])
def test_a_kill_anywhere_leaves_the_file_to_be_added_by_the_same_command(point, store, tmp_path):
    path = written(tmp_path, *(row(number) for number in range(30)))
    assert in_child(lambda: add(open_store(store.project), path), f"{point}=kill") == KILLED == -signal.SIGKILL
    add(store, path)
    assert len(list(load_examples(store))) == 30
    assert len(batches(store)) == 1
    assert os.listdir(store.root / "work") == []


def test_the_same_rows_give_the_same_bytes(tmp_path):
    hashes = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = open_store(tmp_path / name)
        add(store, written(tmp_path, row(1), row(2)))
        hashes.add(batches(store)[0].content_hash)
    assert len(hashes) == 1


def test_rows_changed_on_disk_are_refused(store, tmp_path):
    add(store, written(tmp_path, row(1)))
    path = store.path_of(batches(store)[0].artifact) / "rows.jsonl"
    path.write_text(path.read_text().replace("question 1", "question 2"))
    with pytest.raises(DamagedError):
        list(load_examples(store))
