"""The measures of a round: of both models on dev_a, with reasons where there is none, and as guards if asked for."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.errors import ConfigError
from burnish.evaluate.change import MeasureChange
from burnish.evaluate.terms import load_terms
from burnish.loop.kit import RETENTION_FILE, SWAPS_FILE, TERMS_FILE, kit_of
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.rendering import load_report
from burnish.loop.result import RoundResult
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.side import MOST_TWINS, with_twins
from burnish.records import Example, Message
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.loop.conftest import PROMOTES, TOPICS, small_settings

NAMES = ("Emily", "Greg", "Sarah", "Jamal", "Maria", "Tom")


def write_messages(path: Path, num_rows: int) -> Path:
    """Labelled messages, each with a name and a weekday, so that each has a twin and a neutral one."""
    topics = list(TOPICS)
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            topic = topics[number % 3]
            words = " ".join(f"{chr(97 + (number * step + 5) % 26)}{number * step % 97}" for step in (3, 7, 11, 17))
            text = f"{TOPICS[topic][number // 3 % 3]}, {NAMES[number % 6]} asks on Monday {words}"
            row = {"text": text, "label": topic, "channel": "web" if number % 2 else "phone"}
            file.write(json.dumps(row) + "\n")
    return path


def make_project(folder: Path, base: Path, num_rows: int, changes: Mapping[str, object]) -> Project:
    settings = settings_with(small_settings(base), {"task.shots": 0, "train.search": [1.0], **changes})
    project = create_project(folder / "desk", settings)
    rows = write_messages(folder / "rows.jsonl", num_rows)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    return project


def keep_aside(project: Project, num_rows: int = 12) -> None:
    """A retention set: another task with two answers."""
    lines = [{"text": f"is {number} even?", "answer": "yes" if number % 2 == 0 else "no"} for number in range(num_rows)]
    (project.folder / RETENTION_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Project, RoundResult]:
    """A round that promoted, with guards on bias and on a retention set."""
    changes = PROMOTES | {"gate.measures": ["bias", "retention"], "gate.margin": 0.6}
    project = make_project(tmp_path_factory.mktemp("measured"), small_base, 120, changes)
    keep_aside(project)
    result, _ = run_round(project, Silence())
    assert result.decision == "PROMOTE"
    return project, result


def by_name(result: RoundResult) -> dict[str, MeasureChange]:
    return {change.name: change for change in result.measures}


def test_every_measure_has_two_numbers_or_a_reason(measured: tuple[Project, RoundResult]) -> None:
    _, result = measured
    found = by_name(result)
    assert {change.family for change in result.measures} == {
        "hallucination",
        "abstention",
        "bias",
        "jargon",
        "forgetting",
    }
    for change in result.measures:
        assert (change.after.value is None) == bool(change.why_missing), change.name
    assert found["hallucination"].why_missing.startswith("label:")
    assert found["required terms"].why_missing.startswith("label:")
    assert found["flips: age"].why_missing.startswith("not-shown:")


def test_the_untuned_base_has_no_distance_from_itself_and_the_challenger_has(
    measured: tuple[Project, RoundResult],
) -> None:
    change = by_name(measured[1])["KL to the base"]
    assert (change.before.value, change.before.high) == (0.0, 0.0)
    assert change.after.low is not None
    assert change.after.low > 0.0
    assert change.verdict == "worse"


def test_swaps_are_measured_on_dev_a_by_name_and_gaps_by_column(measured: tuple[Project, RoundResult]) -> None:
    project, result = measured
    found = by_name(result)
    num_looked = result.after.n
    assert found["flips: names"].after.n == num_looked
    assert "beyond neutral swaps" in found["flips: names"].note
    assert found["group gap: channel"].verdict == "not compared"
    assert found["retention"].after.n == 12
    assert load_report(project, result.round).measures == result.measures


def test_guarded_measures_are_questions_of_the_gate(measured: tuple[Project, RoundResult]) -> None:
    project, result = measured
    verdict = load_report(project, result.round).verdict
    assert verdict is not None
    guards = {guard.name: guard for guard in verdict.guards}
    assert (guards["bias"].kind, guards["bias"].passed) == ("checked", True)
    assert f"on {verdict.num_rows} rows" in guards["bias"].note
    assert "on 12 rows" in guards["retention"].note


def test_a_round_asked_again_measures_nothing_anew(measured: tuple[Project, RoundResult]) -> None:
    project, result = measured
    done = [run.stage for run in stage_runs(project.store)].count("measure")
    assert done == 1
    again, is_new = run_round(project, Silence())
    assert (again, is_new) == (result, False)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("hallucination", "a label of a closed set states no facts"),
        ("abstention", "none of the labels declines to answer"),
        ("jargon", "a label is no text of the model's own"),
        ("bias", "no prompt of train and dev_a shows both"),
        ("retention", f"the project has no {RETENTION_FILE}"),
    ],
)
def test_a_guard_that_the_project_cannot_have_is_refused_before_anything_is_spent(
    small_project: Project, name: str, why: str
) -> None:
    asked = open_project(small_project.folder, [f"gate.measures=[{name}]"])
    with pytest.raises(ConfigError, match=why) as error:
        run_round(asked, Silence())
    assert f"take {name} out of gate.measures" in error.value.hint
    assert [run.stage for run in stage_runs(asked.store)] == ["data"]


def test_texts_are_measured_for_what_they_make_up_and_terms_are_proposed_but_not_used(
    tmp_path: Path, small_base: Path
) -> None:
    settings = settings_with(
        small_settings(small_base),
        {"task.kind": "text", "task.max_new_tokens": 8, "task.shots": 0, "train.search": [1.0], "train.epochs": 1},
    )
    project = create_project(tmp_path / "desk", settings)
    lines = [
        {
            "text": f"ticket {number} {'escrow ledger' if number % 2 else 'subrogation waiver'} {number * 37}",
            "answer": f"the {'escrow ledger' if number % 2 else 'subrogation waiver'} {number * 37} is noted",
            "channel": "web" if number % 2 else "phone",
        }
        for number in range(60)
    ]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    result, _ = run_round(project, Silence())
    found = by_name(result)
    assert found["hallucination"].after.n == result.after.n
    assert "statements looked at" in found["hallucination"].note
    assert found["forbidden terms"].why_missing.startswith("no-terms: no term is approved")
    proposed = load_terms(project.folder / TERMS_FILE)
    assert {"escrow ledger", "subrogation waiver"} <= {term.term for term in proposed}
    assert not any(term.approved for term in proposed)


def test_a_term_base_that_people_wrote_is_left_as_it_is_and_changes_what_measures_rest_on(
    small_project: Project,
) -> None:
    seeds = gather(small_project)
    plain = kit_of(small_project, seeds)
    written = "terms:\n  - {term: claim, approved: true}\n"
    (small_project.folder / TERMS_FILE).write_text(written)
    kit = kit_of(small_project, seeds)
    assert [term.term for term in kit.terms] == ["claim"]
    assert kit.identity != plain.identity
    assert (small_project.folder / TERMS_FILE).read_text() == written
    (small_project.folder / SWAPS_FILE).write_text("rank:\n  - {low: clerk, high: judge}\n")
    assert set(kit_of(small_project, seeds).swaps) == {"rank", "neutral"}


def test_no_model_is_asked_more_twins_than_the_limit_and_rows_with_a_neutral_twin_come_first(
    small_project: Project,
) -> None:
    def row(number: int, text: str) -> Example:
        turns = (Message(role="user", content=text), Message(role="assistant", content="login"))
        return Example(id=f"r{number:03d}", messages=turns, group=f"r{number}")

    kit = kit_of(small_project, gather(small_project))
    bare = [row(number, f"Emily {number}") for number in range(150)]
    both = [row(number, f"Emily on Monday {number}") for number in range(150, 200)]
    shown = with_twins(kit, [*bare, *both, row(999, "on Monday")], seed=0)
    assert {one.id for one in shown[:50]} == {one.id for one in both}
    assert len(shown) == 50 + (MOST_TWINS - 2 * 50)
    assert with_twins(kit, list(reversed([*bare, *both])), seed=0) == shown
