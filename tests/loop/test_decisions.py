"""What people decided trains and measures the next round, until they take it back; a round waits for people."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from burnish.budget import Budget
from burnish.data.dataset import load_examples
from burnish.data.intake import add_files
from burnish.errors import WaitingError
from burnish.loop.minutes import charge_minutes
from burnish.loop.past import results, round_key
from burnish.loop.project import Project, create_project, open_project, settings_with
from burnish.loop.rendering import load_report
from burnish.loop.reviewing import plan_reviews
from burnish.loop.round import run_round
from burnish.loop.seeds import DECISIONS, gather
from burnish.loop.synthesizing import synthesize_project
from burnish.loop.trusted import latest_audits
from burnish.records import Example
from burnish.registry import models
from burnish.store.batches import batches
from burnish.store.claims import Wish, decide_item, undo_decision
from burnish.store.reviews import ReviewItem, add_items, review_items
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import TOPICS, small_settings, write_rows

NO_ROWS = {"synthesize.rows": 0}
MOST_TRAINS = {
    "roles__train": 0.74,
    "roles__dev_a": 0.08,
    "roles__dev_b": 0.08,
    "roles__vault": 0.10,
    "roles__audit": 0.0,
}
"""Shares under which 90 rows have pairs enough."""


def desk(folder: Path, base: Path, num_rows: int = 150, **changes: object) -> Project:
    """A project with data."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    made = create_project(folder, settings_with(small_settings(base), NO_ROWS | named))
    add_files(made.store, made.settings, [write_rows(folder / "rows.jsonl", num_rows)], Silence(), skip_bad=False)
    return made


@pytest.fixture
def project(tmp_path: Path, small_base: Path) -> Project:
    return desk(tmp_path / "desk", small_base, 90)


def ask(project: Project, name: str, row: Example, **changes) -> str:
    fields = {"queue": "correction", "purpose": "gold", "draft": row.answer, "given": row.answer, "role": "train"}
    item = ReviewItem(name=name, example=row.id, messages=row.prompt, **(fields | changes))
    add_items(project.store, [item])
    return name


def answer(project: Project, name: str, kind: str, text: str = "", by: str = "ann", seconds: float = 30.0) -> None:
    decide_item(project.store, name, by, 1, Wish(kind, text, seconds=seconds), now_s=0.0)


def other_than(label: str) -> str:
    return next(name for name in TOPICS if name != label)


def test_decisions_change_what_is_learned_and_the_rounds_key_until_they_are_taken_back(project):
    before = gather(project)
    key, (row, stranger, *_) = round_key(project, before), before.of("train")
    right = other_than(row.answer)
    answer(project, ask(project, "a", row), "edit", right)
    answer(project, ask(project, "b", stranger), "out-of-scope")
    after = gather(project)
    assert [one.answer for one in after.of("train") if one.id == row.id] == [right]
    assert stranger.id not in {one.id for one in after.learned}
    assert stranger.id in {one.id for one in after.of("aside")}
    assert len(after.learned) == len(before.learned) - 1, "the corrected row is not learned twice"
    assert round_key(project, after) != key
    assert [one.answer for one in load_examples(project.store) if one.id == row.id] == [row.answer], "the file keeps it"
    for name in "ab":
        undo_decision(project.store, name, "ann", 1, now_s=0.0)
    again = gather(project)
    assert (again.by_role, again.data, round_key(project, again)) == (before.by_role, before.data, key)


def test_dev_a_is_measured_by_what_two_people_say_and_is_not_asked_about_again(project):
    row = gather(project).of("dev_a")[0]
    right, blind = other_than(row.answer), {"queue": "blind", "draft": "", "role": "dev_a", "wanted": 2}
    ask(project, "a", row, **blind)
    answer(project, "a", "label", right)
    assert DECISIONS not in gather(project).data
    answer(project, "a", "label", right, by="bob")
    assert [one.answer for one in gather(project).of("dev_a") if one.id == row.id] == [right]
    asked = [one for one in plan_reviews(project, count=40).items if one.purpose == "gold"]
    assert row.id not in {one.example for one in asked}


