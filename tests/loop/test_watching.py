"""The monitor over a project's traffic: alarms once, through kills, and to those who were allowed to hear of them."""

import json
import threading
from pathlib import Path

import pytest

from burnish.client.webhook import allow_webhook
from burnish.errors import DamagedError, UsageError
from burnish.loop.accepting import accept, reset, rows_to_label
from burnish.loop.project import Project, open_project
from burnish.loop.requests import different_texts
from burnish.loop.watch_state import LOG_FILE, STATE_FILE, load_state, logged_alarms
from burnish.loop.watching import Watched, watch_file, watch_project
from burnish.records import Message
from burnish.store.traffic import Remark, Spoken, append_feedback, append_traffic
from burnish.talk import Silence
from tests.child import KILLED, end_of, start_child
from tests.heard import Heard
from tests.loop.conftest import TOPICS
from tests.loopback import Act, fail, loopback

WINDOW = 50
QUICK = [f"watch.window={WINDOW}", "watch.timeout_s=2"]
PLACES = ("watch.alarm", "watch.state")
"""Failpoints of a look; the sweep over a round leaves them to this file."""
FAR = "volcano glacier {} basalt magma {} moraine eruption"


def ask(project: Project, count: int, *, far: bool, start: int = 0, kinds: int = WINDOW) -> None:
    """So many requests to the base, of the project's own kind or, so many different ones, of another world."""
    names = list(TOPICS)
    rows = []
    for number in range(start, start + count):
        topic = names[number % 3]
        words = " ".join(f"{chr(97 + (number * step + 5) % 26)}{number * step % 97}" for step in (3, 7, 11, 17, 23))
        text = FAR.format(number % kinds % 7, number % kinds) if far else f"{TOPICS[topic][number // 3 % 3]} {words}"
        rows.append(
            Spoken(
                response_id=f"r{number}",
                at="2026-11-30T10:00:00Z",
                model="base",
                messages=(Message(role="user", content=text),),
                answer=topic,
                seconds=0.1,
                num_answer=3,
                probability=1.0,
                expires_at="2999-01-01T00:00:00Z",
            )
        )
    append_traffic(project.store, rows)


@pytest.fixture
def desk(small_project: Project) -> Project:
    """A project whose windows are small."""
    return open_project(small_project.folder, QUICK)


def look(project: Project, *changes: str) -> Watched:
    return watch_project(open_project(project.folder, [*QUICK, *changes]), Silence())


def test_traffic_of_the_same_kind_is_looked_at_in_whole_windows_and_alarms_nothing(desk):
    ask(desk, 2 * WINDOW + 10, far=False, start=90)
    first = look(desk)
    assert [(seen.first, seen.last) for seen in first.windows] == [(1, 50), (51, 100)]
    assert (first.alarms, first.num_waiting) == ((), 10)
    again = look(desk)
    assert (again.windows, again.alarms, again.num_waiting) == ((), (), 10)


def test_traffic_of_another_world_alarms_with_evidence_an_action_and_rows_to_label(desk):
    ask(desk, WINDOW, far=True)
    found = look(desk)
    signals = {alarm.reading.signal for alarm in found.alarms}
    assert {"input", "outsiders"} <= signals
    outsiders = next(alarm for alarm in found.alarms if alarm.reading.signal == "outsiders")
    assert outsiders.reading.e_value >= outsiders.reading.bar
    assert outsiders.clusters
    assert set(outsiders.clusters[0].terms) & {"volcano", "glacier", "basalt", "magma", "moraine", "eruption"}
    assert "--label" in outsiders.command
    rows = rows_to_label(desk, 7)
    assert len(rows) == 7
    assert all("volcano" in row["text"] and row["answer"] == "" for row in rows)
    assert [alarm.id for alarm in logged_alarms(desk)] == [alarm.id for alarm in found.alarms]
    assert "volcano glacier" not in (desk.store.root / "logs" / LOG_FILE).read_text(), "the log holds no texts"


def test_what_was_asked_many_times_is_shown_and_labelled_once(desk):
    ask(desk, WINDOW, far=True, kinds=2)
    found = look(desk)
    rows = found.alarms[0].rows
    shown = different_texts(rows, found.texts)
    assert len(dict(shown)) == len(shown) < sum(times for _, times in shown) == len(rows)
    assert len(rows_to_label(desk)) == 2


def test_an_alarm_that_goes_on_is_not_new_and_one_that_was_accepted_ends(desk):
    ask(desk, WINDOW, far=True)
    assert all(alarm.is_new for alarm in look(desk).alarms)
    ask(desk, WINDOW, far=True, start=WINDOW)
    going_on = [alarm for alarm in look(desk).alarms if alarm.reading.signal == "input"]
    assert [alarm.is_new for alarm in going_on] == [False]
    assert accept(desk) == (1, 2 * WINDOW)
    ask(desk, WINDOW, far=True, start=2 * WINDOW)
    assert look(desk).alarms == ()
    reset(desk)
    ask(desk, WINDOW, far=True, start=3 * WINDOW)
    assert look(desk).alarms


def test_nothing_can_be_accepted_or_labelled_before_a_look(desk):
    with pytest.raises(UsageError, match="no window was looked at"):
        accept(desk)
    with pytest.raises(UsageError, match="no alarm names requests"):
        rows_to_label(desk)


