"""Faults T1 to T9 of teachers, met on a real socket by the real client."""

import contextlib
import gzip
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish.budget import open_budget
from burnish.client.ask import Ask, key_of
from burnish.client.connection import MOST_BYTES, connect, wait_of
from burnish.client.purse import demand_limit, most_cost
from burnish.client.traffic import BREAKS_AT
from burnish.config import BudgetSettings, EndpointSettings
from burnish.errors import BudgetError, ConfigError, Interrupted, ServiceError
from burnish.records import Message
from burnish.store.replies import kept_replies
from burnish.store.store import open_store
from tests.child import KILLED, in_child
from tests.client.conftest import Time
from tests.heard import Heard
from tests.loopback import Act, completion, fail, loopback, say

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def ask(text="how long?", draw=0, most=64):
    return Ask(messages=(Message(role="user", content=text),), max_new_tokens=most, draw=draw)


def asks(count):
    return [ask(f"question {at}") for at in range(count)]


def anything(text, at):
    return ""


def echo(number, body):
    return say(f"to {body['messages'][-1]['content']}")


def test_answers_come_in_the_order_of_the_questions(teach):
    meeting = threading.Barrier(2)

    def together(number, body):
        if number < 2:
            meeting.wait(20)
        return echo(number, body)

    with loopback(together) as server:
        found = teach(server.address, concurrency=4).answers(asks(12), anything)
    assert [one.text for one in found] == [f"to question {at}" for at in range(12)]
    assert 1 < server.most_on_their_way <= 4


def test_the_question_goes_out_as_settings_say(teach):
    with loopback(echo) as server:
        teacher = teach(server.address, limit_name="max_completion_tokens", json_mode=True)
        teacher.answers([Ask(messages=ask().messages, max_new_tokens=20, temperature=0.7, draw=3)], anything)
    (body,) = server.asked
    assert body["max_completion_tokens"] == 20
    assert body["seed"] == 3
    assert body["temperature"] == 0.7
    assert body["response_format"] == {"type": "json_object"}


def test_a_question_asked_again_is_answered_from_what_is_kept(teach, tmp_path):
    with loopback(echo) as server:
        first = teach(server.address, folder=tmp_path / "one").answers(asks(5), anything)
        again = teach(server.address, folder=tmp_path / "one").answers(asks(6), anything)
    assert again[:5] == first
    assert len(server.asked) == 6


# T1 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1.0),
        ("0.5", 0.5),
        ("3600", 3600.0),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30.0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-5", 0.0),
        ("", None),
    ],
)
def test_retry_after_is_read_in_every_form(header, seconds):
    assert wait_of({"retry-after": header}, NOW) == seconds


def test_a_rate_limit_holds_everybody_back_as_long_as_the_endpoint_asks(teach):
    time = Time()
    with loopback(lambda n, body: fail(429, Retry_After="7") if n == 0 else echo(n, body)) as server:
        found = teach(server.address, time=time).answers(asks(3), anything)
    assert [bool(one.text) for one in found] == [True] * 3
    assert sum(time.waits) == pytest.approx(7, abs=1e-6)


def test_without_retry_after_pauses_grow_and_are_jittered(teach):
    time = Time()
    with loopback(lambda n, body: fail(429) if n < 4 else echo(n, body)) as server:
        teach(server.address, time=time).answers(asks(1), anything)
    total = sum(time.waits)
    assert 0.5 * (0.5 + 1 + 2 + 4) <= total <= 1.5 * (0.5 + 1 + 2 + 4)


def test_a_wait_longer_than_the_cap_stops_the_work_and_says_until_when(teach):
    with loopback(lambda n, body: fail(429, Retry_After="3600") if n == 2 else echo(n, body)) as server:
        teacher = teach(server.address)
        with pytest.raises(ServiceError, match="asks to wait until 20") as error:
            teacher.answers(asks(4), anything)
        assert "none is paid for twice" in error.value.hint
        assert [one.text for one in teacher.answers(asks(4), anything)] == [f"to question {at}" for at in range(4)]
    assert len(server.asked) == 5


def test_questions_keep_the_distance_that_settings_ask_for(teach):
    time = Time()
    with loopback(echo) as server:
        teach(server.address, time=time, requests_per_minute=30).answers(asks(5), anything)
    assert time.now == pytest.approx(8.0)