def test_an_answer_in_peoples_words_never_repeats_a_protected_text(tmp_path, small_base):
    project = desk(tmp_path / "desk", small_base, 90, task__kind="text")
    seeds = gather(project)
    row, other, sealed = seeds.of("train")[0], seeds.of("train")[1], seeds.of("vault_1")[0]
    answer(project, ask(project, "a", row), "edit", f"As was written: {sealed.prompt[-1].content}")
    answer(project, ask(project, "b", other), "edit", "Someone will call you back on Tuesday about this.")
    after = {one.id: one.answer for one in gather(project).of("train")}
    assert after[row.id] == row.answer
    assert after[other.id].startswith("Someone will call")


def test_what_people_make_of_a_made_row_takes_its_place(tmp_path, small_base):
    project = desk(tmp_path / "desk", small_base, 90, synthesize__rows=20, synthesize__take_unaudited=True)
    assert synthesize_project(project, Silence()) is not None
    made = gather(project).trusted.rows[0]
    right, audit = other_than(made.answer), {"queue": "blind", "purpose": "audit", "draft": "", "role": "synthetic"}
    answer(project, ask(project, "a", made, **audit, batch="none"), "label", right)
    learned = gather(project).learned
    assert made.id not in {one.id for one in learned}
    assert [(one.prompt, one.answer) for one in learned if one.group == made.id] == [(made.prompt, right)]


def test_minutes_of_people_are_charged_once_to_the_round_and_bound_what_is_asked(project):
    row = gather(project).of("train")[0]
    answer(project, ask(project, "a", row), "accept", seconds=120.0)
    result, _ = run_round(project, Silence())
    assert result.cost.reviewer_minutes == pytest.approx(2.0)
    budget = Budget(store=project.store, settings=project.settings.budget)
    assert charge_minutes(project, budget, 2) == 0.0
    assert load_report(project, 1).review.minutes == pytest.approx(2.0)
    tight = with_settings(project, {"budget.reviewer_minutes": 5.0})
    planned = plan_reviews(tight, count=60)
    assert planned.is_limited
    assert 0 < planned.minutes <= 3.0
    assert plan_reviews(tight, count=60).num_new == 0, "what waits takes the rest"


def with_settings(project: Project, changes: dict[str, object]) -> Project:
    return replace(project, settings=settings_with(project.settings, changes))


# Preferences ----------------------------------------------------------------------------------------------------------


def prefer(project: Project, objective: str, count: int | None = None) -> int:
    """People's pairs or thumbs on rows of train; returns how many."""
    rows = list(gather(project).of("train"))[:count]
    for at, row in enumerate(rows):
        wrong, name = other_than(row.answer), f"q{at}"
        if objective == "dpo":
            ask(project, name, row, queue="preference", purpose="preference", draft=wrong, other=row.answer)
            answer(project, name, "prefer-b")
        else:
            ask(project, name, row, draft=row.answer if at % 2 else wrong, purpose="draft")
            answer(project, name, "accept" if at % 2 else "reject")
    return len(rows)


def preferring(folder: Path, base: Path, objective: str) -> Callable[[], None]:
    """A life in which the project, its decisions and a round are made; every call may be given again."""

    def live() -> None:
        if not (folder / "burnish.yaml").exists():
            quick = {"train__checkpoint_every_s": 0.05, "train__search": [1.0], "train__lr": 0.01}
            prefer(desk(folder, base, 90, train__objective=objective, **quick, **MOST_TRAINS), objective)
        run_round(open_project(folder), Silence())

    return live


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, small_base) -> Callable[[str], Path]:
    """A project whose round learned under an objective, made once."""

    @cache
    def made(objective: str) -> Path:
        folder = tmp_path_factory.mktemp(objective) / "desk"
        preferring(folder, small_base, objective)()
        return folder

    return made


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_preferences_are_learned_after_examples_from_the_adapter_that_these_made(objective, undisturbed):
    folder = undisturbed(objective)
    report = load_report(open_project(folder), 1)
    assert [trial.candidate.name for trial in report.trials] == ["a", f"a-{objective}1"]
    examples, last = report.trials
    assert last.candidate.lr == pytest.approx(examples.candidate.lr / 25)
    assert last.dev_score is not None
    held_out = [point.dev_loss for point in last.curve if point.dev_loss is not None]
    assert min(held_out) < held_out[0]
    assert "dev_b chose a" in report.review.preferred


