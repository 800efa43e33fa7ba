"""The command `judge`: what it would cost, what it says of a project without texts, and its standing as JSON."""

from pathlib import Path

from burnish.loop.project import open_project
from tests.arbiter import Arbiter
from tests.cli.calls import burnish
from tests.loop.test_judged import judge_items, make_project, plan_reviews, with_judge, write_answers
from tests.loopback import loopback


def test_the_judge_of_a_project_is_quoted_tested_and_told(tmp_path: Path, small_base: Path):
    project = make_project(tmp_path, small_base, 40)
    write_answers(project)
    with loopback(Arbiter()) as server:
        named = with_judge(project, server.address)
        judge_items(project, plan_reviews(named, count=40).items)
        told = [
            word
            for name in ("base_url", "model", "usd_per_million_input", "usd_per_million_output", "max_new_tokens")
            for word in ("--set", f"judge.{name}={getattr(named.settings.judge, name)}")
        ]
        words = ("judge", "--project", project.folder, *told, "--quiet")
        quote = burnish(*words, "--dry-run", "--json").data["quote"]
        dry = burnish(*words, "--dry-run").out
        assert server.asked == []
        found = burnish(*words, "--json").data
        shown = burnish(*words).out
    assert quote["num_new"] == len(server.asked)
    assert "You judge one answer to a message" in dry
    assert (found["round"], found["champion"], found["challenger"]) == (1, "old-model", "new-model")
    right = found["questions"][0]
    assert right["num_reviewers"] == 3
    assert right["why"].startswith("few-people: ")
    assert "not admitted, used for nothing" in shown
    assert "the gate, right: " in shown
    assert open_project(project.folder).settings.judge.base_url == ""


def test_a_project_of_labels_is_told_that_it_needs_no_judge(desk: Path):
    call = burnish("judge", "--project", desk, "--quiet")
    assert call.code == 2
    assert "this task's answers are label: they are right or wrong without a judge" in call.err
