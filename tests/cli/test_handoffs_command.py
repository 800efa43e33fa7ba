"""`burnish handoffs`: a version against the one before it, on rows that people may look at."""

import json
import shutil
from pathlib import Path

import pytest

from burnish.loop.project import open_project
from burnish.loop.seeds import gather
from burnish.store.stage import stage_runs
from tests.cli.calls import burnish
from tests.cli.golden import check, shape


@pytest.fixture(scope="module")
def promoted(promoted, tmp_path_factory):
    """A copy: what is asked here costs something, which would stand in the costs of the one that others look at."""
    folder, call = promoted
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("handoffs") / "desk")), call


def test_the_champion_is_held_against_what_it_replaced_on_dev_a(promoted):
    folder, round_call = promoted
    call = burnish("handoffs", "--project", folder, "--json", "--quiet")
    assert call.code == 0
    check("json/handoffs.json", json.dumps(shape(steady(call.data)), indent=1) + "\n")
    assert call.data["before"]["model"] == round_call.data["previous_champion"]
    assert call.data["after"]["model"] == round_call.data["champion"]
    seeds = gather(open_project(folder))
    assert call.data["overall"]["before"]["n"] == len(seeds.of("dev_a"))
    assert call.data["after"]["threshold"]["num_rows"] == len({row.group for row in seeds.of("dev_b")})


def steady(data):
    """Without values that are null or not as the training came out, and without the names of labels."""
    if isinstance(data, dict):
        hidden = {"p_value", "value", "low", "high"}
        return {name: 0.5 if name in hidden else steady(inner) for name, inner in data.items()}
    return [steady(one) for one in data] if isinstance(data, list) else data


def test_people_read_who_answers_alone_and_a_table(promoted):
    call = burnish("handoffs", "--project", promoted[0], "--errors", "0.4", "--quiet")
    assert call.code == 0
    for word in ("of dev_a base hands", "verdict", "all", "rare answer", "channel=web", "fewest training rows"):
        assert word in call.out


def test_asked_again_no_model_answers_anew_and_a_looser_target_hands_off_no_more(promoted):
    folder = promoted[0]
    strict = burnish("handoffs", "--project", folder, "--errors", "0.05", "--json", "--quiet").data
    done = [(run.key, run.attempts) for run in stage_runs(open_project(folder).store)]
    loose = burnish("handoffs", "--project", folder, "--errors", "0.5", "--json", "--quiet").data
    assert [(run.key, run.attempts) for run in stage_runs(open_project(folder).store)] == done
    assert loose["overall"]["after"]["value"] <= strict["overall"]["after"]["value"]


def test_a_version_cannot_be_held_against_itself(held):
    call = burnish("handoffs", "--project", held[0])
    assert call.code == 2
    assert "base cannot be compared with itself" in call.err
    assert "hint: name two versions" in call.err


def test_a_challenger_that_was_not_promoted_can_be_asked_for_by_name(held):
    folder, round_call = held
    name = round_call.data["challenger"]
    call = burnish("handoffs", "--project", folder, "--of", name, "--json", "--quiet")
    assert call.code == 0
    assert (call.data["before"]["model"], call.data["after"]["model"]) == ("base", name)
    assert call.data["after"]["threshold"]["value"] is None, "a dozen rows prove nothing"
    assert call.data["overall"]["after"]["value"] == 1.0