def test_a_round_that_is_killed_while_it_learns_preferences_ends_the_same(undisturbed, tmp_path, small_base):
    objective, folders = "dpo", [undisturbed("dpo"), tmp_path / "two"]
    steps = 2 * -(-load_report(open_project(folders[0]), 1).data.roles["train"] // 8)
    assert in_child(preferring(folders[1], small_base, objective), f"train.step=kill@{steps + 6}") == KILLED
    assert [run.stage for run in stage_runs(open_project(folders[1]).store) if run.status != "done"] == ["prefer"]
    assert in_child(preferring(folders[1], small_base, objective)) == 0
    ended = [[(run.stage, run.content_hash) for run in stage_runs(open_project(one).store)] for one in folders]
    assert ended[0] == ended[1]


def test_too_few_pairs_and_what_nobody_has_shown_are_said(tmp_path, small_base):
    project = desk(tmp_path / "desk", small_base, 90, train__objective="dpo", synthesize__rows=20)
    num_pairs = prefer(project, "dpo", 7)
    result, _ = run_round(project, Silence())
    told = load_report(project, 1).review
    assert told.preferred.startswith(f"{num_pairs} pairs are too few: dpo needs 60")
    assert any("its rows trained nothing" in sentence for sentence in told.unproven)
    assert any("Nobody has checked the answers on file of dev_a" in sentence for sentence in told.unproven)
    assert DECISIONS in next(one for one in models(project.store) if one.name == result.challenger).data


# Waiting --------------------------------------------------------------------------------------------------------------


def test_a_round_asks_waits_for_audit_and_labels_and_goes_on_with_the_same_batch(tmp_path, small_base):
    project = desk(
        tmp_path / "desk", small_base, synthesize__rows=40, synthesize__audit_needed=0.8, review__per_round=20
    )
    with pytest.raises(WaitingError, match="is waiting for") as caught:
        run_round(project, Silence())
    assert caught.value.exit_code == 4
    assert "for the audit of synthetic-r1-" in caught.value.message
    assert "blind labels" in caught.value.message
    asked = review_items(project.store)
    with pytest.raises(WaitingError):
        run_round(project, Silence())
    assert review_items(project.store) == asked, "a round asks once"
    row = gather(project).of("train")[0]
    answer(project, ask(project, "mine", row), "edit", other_than(row.answer))  # another plan than before
    hard = next(item for item in asked if item.purpose == "audit")
    for by in ("ann", "bob"):
        answer(project, hard.name, "skip", by=by)
    for item in asked:
        if item.queue == "blind" and item is not hard:
            for by in ("ann", "bob")[: item.wanted]:
                answer(project, item.name, "label", item.given, by=by)
    assert run_round(project, Silence())[1]
    made = [batch.name for batch in batches(project.store) if batch.name.startswith("synthetic-r1-")]
    assert len(made) == 1
    report = load_report(project, 1)
    assert report.synthesis.state == "accepted"
    (audit,) = latest_audits(project).values()
    assert (audit.correct, audit.wrong) == (audit.n - 1, (hard.example,))
    assert report.review.num_corrected == {"train": 1}
    assert report.review.unproven == ()
    assert run_round(project, Silence()) == (results(project)[-1], False)
