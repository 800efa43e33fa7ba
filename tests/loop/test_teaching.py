"""A teacher behind a real server writes, repairs and solves rows of a batch, inside the budget and once only."""

import json
from dataclasses import replace

import pytest

from burnish.config import EndpointSettings
from burnish.data.intake import add_files
from burnish.diagnose.diagnosis import Diagnosis
from burnish.errors import BudgetError, ConfigError, ServiceError
from burnish.loop.endpoints import allow_all, newest, spent, standings, try_endpoints
from burnish.loop.naming import name_slices
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.proposal import propose
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.stages import shop_outside_rounds
from burnish.loop.synthesizing import synthesize_project
from burnish.records import Interval, Weakness
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import small_settings, write_rows
from tests.loopback import fail, loopback
from tests.scholar import Scholar

EMPTY = Diagnosis(
    model="base",
    metric="accuracy",
    num_looked=0,
    num_checked=0,
    num_wrong=0,
    weaknesses=(),
    causes={},
    num_suspects=None,
)
TAUGHT = {
    "teacher.model": "scripted-1",
    "teacher.usd_per_million_input": 1.0,
    "teacher.usd_per_million_output": 4.0,
    "teacher.max_new_tokens": 256,
    "synthesize.rows": 24,
    "budget.usd": 5.0,
}


@pytest.fixture
def taught(tmp_path, small_base):
    """Makes a project whose teacher is at an address, more settings by name."""

    def make(address: str, **more) -> Project:
        named = {**TAUGHT, "teacher.base_url": address, **{key.replace("__", "."): one for key, one in more.items()}}
        project = create_project(tmp_path / "desk", settings_with(small_settings(small_base), named))
        rows = write_rows(tmp_path / "rows.jsonl", 150)
        add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
        return project

    return make


def test_rows_of_a_teacher_are_kept_with_their_parents_model_request_and_cost(taught):
    scholar = Scholar()
    with loopback(scholar) as server:
        project = taught(server.address, synthesize__moves=["teacher"])
        found = synthesize_project(project, Silence())
    assert found is not None
    people = {row.id for row in gather(project).of("train")}
    assert found.batch.report.num_kept >= 15
    by_teacher = [one for one in found.batch.provenance if one.move == "teacher"]
    assert len(by_teacher) >= 10, "the rest are the rough rows of edges, which rules make"
    for one in by_teacher:
        assert one.generator == "scripted-1"
        assert set(one.parents) <= people
        assert one.request
        assert one.usd > 0
        assert one.verdicts["solver"] == 1.0
    assert scholar.kinds["write"] >= 3
    assert found.verified["solver"]["agrees_with_people"]["value"] == 1.0
    assert found.batch.report.usd == pytest.approx(spent(project)["usd"])
    assert found.batch.report.usd == pytest.approx(len(server.asked) * (100 * 1 + 20 * 4) / 1e6)


def test_rows_of_rules_are_repaired_and_remember_what_they_were(taught):
    scholar = Scholar()
    with loopback(scholar) as server:
        project = taught(server.address, synthesize__moves=["augment"])
        found = synthesize_project(project, Silence())
    assert found is not None
    repaired = {one.example: one for one in found.batch.provenance if one.refiner}
    assert repaired
    assert all(one.move == "augment" for one in repaired.values())
    for row in found.batch.rows:
        if row.id in repaired:
            text = row.prompt[-1].content
            assert text.startswith("please: ")
            assert repaired[row.id].unrefined in text
    assert not any(one.refiner for one in found.batch.provenance if one.move == "noise"), "noise stays noise"


def test_nothing_that_measures_leaves_the_project(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address)
        found = synthesize_project(project, Silence())
    assert found is not None
    sent = json.dumps(server.asked)
    seeds = gather(project)
    protected = {row.prompt[-1].content for row in seeds.protected}
    assert protected
    assert not [text for text in protected if text in sent]
    assert any(row.prompt[-1].content in sent for row in seeds.of("train"))


def test_rows_are_data_in_a_question_and_never_in_its_rules(taught):
    with loopback(Scholar()) as server:
        synthesize_project(taught(server.address), Silence())
    rules = {body["messages"][0]["content"] for body in server.asked}
    assert all(json.loads(body["messages"][1]["content"]) for body in server.asked if len(body["messages"]) == 2)
    assert len(rules) <= 10, "the rules differ by kind of question and number of rows only"
    assert not any("deposit" in text or "password" in text for text in rules)


def test_a_teacher_that_gives_orders_in_its_rows_puts_none_of_them_into_the_batch(taught):
    """D14: neither the rows nor their verdicts follow an order that stands in a text."""
    with loopback(Scholar(write="orders")) as server:
        project = taught(server.address, synthesize__moves=["teacher"], teacher__most_unusable=1.0)
        found = synthesize_project(project, Silence())
    assert found is not None
    assert not any(one.move == "teacher" for one in found.batch.provenance)
    assert not any("instructions" in row.prompt[-1].content for row in found.batch.rows)
    assert any("of no use: orders" in note for note in found.notes)