@pytest.mark.parametrize("place", PLACES)
def test_a_look_that_is_killed_is_taken_again_with_the_same_alarms_each_logged_once(desk, place):
    ask(desk, 2 * WINDOW, far=True)
    assert end_of(start_child(lambda: look(desk), f"{place}=kill@2")) == KILLED
    look(desk)
    log = (desk.store.root / "logs" / LOG_FILE).read_bytes()
    ids = [alarm.id for alarm in logged_alarms(desk)]
    assert len(ids) == len(set(ids))
    assert {(alarm.reading.signal, alarm.window) for alarm in logged_alarms(desk)} >= {("input", 1), ("input", 2)}
    assert load_state(desk).seq == 2 * WINDOW
    look(desk)
    assert (desk.store.root / "logs" / LOG_FILE).read_bytes() == log


def test_half_a_line_of_a_kill_is_dropped_and_a_damaged_log_is_named(desk):
    ask(desk, WINDOW, far=True)
    look(desk)
    path = desk.store.root / "logs" / LOG_FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "half')
    ask(desk, WINDOW, far=True, start=WINDOW)
    look(desk)
    assert path.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in path.read_text().splitlines())
    path.write_bytes(b"no JSON\n" + whole)
    with pytest.raises(DamagedError, match=r"alarms\.jsonl cannot be read"):
        logged_alarms(desk)
    path.with_name(STATE_FILE).write_bytes(b"null")
    with pytest.raises(DamagedError, match=r"watch\.json cannot be read"):
        load_state(desk)


def test_many_wrong_answers_by_feedback_raise_the_risk_alarm_and_right_ones_do_not(desk):
    ask(desk, 40, far=False)
    for number in range(20):
        append_feedback(desk.store, f"r{number}", [Remark("up")])
    calm = look(desk, "watch.max_risk=0.2")
    assert (calm.alarms, calm.risk.interval.n) == ((), 20)
    for number in range(20, 40):
        append_feedback(desk.store, f"r{number}", [Remark("down")])
    found = look(desk, "watch.max_risk=0.2")
    assert [alarm.reading.signal for alarm in found.alarms] == ["risk"]
    assert (found.risk.interval.value, found.risk.interval.n) == (0.5, 40)
    assert look(desk, "watch.max_risk=0.2").alarms == (), "the same feedback alarms once"
    append_feedback(desk.store, "r39", [Remark("correction", "billing")])
    assert look(desk, "watch.max_risk=0.2").risk.interval.n == 40, "an answer counts once, whatever else is said of it"


def test_a_file_is_looked_at_without_leaving_anything(desk, tmp_path):
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"text": FAR.format(n, n)}) + "\n" for n in range(60)))
    found = watch_file(desk, path)
    assert {alarm.reading.signal for alarm in found.alarms} >= {"input"}
    assert (logged_alarms(desk), load_state(desk).seq) == ([], 0)


def hooked(address: str) -> tuple[str, ...]:
    return (f"watch.webhook={address}",)


def told(project: Project, address: str) -> list[str]:
    talk = Heard()
    watch_project(open_project(project.folder, [*QUICK, *hooked(address)]), talk)
    return talk.warned


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_webhook_is_told_once_without_texts_and_only_after_its_host_was_allowed(desk):
    ask(desk, WINDOW, far=True)
    with loopback(lambda number, body: Act(status=204)) as server:
        (warning,) = told(desk, server.address)
        assert "nobody allowed" in warning
        assert (server.asked, bool(logged_alarms(desk))) == ([], True)
        allow_webhook(server.address)
        assert told(desk, server.address) == []
        assert told(desk, server.address) == []
    (sent,) = server.asked
    assert {alarm["id"] for alarm in sent["alarms"]} == {alarm.id for alarm in logged_alarms(desk)}
    assert "volcano" not in json.dumps(sent)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (Act(status=302, headers={"location": "http://127.0.0.1:9/elsewhere"}), "redirects elsewhere"),
        (fail(500), "500"),
        (Act(status=200, headers={"x-slow": "yes"}), "no answer within"),
    ],
    ids=["redirect", "error", "slow"],
)
def test_a_webhook_that_fails_is_warned_of_and_told_again_and_the_alarm_is_logged(desk, act, why):
    ask(desk, WINDOW, far=True)
    leave = threading.Event()

    def script(number: int, body: dict[str, object]) -> Act:
        if "x-slow" in act.headers and number == 0:
            leave.wait(30)
        return act if number == 0 else Act(status=200)

    with loopback(script) as server:
        allow_webhook(server.address)
        (warning,) = told(desk, server.address)
        leave.set()
        assert why in warning
        assert "/v1" not in warning, "the path may be a secret"
        assert logged_alarms(desk)
        assert told(desk, server.address) == []
    assert len(server.asked) == 2
    assert server.asked[0] == server.asked[1]


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/hook",
        "ftp://example.org",
        "http://169.254.169.254/",
        "https://token@example.org/",
        "http://a\\@b",
    ],
)
def test_an_address_that_no_alarm_may_go_to_is_refused(desk, address):
    ask(desk, WINDOW, far=True)
    (warning,) = told(desk, address)
    assert "in the clear" in warning or "watch.webhook is no address" in warning
    assert "token" not in warning
