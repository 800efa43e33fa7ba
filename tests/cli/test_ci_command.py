"""The pipelines are ones that GitHub and GitLab take, call commands that exist, and end with the gate's exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.calls import burnish
from tests.test_docs import parse

WRITTEN = [".github/workflows/burnish.yml", ".gitlab-ci.yml", "ci/burnish-gate.sh", "Containerfile"]
WRITTEN += ["ci/burnish-serve.service"]
AWKWARD = "the data/it's $HOME.csv"
OF_A_JOB = {"stage", "timeout", "script", "artifacts", "cache", "resource_group"}


@pytest.fixture
def written(here: Path) -> Path:
    call = burnish("ci", "init", "--project", "desk", "--data", AWKWARD, "--json")
    assert call.data == {"schema_version": 1, "folder": ".", "files": dict.fromkeys(WRITTEN, True)}
    return here


def runs(scripts: list[str]) -> None:
    """Every script is one that sh reads, and every call of burnish in it one that burnish takes."""
    calls = 0
    for script in scripts:
        assert subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode == 0, script
        for found in re.findall(r"^\s*(?:result=\$\()?burnish ([a-z][^|)\n]*)", script, re.MULTILINE):
            parse(found.strip())
            calls += 1
    assert calls


def test_the_workflow_of_github_has_jobs_with_limits_that_wait_for_each_other(written):
    flow = yaml.safe_load((written / WRITTEN[0]).read_text(encoding="utf-8"))
    assert set(flow) == {"name", True, "permissions", "env", "jobs"}  # YAML 1.1 reads `on` as true
    assert flow["env"]["BURNISH_DATA"] == AWKWARD
    for name, job in flow["jobs"].items():
        assert set(job) <= {"runs-on", "needs", "timeout-minutes", "concurrency", "steps"}, name
        assert job["timeout-minutes"] <= 120
        assert job.get("needs", "check") in flow["jobs"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    runs([step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step])


def test_the_pipeline_of_gitlab_has_jobs_in_its_stages(written):
    flow = yaml.safe_load((written / WRITTEN[1]).read_text(encoding="utf-8"))
    jobs = {name: job for name, job in flow.items() if name.startswith("burnish-")}
    assert set(flow) - set(jobs) == {"stages", "variables", "default", "workflow"}
    assert [job["stage"] for job in jobs.values()] == flow["stages"]
    assert all(set(job) <= OF_A_JOB for job in jobs.values())
    assert all(isinstance(line, str) for job in jobs.values() for line in job["script"])
    assert jobs["burnish-gate"]["cache"]["paths"] == ["desk/.burnish"]
    runs(["\n".join(job["script"]) for job in jobs.values()])


def test_the_container_and_the_service_start_what_burnish_takes(written):
    container = (written / "Containerfile").read_text(encoding="utf-8")
    (words,) = (json.loads(line.removeprefix("CMD ")) for line in container.splitlines() if line.startswith("CMD "))
    parse(" ".join(words[1:]))
    assert 'COPY --chown=burnish:burnish ["desk/", "/srv/project/"]' in container
    service = (written / "ci/burnish-serve.service").read_text(encoding="utf-8")
    parse(re.search(r"^ExecStart=\S+/burnish (.*)$", service, re.MULTILINE)[1])


def test_what_is_there_is_kept_and_a_place_outside_is_refused(written):
    again = burnish("ci", "init", "--project", "desk", "--data", AWKWARD, "--json")
    assert not any(again.data["files"].values())
    (written / ".gitlab-ci.yml").write_text("mine: true\n")
    call = burnish("ci", "init", "--project", "other", "--data", "a.csv")
    assert (call.code, "is there already" in call.err) == (2, True)
    assert (written / ".gitlab-ci.yml").read_text() == "mine: true\n"
    assert burnish("ci", "init", "--project", "other", "--data", "a.csv", "--force").code == 0
    for wrong in ("/etc", "a\nb: c", " "):
        assert burnish("ci", "init", "--project", wrong, "--data", "a.csv", "--force").code == 2


def test_the_gate_ends_with_the_code_of_the_round_and_one_that_cannot_tell_may_be_let_pass(desk, here):
    assert burnish("ci", "init", "--project", "desk", "--data", "rows.jsonl").code == 0
    (here / "bin").mkdir()
    call = here / "bin" / "burnish"
    call.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m burnish.cli.main "$@"\n')
    call.chmod(0o755)
    path = f"{here / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    gate = ["sh", "ci/burnish-gate.sh", "desk"]

    def ended(data: str, **changes: str) -> tuple[int, str]:
        changed = os.environ | {"PATH": path} | changes
        done = subprocess.run([*gate, data], env=changed, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert ended("rows.jsonl")[0] == 6
    code, said = ended("rows.jsonl", BURNISH_INCONCLUSIVE="0")
    assert (code, said.splitlines()[-1]) == (0, "exit code 6")
    assert json.loads((here / "burnish-round.json").read_text())["unchanged"]
    (here / "bad.jsonl").write_text("{\n")
    assert ended("bad.jsonl")[0] == 65