# T2 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [fail(500), fail(502), fail(503), fail(529), fail(408), Act(body=b"{}" * 50, cut_at=7)])
def test_a_burst_of_server_faults_is_waited_out(act, teach):
    with loopback(lambda n, body: act if n < 3 else echo(n, body)) as server:
        (found,) = teach(server.address).answers(asks(1), anything)
    assert found.text == "to question 0"
    assert len(server.asked) == 4


def test_attempts_at_one_question_are_bounded_and_finished_ones_kept(teach):
    with loopback(lambda n, body: echo(n, body) if n < 2 else fail(500, "broken")) as server:
        teacher = teach(server.address, retries=2)
        with pytest.raises(ServiceError, match="3 attempts at one question failed, the last with status 500: broken"):
            teacher.answers(asks(4), anything)
    assert len(server.asked) == 5
    assert len(kept_replies(teacher.store, [key_of(one, teacher.settings) for one in asks(4)])) == 2


def test_an_endpoint_that_is_down_is_not_asked_for_ever(teach):
    with loopback(lambda n, body: fail(503)) as server, pytest.raises(ServiceError, match="does not answer"):
        teach(server.address, retries=20, concurrency=4).answers(asks(40), anything)
    assert BREAKS_AT <= len(server.asked) <= BREAKS_AT + 4


def test_a_closed_port_and_an_unknown_host_are_told(teach):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    for place in (address, "http://no-such-host.invalid/v1"):
        with pytest.raises(ServiceError, match="does not answer: 2 attempts"):
            teach(place, retries=1).answers(asks(1), anything)


def test_a_half_open_connection_is_given_up_after_the_timeout(teach):
    hang = threading.Event()

    def never(number, body):
        hang.wait(20)
        return say("late")

    with loopback(never) as server:
        teacher = teach(server.address, timeout_s=0.2, retries=1)
        with pytest.raises(ServiceError, match=r"no answer within 0\.2 s"):
            teacher.answers(asks(1), anything)
        hang.set()
    spent = teacher.purse.budget.spent()
    assert spent.tokens == 2 * ask("question 0").most_tokens, "nobody knows whether an unfinished reply is charged"


# T3 -------------------------------------------------------------------------------------------------------------------