def test_rows_that_say_other_than_their_label_are_solved_otherwise(taught):
    with loopback(Scholar(write="mislabel")) as server:
        found = synthesize_project(taught(server.address, synthesize__moves=["teacher"]), Silence())
    assert found is not None
    assert not any(one.move == "teacher" for one in found.batch.provenance)
    reasons = found.batch.report.by_reason
    assert reasons.get("solved-otherwise", 0) + reasons.get("disagreed", 0) >= 15


def test_a_lying_verifier_drops_rows_and_its_worth_on_rows_of_people_says_so(taught):
    with loopback(Scholar(answer="lie")) as server:
        found = synthesize_project(taught(server.address), Silence())
    assert found is not None
    assert found.batch.report.num_kept == 0
    assert found.verified["solver"]["agrees_with_people"]["value"] == 0.0


def test_another_model_can_verify(taught):
    with loopback(Scholar()) as server, loopback(Scholar()) as other:
        project = taught(
            server.address,
            verifier__base_url=other.address,
            verifier__model="other-1",
            verifier__usd_per_million_input=0.0,
            verifier__usd_per_million_output=0.0,
        )
        synthesize_project(project, Silence())
        kinds = [body["messages"][0]["content"].split()[1] for body in server.asked]
        others = [body["messages"][0]["content"].split()[1] for body in other.asked]
    assert set(kinds) == {"write", "repair"}
    assert set(others) == {"answer"}
    assert {body["model"] for body in other.asked} == {"other-1"}


def test_a_teacher_that_refuses_everything_stops_the_batch_with_the_reason(taught):
    """D15: a rate of useless replies over the limit is no batch but an error."""
    with loopback(Scholar(write="refuse")) as server:
        project = taught(server.address, synthesize__moves=["teacher"], synthesize__rows=200, synthesize__growth=4.0)
        with pytest.raises(ServiceError, match="replies of scripted-1 are of no use, the last: it is no JSON object"):
            synthesize_project(project, Silence())


@pytest.mark.parametrize("point", ["teacher.received@2", "teacher.kept@9", "teacher.kept@30"])
def test_a_killed_batch_goes_on_without_paying_twice_and_ends_as_the_undisturbed_one(point, taught, tmp_path):
    with loopback(Scholar()) as server:
        project = taught(server.address, teacher__concurrency=1)
        folder = project.folder
        name, _, hit = point.partition("@")

        def work():
            synthesize_project(open_project(folder), Silence())

        assert in_child(work, f"{name}=kill@{hit}") == KILLED
        before = len(server.asked)
        found = synthesize_project(open_project(folder), Silence())
        questions = [json.dumps(body, sort_keys=True) for body in server.asked]
    assert found is not None
    assert before < len(questions)
    repeated = len(questions) - len(set(questions))
    assert repeated <= 1, "only a reply that was received and not yet kept may be asked for again"
    assert not (repeated and name == "teacher.kept")


def test_a_batch_stops_before_its_budget_and_goes_on_when_there_is_more(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address, budget__teacher_tokens=6000)
        with pytest.raises(BudgetError, match="Nothing was spent on it"):
            synthesize_project(project, Silence())
        assert 0 < spent(project)["tokens"] <= 6000
        before = len(server.asked)
        assert before
        richer = open_project(project.folder, ["budget.teacher_tokens=10000000"])
        assert synthesize_project(richer, Silence()) is not None
        questions = [json.dumps(body, sort_keys=True) for body in server.asked]
    assert len(set(questions)) == len(questions) > before


def test_a_dry_run_quotes_the_cost_shows_the_first_question_and_sends_nothing(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address)
        found = propose(project, Silence())
        assert server.asked == []
        assert synthesize_project(project, Silence()) is not None
        asked = len(server.asked)
    assert found.quote is not None
    assert found.quote.writes + found.quote.repairs + found.quote.solves >= asked
    assert found.quote.most_usd >= spent(project)["usd"] > 0
    assert "You write new messages" in found.quote.first
    assert '"labels"' in found.quote.first


def test_a_quote_bounds_a_batch_of_a_teacher_alone_too(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address, synthesize__moves=["teacher"])
        found = propose(project, Silence()).quote
        assert synthesize_project(project, Silence()) is not None
        asked = len(server.asked)
    assert found is not None
    assert found.writes + found.repairs + found.solves >= asked
    assert found.most_usd >= spent(project)["usd"]


def test_a_raised_budget_makes_the_batch_that_there_is_money_for(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address, budget__usd=0.12)
        small = synthesize_project(project, Silence())
        rich = synthesize_project(open_project(project.folder, ["budget.usd=50"]), Silence())
    assert small is not None
    assert rich is not None
    assert rich.plan.num_rows > small.plan.num_rows
    assert rich.name != small.name


