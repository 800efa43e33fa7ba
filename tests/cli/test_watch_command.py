"""burnish watch as scripts see it: exit code 5 for drift, one shape of JSON, nothing left behind by a file."""

import json
import shlex
import shutil

import pytest

from burnish.loop.project import open_project
from burnish.records import Message
from burnish.registry import champion
from burnish.store.traffic import Spoken, append_traffic
from tests.cli.calls import burnish

FAR = "volcano glacier {} basalt magma {} moraine eruption"


@pytest.fixture
def asked(promoted, here):
    """A project whose champion was asked 60 texts of another world, each answered alike."""
    folder = here / "desk"
    shutil.copytree(promoted[0], folder)
    project = open_project(folder)
    now = champion(project.store)
    assert now is not None
    rows = [
        Spoken(
            response_id=f"r{at}",
            at="2026-11-30T10:00:00Z",
            model=now.name,
            messages=(Message(role="user", content=FAR.format(at % 7, at)),),
            answer="login",
            seconds=0.1,
            expires_at="2999-01-01T00:00:00Z",
        )
        for at in range(60)
    ]
    append_traffic(project.store, rows)
    return folder


def test_drift_is_exit_code_5_once_and_0_when_nothing_is_new(asked):
    call = burnish("watch", "--project", asked, "--set", "watch.window=50", "--json")
    assert call.code == 5
    assert {"input", "outsiders", "labels"} <= {alarm["reading"]["signal"] for alarm in call.data["alarms"]}
    assert "volcano glacier" not in call.out
    again = burnish("watch", "--project", asked, "--set", "watch.window=50", "--json")
    assert (again.code, again.data["alarms"], again.data["num_waiting"]) == (0, [], 10)
    told = {"model", "reference", "windows", "risk", "alarms", "num_waiting", "notes", "slices", "schema_version"}
    assert call.data.keys() == told
    for command in dict.fromkeys(alarm["command"] for alarm in call.data["alarms"]):
        typed = burnish(*shlex.split(command)[1:], "--project", asked)
        assert typed.code == 0, (command, typed.err)


def test_people_see_what_the_requests_have_in_common_and_what_to_run(asked):
    call = burnish("watch", "--project", asked, "--set", "watch.window=50")
    assert call.code == 5
    assert "ALARM outsiders" in call.out
    assert "run: burnish watch --label rows.jsonl" in call.out
    assert "volcano glacier" in call.out
    labelled = burnish("watch", "--project", asked, "--label", "rows.jsonl", "--json")
    assert (labelled.code, labelled.data["rows"]) == (0, len(asked.with_name("rows.jsonl").read_text().splitlines()))
    assert burnish("watch", "--project", asked, "--accept", "--json").data["accepted"] == [1, 50]
    assert burnish("watch", "--project", asked, "--reset", "--json").data["accepted"] is None


def test_a_file_is_looked_at_and_mistakes_are_told(asked):
    asked.with_name("ok.jsonl").write_text("".join(json.dumps({"text": FAR.format(n, n)}) + "\n" for n in range(60)))
    file = burnish("watch", "--project", asked, "--file", "ok.jsonl", "--quiet")
    assert (file.code, "run: " in file.out) == (5, False)
    asked.with_name("bad.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    bad = burnish("watch", "--project", asked, "--file", "bad.jsonl")
    assert (bad.code, "bad.jsonl, line 2 is no request: it has no text" in bad.err) == (65, True)
    both = burnish("watch", "--project", asked, "--accept", "--reset")
    assert (both.code, "do not go together" in both.err) == (2, True)
    nowhere = burnish("watch", "--project", asked, "--allow")
    assert (nowhere.code, "watch.webhook is empty" in nowhere.err) == (78, True)
