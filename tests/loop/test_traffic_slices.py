"""Slices that traffic suggests: named by an alarm, judged by later requests alone, used once a person accepts them."""

import json
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.diagnose.diagnosis import Diagnosis
from burnish.errors import UsageError
from burnish.loop.integrity import check_log
from burnish.loop.past import round_key
from burnish.loop.project import Project, open_project
from burnish.loop.proposal import propose
from burnish.loop.reviewing import plan_traffic
from burnish.loop.round import run_round
from burnish.loop.seeds import gather
from burnish.loop.slice_candidates import candidate_slices, decide_slice
from burnish.loop.slice_wishes import by_terms
from burnish.loop.traffic_slices import TrafficSlice, mark_of, slices_in_use
from burnish.loop.watch_state import LOG_FILE
from burnish.loop.watching import watch_project
from burnish.records import Example, Interval, Message, Weakness
from burnish.store.claims import Wish, decide_item
from burnish.synthesize.plan import plan_cells
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.cli.calls import burnish
from tests.loop.conftest import TOPICS
from tests.loop.test_watching import FAR, QUICK, WINDOW, ask

NOTHING = Interval(value=None, low=None, high=None, n=0)
PLACES = ("slice.decided",)
"""Failpoints of a decision; the sweep over a round leaves them to this file."""
WHO = {"by": "ann", "reason": "users ask it"}


@pytest.fixture
def desk(small_project: Project) -> Project:
    """A project with a window of requests of another world, looked at."""
    project = open_project(small_project.folder, QUICK)
    ask(project, WINDOW, far=True)
    watch_project(project, Silence())
    return project


def text_of_number(number: int) -> str:
    """What `ask` asks at this number, of many kinds."""
    return FAR.format(number % 7, number)


def test_an_alarm_suggests_one_slice_by_terms_that_usual_texts_do_not_hold(desk):
    (one,) = candidate_slices(desk)
    assert set(one.terms) <= {"volcano", "glacier", "basalt", "magma", "moraine", "eruption"}
    assert (one.name, one.state, one.share.value, one.usual.value) == (one.terms[0], "candidate", 1.0, 0.0)
    assert (one.later.n, one.evidence, one.is_confirmed) == (0, 1.0, False)
    assert one.bar == pytest.approx(2 / desk.settings.watch.alpha)
    assert gather(desk).slices == (), "nothing is used before a person accepts it"


def test_texts_that_suggested_a_slice_never_confirm_it_and_later_ones_do(desk):
    ask(desk, WINDOW, far=True, start=2 * WINDOW)  # the same texts as in the window
    (same,) = candidate_slices(desk)
    assert (same.later.n, same.is_confirmed) == (0, False)
    ask(desk, 2, far=True, start=WINDOW * 3, kinds=10**6)
    ask(desk, WINDOW, far=False, start=900)
    (some,) = candidate_slices(desk)
    assert (some.later.n, some.is_confirmed) == (52, False), "two of 52 prove nothing"
    ask(desk, WINDOW, far=True, start=2000, kinds=10**6)
    (one,) = watch_project(desk, Silence()).slices
    assert one.num_alarms > same.num_alarms, "later alarms about the same terms suggest no second slice"
    assert one.later.n == 102
    assert one.is_confirmed


def test_an_accepted_slice_is_measured_planned_for_and_reported_without_the_texts_that_suggested_it(desk, tmp_path):
    names, file = list(TOPICS), tmp_path / "labelled.jsonl"
    known = [text_of_number(number) for number in range(12)]  # labelled as `burnish watch --label` offers them
    fresh = [text_of_number(number) for number in range(5000, 5048)]
    rows = [{"text": text, "label": names[at % 3], "channel": "web"} for at, text in enumerate([*known, *fresh])]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    add_files(desk.store, desk.settings, [file], Silence(), skip_bad=False)
    before = round_key(desk, gather(desk))
    (one,) = candidate_slices(desk)
    assert decide_slice(desk, one.name, "accepted", **WHO).state == "accepted"
    seeds, column = gather(desk), f"traffic.{one.name}"
    assert (seeds.columns, seeds.declared) == (("channel", column), ("channel",))
    assert round_key(desk, seeds) != before
    marks = {mark_of(text) for text in known}
    inside = {role: [row for row in held if column in row.slices] for role, held in seeds.by_role.items()}
    texts = {role: {mark_of(row.prompt[-1].content) for row in held} for role, held in inside.items()}
    assert texts["train"] & marks, "it may learn from what suggested it"
    assert not any(texts[role] & marks for role in texts if role != "train")
    assert sum(len(held) for role, held in inside.items() if role != "train") >= 10
    result, _ = run_round(desk, Silence())
    told = next(place for place in result.slices if place.slice == f"{column}=yes")
    assert told.before.n == len(inside["dev_a"])