def test_a_host_outside_this_machine_needs_its_users_word_once(taught, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DESK_KEY", "sk-1")
    project = taught("https://teacher.example.com/v1", teacher__key_env="DESK_KEY")
    with pytest.raises(ConfigError, match=r"and the key in DESK_KEY would go to https://teacher") as error:
        synthesize_project(project, Silence())
    assert "burnish teacher --allow" in error.value.hint
    (before,) = standings(project)
    assert (before.is_allowed, before.has_key) == (False, True)
    assert allow_all(project) == ["https://teacher.example.com"]
    assert standings(project)[0].is_allowed
    other = settings_with(project.settings, {"teacher.key_env": "OTHER_KEY"})
    assert not standings(Project(folder=project.folder, settings=other, store=project.store))[0].is_allowed


def test_a_move_that_needs_a_teacher_says_that_there_is_none(taught):
    project = taught("", teacher__model="", synthesize__moves=["teacher"])
    with pytest.raises(ConfigError, match="no teacher is set"):
        synthesize_project(project, Silence())


def test_an_endpoint_is_tried_with_one_question(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address)
        (trial,) = try_endpoints(project, Silence())
        assert trial.fault == ""
        assert json.loads(trial.text)["answer"] == trial.expected
        assert trial.usd == pytest.approx(180e-6)
        (kept,) = newest(project, 5)
        assert kept["model"] == "scripted-1"
    assert len(server.asked) == 1


def test_a_project_without_endpoints_says_so(small_project):
    with pytest.raises(ConfigError, match="no teacher is set"):
        standings(small_project)


def test_settings_name_a_model_beside_an_address():
    with pytest.raises(ValueError, match="base_url needs the name of a model"):
        EndpointSettings(base_url="http://localhost:1/v1")


def test_every_reply_is_kept_in_the_project(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address)
        synthesize_project(project, Silence())
    assert len(newest(project, 1000)) == len(server.asked)


def test_a_plan_fits_into_the_money_and_stays_the_same_while_it_is_spent(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address, budget__usd=0.12)
        rich = open_project(project.folder, ["budget.usd=50"])
        full = propose(rich, Silence())
        small = propose(project, Silence())
        assert 0 < small.plan.num_rows < full.plan.num_rows
        assert small.plan.limited_by == "money"
        found = synthesize_project(project, Silence())
        assert found is not None
        assert found.plan == small.plan
        assert spent(project)["usd"] <= 0.12
        before = len(server.asked)
        assert synthesize_project(project, Silence()) is not None
    assert len(server.asked) == before


@pytest.fixture
def about_letters():
    """A weak slice of texts, and one of a column."""
    nothing = Interval(value=None, low=None, high=None, n=0)
    weak = Weakness(
        name="text: letter, decision, ruling, hearing",
        kind="text",
        terms=("letter", "decision", "ruling", "hearing"),
        found=nothing,
        checked=nothing,
        p_holm=None,
        confirmed=False,
        prevalence=0.3,
        shrunk_error=0.5,
        priority=0.1,
    )
    return (weak, replace(weak, name="channel=web", kind="declared", terms=()))


def test_a_teacher_names_slices_of_texts_from_rows_of_train_alone(taught, about_letters):
    with loopback(Scholar()) as server:
        project = taught(server.address)
        shop = shop_outside_rounds(project, Silence(), lambda: False)
        found = replace(EMPTY, weaknesses=about_letters)
        named = name_slices(shop, found)
        assert [one.name for one in named.weaknesses] == [
            "text: About letter (letter, decision, ruling)",
            "channel=web",
        ]
        assert name_slices(shop, found) == named
    assert len(server.asked) == 1
    shown = json.loads(server.asked[0]["messages"][1]["content"])["messages"]
    train = {row.prompt[-1].content for row in shop.seeds.of("train")}
    assert shown
    assert set(shown) <= train


def test_an_endpoint_that_is_down_leaves_slices_their_terms(taught, about_letters):
    with loopback(lambda number, body: fail(401)) as server:
        project = taught(server.address)
        shop = shop_outside_rounds(project, Silence(), lambda: False)
        found = replace(EMPTY, weaknesses=about_letters)
        assert name_slices(shop, found) == found


def test_a_round_with_a_teacher_tells_its_cost_and_what_its_verifier_is_worth(taught):
    with loopback(Scholar()) as server:
        project = taught(server.address, synthesize__take_unaudited=True, synthesize__compare=False)
        result, is_new = run_round(project, Silence())
        asked = len(server.asked)
        cheaper = open_project(project.folder, ["teacher.concurrency=1", "teacher.usd_per_million_input=0.5"])
        again, is_new_again = run_round(cheaper, Silence())
    assert (is_new, is_new_again) == (True, False)
    assert again.round == result.round
    assert len(server.asked) == asked
    report = json.loads((project.store.root / "rounds" / "001" / "report.json").read_text(encoding="utf-8"))
    assert report["synthesis"]["verified"]["solver"]["agrees_with_people"]["value"] == 1.0
    (cost,) = [one for one in report["costs"] if one["stage"] == "teacher"]
    assert cost["cost"]["usd"] == pytest.approx(asked * 180e-6)
