"""Production logs of each shape become answers, once; a bad line is named with its place and what stands there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from burnish.config import TrafficSettings
from burnish.data.traffic_log import Taken, import_log
from burnish.errors import DataError
from burnish.store.store import Store, open_store
from burnish.store.traffic import feedback_since, traffic_since

NOW = datetime.now(UTC)
SECOND = int(NOW.timestamp()) - 3600
NANO = SECOND * 10**9
ASKED = "Where is my parcel? Write to jane@example.org"
HIDDEN = "Where is my parcel? Write to [email]"


def iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


CHAT = {
    "request": {
        "model": "gpt-5-mini",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        ],
    },
    "response": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": SECOND,
        "model": "gpt-5-mini-2026-05-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "On its way.", "refusal": None},
                "logprobs": {"content": [{"token": "On", "logprob": -0.5}, {"token": ".", "logprob": -0.25}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26},
    },
}
RESPONSES = {
    "request": {"model": "gpt-5-mini", "instructions": "Be brief.", "input": ASKED},
    "response": {
        "id": "resp_1",
        "object": "response",
        "created_at": SECOND,
        "status": "completed",
        "model": "gpt-5-mini",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "On its way."}]},
        ],
        "usage": {"input_tokens": 21, "output_tokens": 5},
    },
}
BATCHED = {
    "custom_id": "a",
    "request": {"method": "POST", "url": "/v1/chat/completions", "body": CHAT["request"]},
    "response": {"status_code": 200, "body": {**CHAT["response"], "id": "chatcmpl-2"}},
}
OBSERVATION = {
    "id": "obs-1",
    "traceId": "trace-1",
    "type": "GENERATION",
    "startTime": iso(SECOND - 2),
    "endTime": iso(SECOND),
    "model": "gpt-5-mini",
    "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}],
    "output": {"role": "assistant", "content": "On its way."},
    "usageDetails": {"input": 21, "output": 5, "total": 26},
    "level": "DEFAULT",
}
SNAKE = {
    "id": "obs-2",
    "trace_id": "trace-2",
    "type": "GENERATION",
    "start_time": iso(SECOND - 2),
    "end_time": iso(SECOND),
    "provided_model_name": "gpt-5-mini",
    "input": json.dumps({"messages": OBSERVATION["input"]}),
    "output": "On its way.",
    "usage_details": {"input": 21, "output": 5},
}
TRACE = {
    "id": "trace-3",
    "timestamp": iso(SECOND),
    "name": "support",
    "sessionId": "session-9",
    "input": {"question": ASKED},
    "output": "On its way.",
    "observations": [{"id": "s", "type": "SPAN", "startTime": iso(SECOND)}, {**OBSERVATION, "id": "obs-3"}],
    "scores": [
        {"name": "user-feedback", "value": 0, "dataType": "BOOLEAN", "comment": "call +49 171 2345678"},
        {"name": "toxicity", "value": 0.9, "source": "EVAL"},
    ],
}


def attribute(key: str, value: Any) -> dict[str, Any]:
    kind = {str: "stringValue", int: "intValue", float: "doubleValue"}.get(type(value), "")
    inner = {kind: str(value) if kind == "intValue" else value}
    return {"key": key, "value": inner if kind else {"arrayValue": {"values": [{"stringValue": one} for one in value]}}}


def span(name: str, attributes: dict[str, Any], events: list[Any] = ()) -> dict[str, Any]:
    written = [attribute(*pair) for pair in {"gen_ai.operation.name": "chat", **attributes}.items()]
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": name,
        "name": "chat gpt-5-mini",
        "startTimeUnixNano": str(NANO - 2 * 10**9),
        "endTimeUnixNano": str(NANO),
        "attributes": written,
        "events": list(events),
    }


def told(name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": str(NANO), "attributes": [attribute(*one) for one in attributes.items()]}


USAGE = {"gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 5, "gen_ai.request.model": "gpt-5-mini"}
INPUT = [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}]
OUTPUT = [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}], "finish_reason": "stop"}]
MESSAGES = {
    **USAGE,
    "gen_ai.response.id": "chatcmpl-3",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(INPUT),
    "gen_ai.output.messages": json.dumps(OUTPUT),
}
NUMBERED = {
    **USAGE,
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": ASKED,
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "On its way.",
    "gen_ai.completion.0.finish_reason": "stop",
}
EVENTS = [
    told("gen_ai.system.message", {"content": "Be brief."}),
    told("gen_ai.user.message", {"gen_ai.event.content": json.dumps({"role": "user", "content": ASKED})}),
    told(
        "gen_ai.choice",
        {"finish_reason": "stop", "message": json.dumps({"role": "assistant", "content": "On its way."})},
    ),
]
OLD_EVENTS = [
    told("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(OBSERVATION["input"])}),
    told("gen_ai.content.completion", {"gen_ai.completion": json.dumps([OBSERVATION["output"]])}),
]
OTLP = {
    "resourceSpans": [
        {
            "resource": {"attributes": [attribute("service.name", "support")]},
            "scopeSpans": [
                {
                    "scope": {"name": "opentelemetry.instrumentation.openai"},
                    "spans": [
                        {**span("aaa", {}), "name": "GET /", "attributes": [attribute("http.route", "/")]},
                        span("bbb", MESSAGES),
                        span("ccc", NUMBERED),
                        span("ddd", USAGE, EVENTS),
                        span("eee", USAGE, OLD_EVENTS),
                    ],
                }
            ],
        }
    ]
}
FLAT = {
    "name": "chat gpt-5-mini",
    "context": {"trace_id": "0x1", "span_id": "0x2"},
    "start_time": iso(SECOND - 2),
    "end_time": iso(SECOND),
    "attributes": {key: value for key, value in MESSAGES.items() if key != "gen_ai.response.id"},
    "events": [],
}
RECORDS = {
    "resourceLogs": [
        {
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "timeUnixNano": str(NANO),
                            "traceId": "7",
                            "spanId": "fff",
                            "eventName": "gen_ai.client.inference.operation.details",
                            "attributes": [
                                attribute(*pair) for pair in {**MESSAGES, "gen_ai.response.id": "chatcmpl-4"}.items()
                            ],
                        }
                    ]
                }
            ]
        }
    ]
}
SHAPES = {
    "openai": ([CHAT, RESPONSES, BATCHED], ["chatcmpl-1", "resp_1", "chatcmpl-2"]),
    "langfuse": ([OBSERVATION, SNAKE, TRACE], ["obs-1", "obs-2", "obs-3"]),
    "otel": ([OTLP, FLAT, RECORDS], ["chatcmpl-3", "ccc", "ddd", "eee", "0x2", "chatcmpl-4"]),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def taken(store: Store, rows: list[Any], *, keeps: int = 30, **how: Any) -> Taken:
    file = store.root / "log.jsonl"
    file.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
    return import_log(store, TrafficSettings(retention_days=keeps), file, now=NOW, **how)


@pytest.mark.parametrize("shape", ["auto", "its own"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_answer_of_a_log_is_taken_once_with_what_the_log_says_of_it(name, shape, store):
    rows, ids = SHAPES[name]
    given = {"shape": "auto" if shape == "auto" else name}
    assert taken(store, rows, **given).num_new == len(ids)
    again = taken(store, rows, **given)
    assert (again.num_new, again.num_known, again.num_feedback) == (0, len(ids), 0)
    found = traffic_since(store)
    assert [one.response_id for one in found] == ids
    for one in found:
        assert one.messages[-1].content == HIDDEN
        assert (one.answer, one.source, one.probability) == ("On its way.", name, None)
        assert [turn.content for turn in one.messages[:-1]] in (["Be brief."], [])
        assert (one.num_prompt, one.num_answer) == (21, 5)
        assert one.model.startswith("gpt-5-mini")
        assert one.at == datetime.fromtimestamp(SECOND, UTC).isoformat()
    if name == "openai":
        assert found[0].logprob == pytest.approx(-0.75)
        assert found[0].finish_reason == "stop"
    if name == "langfuse":
        assert found[0].seconds == 2.0
        assert [(one.response_id, one.kind, one.value) for one in feedback_since(store)] == [
            ("obs-3", "down", ""),
            ("obs-3", "text", "call [phone]"),
        ]
    if name == "otel":
        assert found[1].seconds == 2.0


FAILED = {**CHAT, "response": {"status_code": 500, "body": {"error": {"message": "overloaded"}}}}
TOOL = {
    **CHAT,
    "response": {**CHAT["response"], "choices": [{"message": {"content": None, "tool_calls": [{"id": 1}]}}]},
}
BAD = [
    ("{not json\n", "json: "),
    ({"a": 1}, "shape: neither"),
    (FAILED, "error: "),
    (TOOL, "tool-calls: "),
    ({**CHAT, "request": {"model": "m"}}, "columns: the request has no messages"),
    ({**CHAT, "response": {**CHAT["response"], "created": "soon"}}, "time: 'soon' is no time"),
    ({**OBSERVATION, "output": "  "}, "empty-answer: "),
    ({**OBSERVATION, "level": "ERROR"}, "error: "),
    ({"resourceSpans": [7]}, "shape: "),
    ({"resourceSpans": [{"scopeSpans": [{"spans": [span("x", USAGE)]}]}]}, "no-answer: the span holds no messages"),
]


def test_bad_lines_are_named_with_file_line_and_what_stands_there_and_nothing_is_taken(store):
    for row, reason in BAD:
        with pytest.raises(DataError, match=r"1 of 2 lines of .* cannot be used, so nothing of it was taken") as caught:
            taken(store, [CHAT, row])
        assert f"log.jsonl:2  {reason}" in caught.value.message, row
        assert "jane@example.org" not in caught.value.message
    assert traffic_since(store) == []
    found = taken(store, [CHAT, *(row for row, _ in BAD)], skip_bad=True)
    assert (found.num_new, [row.row for row in found.rejected]) == (1, list(range(2, 12)))


def test_what_is_older_than_the_retention_and_what_is_no_answer_is_counted_and_left_out(store):
    old = {**CHAT, "response": {**CHAT["response"], "created": SECOND - 3 * 86400}}
    other = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span("x", {}), "attributes": []}]}]}]}
    found = taken(store, [old, other, RESPONSES], keeps=2)
    assert (found.num_new, found.num_expired, found.num_other) == (1, 1, 1)
    with pytest.raises(DataError, match="holds no line"):
        taken(store, [])
