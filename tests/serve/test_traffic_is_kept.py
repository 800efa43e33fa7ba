"""What the server writes down of its answers, what it takes of users' feedback, and what it leaves alone."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import NotFoundError

from burnish.config import TrafficSettings
from burnish.registry import get
from burnish.serve.recorder import Recorder, drawn
from burnish.store.store import open_store
from burnish.store.traffic import Spoken, append_traffic, feedback_since, find_traffic, traffic_held, traffic_since
from tests.serve.test_leaving import until
from tests.serve.test_serve_command import asking, started
from tests.serve.town import Town, chat, serving, user

KEEP = {"traffic.keep": True}


def remark(town: Town, response_id: str, **said: str):
    return town.post("/v1/feedback", {"response_id": response_id, **said})


def test_nothing_is_kept_and_no_feedback_taken_before_it_is_switched_on(town, furnished):
    said = chat(town, "ada", "hello", max_tokens=2)
    refused = remark(town, said.id, thumb="up")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "feedback_off")
    assert traffic_since(furnished.store) == []


def test_every_kind_of_answer_is_kept_redacted_under_the_id_that_its_client_got(project):
    with serving(project, **KEEP) as town:
        text = "I am jane@example.org, call +49 171 2345678"
        whole = chat(town, "ada", text, max_tokens=5)
        pieces = list(chat(town, "bea", text, max_tokens=5, stream=True))
        task = chat(town, "small", text, extra_body={"response_format": {"type": "task"}})
        plain = town.client().completions.create(model="cyd", prompt=text, max_tokens=3)
        again = chat(town, "ada", text, max_tokens=1)
    ids = [whole.id, pieces[0].id, task.id, plain.id, again.id]
    rows = traffic_since(project.store)
    assert [row.response_id for row in rows] == ids  # the server has ended: the rest was written down
    assert [row.endpoint for row in rows] == ["chat", "chat", "task", "completions", "chat"]
    assert [row.model for row in rows] == ["ada", "bea", task.model, "cyd", "ada"]
    assert {turn.content for row in rows for turn in row.messages} == {"I am [email], call [phone]"}
    assert len({row.conversation for row in rows}) == 1
    first = rows[0]
    assert first.adapter_hash == get(project.store, "ada").adapter_hash
    assert first.answer == whole.choices[0].message.content
    assert (first.num_prompt, first.num_answer) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert first.finish_reason == whole.choices[0].finish_reason
    assert first.logprob < 0 < first.first_token_s <= first.seconds
    assert first.expires_at[:4] > first.at[:4] or first.expires_at > first.at
    assert rows[2].answer == task.choices[0].message.content


def test_feedback_is_there_when_it_is_acknowledged_and_saying_it_twice_is_saying_it_once(project):
    with serving(project, key="k" * 32, **KEEP) as town:
        client = town.client("k" * 32)
        said = client.chat.completions.create(model="ada", messages=user("hello"), max_tokens=3)
        body = {"response_id": said.id, "thumb": "down", "correction": "Write to jane@example.org", "text": "wrong"}
        for new in (3, 0):
            told = client.post("/feedback", body=body, cast_to=object)
            assert told == {"id": said.id, "object": "feedback", "model": "ada", "num_new": new}
        entries = feedback_since(project.store)
        assert [(one.kind, one.value) for one in entries] == [
            ("down", ""),
            ("correction", "Write to [email]"),
            ("text", "wrong"),
        ]
        assert {(one.response_id, one.model) for one in entries} == {(said.id, "ada")}
        with pytest.raises(NotFoundError, match="No answer of this id is kept here"):
            client.post("/feedback", body={"response_id": "chatcmpl-none", "thumb": "up"}, cast_to=object)
        assert remark(town, said.id, thumb="up").status_code == 401
        assert len(feedback_since(project.store)) == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"thumb": "sideways"}, "thumb"),
        ({"correction": ""}, "correction"),
        ({"outcome": "a\nb"}, "outcome"),
        ({"text": "x" * 9000}, "text"),
        ({"mood": "fine", "thumb": "up"}, "mood"),
    ],
)
def test_feedback_that_says_nothing_or_too_much_is_refused_by_name(town, body, param):
    refused = remark(town, "chatcmpl-1", **body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert town.post("/v1/feedback", b" " * (2**22 + 1)).status_code == 413


def test_of_an_answer_that_is_not_drawn_no_text_is_kept_and_feedback_on_it_is_taken(project):
    with serving(project, **KEEP, **{"traffic.sample": 0.5, "traffic.redact": False}) as town:
        ids = [chat(town, "ada", "jane@example.org", max_tokens=2).id for _ in range(8)]
        assert {remark(town, one, outcome="resolved").status_code for one in ids} == {200}
    rows = find_traffic(project.store, ids)
    assert {name: row.has_text for name, row in rows.items()} == {name: drawn(name, 0.5) for name in ids}
    for row in rows.values():
        assert row.probability == 0.5
        assert row.num_answer
        assert (row.messages[0].content == "jane@example.org") if row.has_text else not row.answer
    assert sum(drawn(str(number), 0.3) for number in range(1000)) in range(240, 360)
    assert len(feedback_since(project.store)) == 8


def test_what_has_expired_is_deleted_by_a_server_that_keeps_nothing_new_as_well(tmp_path):
    store, then = open_store(tmp_path), "2020-01-01T00:00:00+00:00"
    append_traffic(store, [Spoken(response_id="old", at=then, model="ada", answer="private", expires_at=then)])
    recorder = Recorder(store, TrafficSettings(keep=False))
    until(lambda: traffic_held(store).num_answers == 0)
    recorder.close()


def test_a_line_that_is_full_drops_what_comes_and_counts_it_and_answers_go_on(project):
    with serving(project) as town:
        town.service.projects.all[0].recorder = small = Recorder(
            project.store, TrafficSettings(keep=True), most_waiting=2
        )
        with project.store.db.write():  # nobody else can write
            ids = [chat(town, "ada", "hello", max_tokens=1).id for _ in range(7)]
        assert small.flush()
        assert small.num_kept in (2, 3, 4)
        assert small.num_kept + small.num_dropped == len(ids)
        assert len(find_traffic(project.store, ids)) == small.num_kept


def test_feedback_that_was_acknowledged_under_load_survives_a_kill(project):
    acknowledged: list[tuple[str, str]] = []

    def use(told: dict, number: int) -> None:
        """Asks and answers until the server is gone."""
        with asking(told) as client:
            for turn in range(10_000):
                said = client.chat.completions.create(model="ada", messages=user("hello"), max_tokens=1)
                value = f"{number}-{turn}"
                client.post("/feedback", body={"response_id": said.id, "text": value}, cast_to=object)
                acknowledged.append((said.id, value))
                if len(acknowledged) == 24:
                    process.send_signal(signal.SIGKILL)

    with (
        started("--project", project.folder, "--set", "serve.traffic.keep=true") as (process, told),
        ThreadPoolExecutor(4) as pool,
    ):
        ends = [pool.submit(use, told, number) for number in range(4)]
        assert all(end.exception(timeout=60) for end in ends), "the server was never killed"
        assert process.wait(timeout=20) == -signal.SIGKILL
    kept = {(one.response_id, one.value) for one in feedback_since(project.store, limit=10_000)}
    assert len(acknowledged) >= 24
    assert set(acknowledged) <= kept
    assert traffic_held(project.store).num_answers >= len(acknowledged)
