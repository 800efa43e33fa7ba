"""The commands about served answers: a log comes in, is looked at, and goes."""

import json

import pytest

from burnish.loop.project import create_project
from burnish.store.traffic import Remark, append_feedback
from tests.cli.calls import burnish
from tests.data.test_traffic_log import CHAT, RESPONSES
from tests.loop.conftest import small_settings


@pytest.fixture
def desk(tmp_path, small_base):
    project = create_project(tmp_path / "desk", small_settings(small_base))
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in (CHAT, RESPONSES)), "utf-8")
    return project, log


def test_a_log_is_taken_in_looked_at_and_deleted(desk):
    project, log = desk
    place = ("--project", project.folder)
    assert "`serve.traffic.keep: true`" in burnish("traffic", "status", *place).out
    taken = burnish("traffic", "import", log, *place, "--json")
    assert taken.data == {
        "schema_version": 1,
        "num_new": 2,
        "num_known": 0,
        "num_other": 0,
        "num_expired": 0,
        "num_feedback": 0,
        "rejected": [],
    }
    assert "0 new answers, 2 known before" in burnish("traffic", "import", log, *place).out
    append_feedback(project.store, "chatcmpl-1", [Remark("down"), Remark("text", "no \x1b[31m")])
    held = burnish("traffic", "status", *place, "--json").data
    assert (held["num_answers"], held["num_with_text"], held["feedback"]) == (2, 2, {"down": 1, "text": 1})
    assert set(held) == {
        "schema_version",
        "keep",
        "num_answers",
        "num_with_text",
        "since",
        "by_model",
        "feedback",
    }
    listed = burnish("traffic", "list", *place, "--limit", 1, "--json").data["answers"]
    assert [row["response_id"] for row in listed] == ["resp_1"]
    assert "On its way." not in burnish("traffic", "list", *place).out
    shown = burnish("traffic", "show", "chatcmpl-1", *place).out
    assert "user: Where is my parcel? Write to [email]" in shown
    assert "user's feedback: down" in shown
    assert "\x1b" not in shown
    data = burnish("traffic", "show", "chatcmpl-1", *place, "--json").data
    assert [entry["kind"] for entry in data["feedback"]] == ["down", "text"]
    assert data["messages"][1]["content"] == "Where is my parcel? Write to [email]"
    assert burnish("traffic", "drop", "chatcmpl-1", *place, "--json").data["num_dropped"] == 1
    assert burnish("traffic", "drop", *place, "--json").data["num_dropped"] == 0
    assert burnish("traffic", "drop", "--all", *place, "--json").data["num_dropped"] == 1


def test_mistakes_are_told_with_what_to_do(desk):
    project, log = desk
    place = ("--project", project.folder)
    wrong = burnish("traffic", "import", log, *place, "--shape", "splunk")
    assert (wrong.code, "openai, langfuse, otel" in wrong.err) == (2, True)
    log.write_text('{"a": 1}\n', "utf-8")
    bad = burnish("traffic", "import", log, *place)
    assert bad.code == 65
    assert "log.jsonl:1  shape: neither OpenAI's" in bad.err
    gone = burnish("traffic", "show", "none", *place)
    assert (gone.code, "burnish traffic list" in gone.err) == (2, True)
    both = burnish("traffic", "drop", "a", "--all", *place)
    assert both.code == 2