UNUSABLE = {
    "html": Act(body=b"<html>Bad gateway</html>"),
    "half JSON": Act(body=b'{"choices": [{"mess'),
    "a list": Act(body=b"[]"),
    "no choices": Act(body=json.dumps({**completion("x"), "choices": []}).encode()),
    "null content": say(None),
    "empty": say("  "),
    "cut off": say("half an ans", finish="length"),
    "filtered": say("", finish="content_filter"),
    "refused": say(None, refusal="I cannot"),
    "tool": say(None, tool_calls=[{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    "stream": Act(body=b'data: {"choices": [{"delta": {"content": "hal'),
    "deep": Act(body=b"[" * 100_000),
    "bytes": Act(body=bytes(range(256))),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_reply_gets_one_repair_and_is_then_a_fault_with_its_raw_body(name, teach):
    with loopback(lambda n, body: UNUSABLE[name] if n < 2 else echo(n, body)) as server:
        teacher = teach(server.address)
        (first, second) = teacher.answers(asks(2), anything)
    assert first.text == ""
    assert first.fault
    assert second.text == "to question 1"
    assert len(server.asked) == 3
    (kept,) = kept_replies(teacher.store, [first.key]).values()
    assert kept.raw == UNUSABLE[name].body.decode("utf-8", "replace").replace("\x00", "\ufffd")[:20_000]


def test_a_repair_says_what_was_wrong_and_counts_when_it_is_right(teach):
    def script(number, body):
        return say("nonsense") if number == 0 else say("42")

    with loopback(script) as server:
        (found,) = teach(server.address).answers([ask()], lambda text, at: "" if text.isdigit() else "it is no number")
    assert found.text == "42"
    assert found.usd == pytest.approx(2 * (10 * 1 + 5 * 2) / 1e6)
    assert [turn["role"] for turn in server.asked[1]["messages"]] == ["user", "assistant", "user"]
    assert "it is no number" in server.asked[1]["messages"][-1]["content"]


def test_too_many_unusable_replies_stop_the_work(teach):
    with (
        loopback(lambda n, body: say("no idea")) as server,
        pytest.raises(ServiceError, match="20 of 20 replies of scripted are of no use, the last: no number"),
    ):
        teach(server.address).answers(asks(60), lambda text, at: "no number")
    assert len(server.asked) == 40


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_reply_breaks_the_reader(data):
    from burnish.client.reply import read_reply

    body = json.dumps(completion('{"rows": []}')).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    spoiled = body[:start] + data.draw(st.binary(max_size=20)) + body[end:]
    one = ask()
    reply = read_reply(spoiled, "k", one, EndpointSettings(base_url="http://localhost/v1", model="m"))
    assert reply.fault or reply.text.strip()
    assert 0 <= reply.num_input < 10**12
    reply.text.encode()


# T4 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["teacher.received", "teacher.kept", "budget.settle", "budget.reserve"])
def test_after_a_kill_at_most_the_questions_on_their_way_are_asked_again(point, teach, tmp_path):
    with loopback(echo) as server:
        folder = tmp_path / "desk"

        def work():
            teach(server.address, folder=folder).answers(asks(8), anything)

        assert in_child(work, f"{point}=kill@4") == KILLED
        before = len(server.asked)
        found = teach(server.address, folder=folder).answers(asks(8), anything)
    assert [one.text for one in found] == [f"to question {at}" for at in range(8)]
    assert before >= 3
    assert len(server.asked) <= 9, "only the question on its way may be asked twice"


# T5 -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(1, 26), st.integers(0, 64)), min_size=1, max_size=12),
    usd=st.floats(0.0, 0.002),
    concurrency=st.integers(1, 4),
)
def test_spend_never_passes_the_budget_whatever_the_replies_cost(sizes, usd, concurrency, teach):
    def script(number, body):
        prompt, answer = sizes[number % len(sizes)]
        return say("x", usage={"prompt_tokens": prompt, "completion_tokens": answer})

    with loopback(script) as server:
        teacher = teach(server.address, usd=usd, concurrency=concurrency)
        with contextlib.suppress(BudgetError):
            teacher.answers(asks(len(sizes)), anything)
        spent = teacher.purse.budget.spent()
    assert spent.usd <= usd * (1 + 1e-9)
    paid = sum((sizes[at % len(sizes)][0] + 2 * sizes[at % len(sizes)][1]) / 1e6 for at in range(len(server.asked)))
    assert spent.usd == pytest.approx(paid)


def test_a_refusal_by_the_budget_waits_until_nothing_is_on_its_way(teach):
    """Four at once would need four times the most; there is room for one, and each costs far less than its most."""
    room = most_cost(ask("question 0"), EndpointSettings(usd_per_million_input=1, usd_per_million_output=2)).usd
    with loopback(echo) as server:
        teacher = teach(server.address, usd=room + 6 * 20e-6, concurrency=4)
        assert len(teacher.answers(asks(6), anything)) == 6
    assert teacher.purse.budget.spent().usd == pytest.approx(6 * 20e-6)


@pytest.mark.parametrize("usage", [{"total_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": True}, {"x": "y"}])
def test_missing_usage_counts_at_the_most_that_a_question_can_cost(usage, teach):
    with loopback(lambda n, body: say("fine", usage=usage)) as server:
        teacher = teach(server.address)
        teacher.answers([ask()], anything)
    assert teacher.purse.budget.spent().tokens == ask().most_tokens


def test_an_endpoint_that_counts_more_than_it_may_is_not_asked_again(teach):
    with loopback(lambda n, body: say("x", usage={"prompt_tokens": 9, "completion_tokens": 900})) as server:
        teacher = teach(server.address)
        with pytest.raises(ServiceError, match=r"counts 9 \+ 900 tokens"):
            teacher.answers(asks(5), anything)
    assert len(server.asked) == 1
    assert teacher.purse.budget.spent().tokens == 909, "money that is gone is written down"


def test_without_a_price_a_limit_of_tokens_is_demanded_and_held(teach, tmp_path):
    unpriced = EndpointSettings(base_url="http://localhost/v1", model="m")
    store = open_store(tmp_path)
    with pytest.raises(ConfigError, match="teacher has no price"):
        demand_limit(unpriced, open_budget(store, BudgetSettings(usd=5)), "teacher")
    demand_limit(unpriced, open_budget(store, BudgetSettings(teacher_tokens=5)), "teacher")
    one = ask("question 0").most_tokens
    with loopback(echo) as server:
        teacher = teach(server.address, teacher_tokens=one + 2 * 15, usd_per_million_input=None)
        with pytest.raises(BudgetError, match=r"may need .* tokens for a question; .* are left"):
            teacher.answers(asks(9), anything)
    assert len(server.asked) == 3
    assert teacher.purse.budget.spent().tokens == 45


# T6 -------------------------------------------------------------------------------------------------------------------


def test_a_model_that_changes_on_the_way_is_recorded_by_answer_and_said(teach):
    heard = Heard()
    with loopback(lambda n, body: say("x", model="scripted-1" if n < 3 else "scripted-2")) as server:
        found = teach(server.address, talk=heard).answers(asks(5), anything)
    assert [one.model for one in found] == ["scripted-1"] * 3 + ["scripted-2"] * 2
    assert heard.warned == ["teacher: the endpoint changed its model on the way: scripted-1, scripted-2"]


# T7 -------------------------------------------------------------------------------------------------------------------

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
def test_a_refusal_stops_at_once_and_never_shows_the_key(status, teach, tmp_path):
    folder = tmp_path / "desk"
    with loopback(lambda n, body: fail(status, f"Incorrect API key provided: {KEY}")) as server:
        teacher = teach(server.address, key=KEY, folder=folder, concurrency=1)
        with pytest.raises(ServiceError, match=f"status {status}") as error:
            teacher.answers(asks(5), anything)
    assert len(server.asked) == 1
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    told = [str(error.value), error.value.hint, repr(teacher.connection), repr(error.value)]
    told += [str(error.value.__cause__), repr(error.value.__context__) if not error.value.__suppress_context__ else ""]
    assert not any(KEY in text for text in told)
    assert not any(KEY.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_quota_that_is_used_up_is_no_rate_limit(teach):
    act = Act(status=429, body=b'{"error": {"message": "You exceeded", "code": "insufficient_quota"}}')
    with loopback(lambda n, body: act) as server, pytest.raises(ServiceError, match="refuses") as error:
        teach(server.address).answers(asks(2), anything)
    assert len(server.asked) == 1
    assert "no money left" in error.value.hint


def test_a_key_that_is_not_set_or_no_key_is_told_without_it():
    named = EndpointSettings(base_url="http://localhost/v1", model="m", key_env="DESK_KEY")
    with pytest.raises(ConfigError, match="DESK_KEY, which shall hold the endpoint's key, is not set"):
        connect(named, {})
    with pytest.raises(ConfigError, match="the key in DESK_KEY holds a space") as error:
        connect(named, {"DESK_KEY": f"{KEY}\n"})
    assert KEY not in str(error.value)


def test_without_a_key_no_authorization_is_sent(teach):
    with loopback(echo) as server:
        teach(server.address).answers([ask()], anything)
    assert "authorization" not in server.headers[0]


# T8 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(status, teach):
    with (
        loopback(echo) as other,
        loopback(lambda n, body: fail(status, Location=other.address)) as server,
        pytest.raises(ServiceError, match="redirects elsewhere"),
    ):
        teach(server.address, key=KEY).answers([ask()], anything)
    assert other.asked == []


# T9 -------------------------------------------------------------------------------------------------------------------


def test_an_endless_body_is_cut_off_by_its_size(teach):
    with (
        loopback(lambda n, body: Act(endless=True)) as server,
        pytest.raises(ServiceError, match=f"longer than {MOST_BYTES:,} bytes"),
    ):
        teach(server.address, retries=0).answers([ask()], anything)


def test_a_body_that_drips_is_cut_off_by_its_time(teach):
    with (
        loopback(lambda n, body: Act(drip=1000)) as server,
        pytest.raises(ServiceError, match=r"not whole within 0\.3 s"),
    ):
        teach(server.address, retries=0, timeout_s=0.3).answers([ask()], anything)


def test_a_compressed_bomb_is_not_unpacked(teach):
    bomb = gzip.compress(b" " * 50_000_000)
    with (
        loopback(lambda n, body: Act(body=bomb, headers={"content-encoding": "gzip"})) as server,
        pytest.raises(ServiceError, match=r"compressed \(gzip\), which was not asked for"),
    ):
        teach(server.address, retries=0).answers([ask()], anything)


def test_a_stop_ends_the_asking_and_keeps_what_came(teach):
    with loopback(echo) as server:
        teacher = teach(server.address)
        teacher.traffic.should_stop = lambda: len(server.asked) >= 3
        with pytest.raises(Interrupted, match="stopped while asking"):
            teacher.answers(asks(9), anything)
        teacher.traffic.should_stop = lambda: False
        assert len(teacher.answers(asks(9), anything)) == 9
    assert len(server.asked) == 9


def test_a_date_in_retry_after_is_counted_from_now():
    header = (NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert wait_of({"retry-after": header}, NOW) == 90
