"""What the real OpenAI client gets from every endpoint, beside what the version says alone."""

import json

import pytest
from openai import NotFoundError

from burnish.data.conversation import conversation
from burnish.data.dataset import load_examples
from burnish.evaluate.files import load_evaluation
from burnish.loop.task import task_of_project
from burnish.registry import champion, get
from tests.serve.town import alone, chat, user

ASKED = "the password is refused, and no code comes"


def test_a_chat_is_what_the_version_says_alone_and_its_headers_name_it(town, furnished):
    for name in ("small", "ada", "base"):
        version = champion(furnished.store) if name == "small" else get(furnished.store, name)
        raw = town.client().chat.completions.with_raw_response.create(model=name, messages=user(ASKED), max_tokens=24)
        said, expected = raw.parse(), alone(furnished, version, ASKED, 24)
        assert said.choices[0].message.content == expected.text
        assert (raw.headers["x-burnish-version"], raw.headers["x-burnish-adapter"]) == (
            version.name,
            version.adapter_hash,
        )
        assert said.model == version.name
        assert said.choices[0].finish_reason == ("length" if expected.stop_reason == "length" else "stop")
        is_ended = expected.stop_reason == "end"
        assert said.usage.completion_tokens == len(expected.tokens) + is_ended
        assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens


def test_a_stream_put_together_is_the_whole_answer_and_tells_its_usage_when_asked(town):
    whole = chat(town, "ada", ASKED, max_tokens=24)
    pieces = list(chat(town, "ada", ASKED, max_tokens=24, stream=True, stream_options={"include_usage": True}))
    assert pieces[0].choices[0].delta.role == "assistant"
    assert len(pieces) > 8
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces[:-1]) == whole.choices[0].message.content
    assert [piece.choices[0].finish_reason for piece in pieces[-3:-1]] == [None, whole.choices[0].finish_reason]
    assert pieces[-1].usage == whole.usage
    assert all(piece.usage is None for piece in pieces[:-1])
    assert list(chat(town, "ada", ASKED, max_tokens=2, stream=True))[-1].usage is None


def test_a_stop_text_ends_whole_answers_and_streams_and_is_in_neither(town):
    text = chat(town, "dot", ASKED, max_tokens=40).choices[0].message.content
    stop = text[12:15]
    cut = text[: text.index(stop)]
    said = chat(town, "dot", ASKED, max_tokens=40, stop=["\x00never", stop])
    assert (said.choices[0].message.content, said.choices[0].finish_reason) == (cut, "stop")
    pieces = list(chat(town, "dot", ASKED, max_tokens=40, stop=stop, stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == cut


def test_a_seed_decides_what_is_drawn(town):
    def drawn(seed: int) -> str:
        wild = {"temperature": 1.5, "top_p": 0.95, "seed": seed}
        return chat(town, "bea", ASKED, max_tokens=16, **wild).choices[0].message.content

    assert drawn(1) == drawn(1) != drawn(2)


def test_log_probabilities_are_those_of_the_generator_and_the_likeliest_come_first(town, furnished):
    said = chat(town, "ada", ASKED, max_tokens=12, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    expected = alone(furnished, get(furnished.store, "ada"), ASKED, 12)
    # the same float32 sums, in batches of another make-up
    assert sum(entry.logprob for entry in said) == pytest.approx(expected.logprob, abs=1e-3)
    for entry in said:
        tops = [top.logprob for top in entry.top_logprobs]
        assert tops == sorted(tops, reverse=True)
        assert entry.logprob == pytest.approx(tops[0], abs=1e-4)  # greedy: the likeliest token is the one that came
    old = town.client().completions.create(model="ada", prompt=ASKED, max_tokens=5, logprobs=2).choices[0]
    assert len(old.logprobs.tokens) == len(old.logprobs.token_logprobs) == len(old.logprobs.top_logprobs) == 5
    streamed = list(town.client().completions.create(model="ada", prompt=[ASKED], max_tokens=5, stream=True))
    assert "".join(piece.choices[0].text for piece in streamed) == old.text
    assert old.logprobs.text_offset == sorted(old.logprobs.text_offset)


def test_an_answer_in_json_parses_and_keeps_to_its_schema(town):
    schema = {
        "type": "object",
        "properties": {"way": {"enum": ["web", "phone"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["way", "count"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    for name in ("ada", "bea", "base"):
        found = json.loads(chat(town, name, ASKED, response_format=wanted).choices[0].message.content)
        assert list(found) == ["way", "count"]
        assert found["way"] in ("web", "phone")
        assert found["count"] in range(1, 10)
    streamed = list(chat(town, "ada", ASKED, response_format=wanted, stream=True))
    assert json.loads("".join(piece.choices[0].delta.content or "" for piece in streamed))["count"] in range(1, 10)
    free = chat(town, "ada", ASKED, response_format={"type": "json_object"}, max_tokens=80).choices[0]
    assert free.finish_reason == "length" or isinstance(json.loads(free.message.content), dict)


def test_the_form_task_gives_each_row_the_answer_and_the_certainty_that_were_measured(town, furnished):
    version = champion(furnished.store)
    examples = {example.id: example for example in load_examples(furnished.store)}
    stored = [load_evaluation(path) for path in (furnished.store.root / "artifacts" / "evaluate").iterdir()]
    rows = next(one for one in stored if one.model == version.name and not one.shots).rows[:12]
    task = task_of_project(furnished)
    for row in rows:
        turns = conversation(task, examples[row.example])[:-1]
        said = town.client().chat.completions.create(
            model="small",
            messages=[{"role": turn.role, "content": turn.content} for turn in turns],
            logprobs=True,
            extra_body={"response_format": {"type": "task"}},
        )
        assert said.choices[0].message.content == row.output
        assert said.choices[0].logprobs.content[0].logprob == pytest.approx(row.logprob, abs=1e-3)


def test_models_are_listed_by_name_and_the_unknown_is_not_found(town, furnished):
    listed = {model.id: model for model in town.client().models.list()}
    assert listed["small"].root == champion(furnished.store).name
    assert {"base", "ada", champion(furnished.store).name} < set(listed)
    assert town.client().models.retrieve("ada").adapter_hash == get(furnished.store, "ada").adapter_hash
    assert "came out again" in listed["small"].checked
    with pytest.raises(NotFoundError):
        town.client().models.retrieve("nobody")