def test_rows_are_planned_by_its_terms_as_it_is_measured_or_though_too_few_of_its_rows_are(desk):
    (one,) = candidate_slices(desk)
    decide_slice(desk, one.name, "accepted", **WHO)
    seeds = gather(desk)
    (place,) = seeds.slices
    about = {role: [_about(row, place) for row in seeds.of(role)[:6]] for role in ("train", "dev_a", "dev_b")}
    few = replace(seeds, by_role={**seeds.by_role, "train": [*seeds.of("train"), *about["train"]]})
    many = replace(few, by_role={**few.by_role, "dev_a": about["dev_a"], "dev_b": about["dev_b"]})
    weak = Weakness(
        name=f"{place.column}=yes",
        kind="declared",
        columns={place.column: "yes"},
        found=NOTHING,
        checked=NOTHING,
        p_holm=0.01,
        confirmed=True,
        prevalence=0.3,
        shrunk_error=0.9,
        priority=0.1,
    )
    found = Diagnosis(
        model="m",
        metric="accuracy",
        num_looked=30,
        num_checked=30,
        num_wrong=12,
        weaknesses=(),
        causes={},
        num_suspects=None,
    )
    (measured,) = by_terms(replace(found, weaknesses=(weak,)), many)
    assert (measured.terms, measured.columns, measured.priority) == (place.terms, {}, 0.1)
    (unmeasured,) = by_terms(found, few)
    assert (unmeasured.prevalence, unmeasured.shrunk_error) == (1.0, pytest.approx(0.7))
    assert unmeasured.priority == pytest.approx(0.3)
    for weaknesses in ([measured], [unmeasured]):
        cells = plan_cells(weaknesses, few.of("train"), few.task).cells
        assert sum(cell.count for cell in cells if cell.terms == place.terms) > 0


def _about(row: Example, place: TrafficSlice) -> Example:
    """The row, about what a slice is about."""
    turn = Message(role="user", content=f"{place.terms[0]} {row.prompt[-1].content}")
    slices = {**row.slices, place.column: "yes"}
    return replace(row, id=f"about-{row.id}", messages=(turn, row.messages[-1]), slices=slices)


def test_a_slice_without_any_row_of_people_is_said_and_its_requests_are_asked_about_by_chance(desk):
    (one,) = candidate_slices(desk)
    decide_slice(desk, one.name, "accepted", **WHO)
    ask(desk, 30, far=True, start=3000, kinds=10**6)
    ask(desk, 30, far=False, start=4000)
    (note,) = [note for note in propose(desk, Silence()).plan.notes if note.startswith("traffic.")]
    assert "no row of people is in it" in note
    items = plan_traffic(desk, count=12).items
    drawn = [item for item in items if "more and more requests" in item.reason]
    assert len(drawn) == 6
    assert all(one.terms[0] in item.messages[-1].content and item.probability for item in drawn)
    for at, item in enumerate(drawn):
        answer = item.given if at < 2 else next(name for name in TOPICS if name != item.given)
        for number in range(item.wanted):
            decide_item(desk.store, item.name, f"reviewer {number}", 1, Wish("label", answer), now_s=0.0)
    (seen,) = candidate_slices(desk)
    known = sum(
        mark_of(text_of_number(number)) == mark_of(item.messages[-1].content)
        for item in drawn
        for number in range(WINDOW)
    )
    assert seen.answered.n == len(drawn) - known


def test_a_decision_is_kept_once_through_a_kill_may_be_changed_and_outlives_the_log_of_alarms(desk, tmp_path):
    (one,) = candidate_slices(desk)
    numbers = count()

    def copy() -> Project:
        return open_project(Path(shutil.copytree(desk.folder, tmp_path / str(next(numbers)))))

    project = copy()
    at = project.folder
    killed = in_child(lambda: decide_slice(open_project(at), one.name, "accepted", **WHO), "slice.decided=kill")
    assert (killed, slices_in_use(project)) == (KILLED, ())
    for _ in range(2):
        decide_slice(project, one.name, "accepted", **WHO)
    assert len(slices_in_use(project)) == 1
    (project.store.root / "logs" / LOG_FILE).unlink()
    assert decide_slice(project, one.name, "dismissed", by="eve", reason="it was a joke").by == "eve"
    assert (slices_in_use(project), gather(project).columns) == ((), ("channel",))
    assert check_log(project).breaks == ()


def test_what_cannot_be_decided_is_told_and_scripts_get_the_same(desk):
    (one,) = candidate_slices(desk)
    for name, said, told in (
        ("none", WHO, "there is no slice 'none'"),
        (one.name, WHO | {"reason": " "}, "needs a reason"),
        (one.name, WHO | {"by": ""}, "is no name"),
    ):
        with pytest.raises(UsageError, match=told):
            decide_slice(desk, name, "accepted", **said)
    listed = burnish("slices", "list", "--project", desk.folder, "--json").data["slices"]
    assert [(row["name"], row["state"], row["is_confirmed"]) for row in listed] == [(one.name, "candidate", False)]
    call = burnish("slices", "dismiss", one.name, "--by", "ann", "--reason", "x", "--project", desk.folder, "--json")
    assert (call.code, call.data["slice"]["state"]) == (0, "dismissed")
