"""Spans and events of OpenTelemetry's conventions for generative AI, as OTLP writes them as JSON and as flat objects.

Prompts and answers are looked for where the versions of the conventions put them: gen_ai.input.messages and
gen_ai.output.messages of a span or of its operation event; one event for each message and choice; the earlier events
with gen_ai.prompt and gen_ai.completion; and numbered attributes such as gen_ai.prompt.0.content.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from burnish.data.logged import Logged, count, logged, moment, picked, seconds_between, unpacked
from burnish.data.shapes import RowFault, read_turns
from burnish.records import Message

WITHOUT_ANSWER = ("embeddings", "execute_tool", "create_agent", "invoke_agent", "retrieval")
"""Operations that give no answer of a model."""
SAID_BY = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
Attributes = dict[str, Any]


def read_otel(row: Mapping[str, Any]) -> list[Logged]:
    """The answers of one line: an OTLP object of spans or of log records, or one span. Raises RowFault."""
    return [_answer(span, given) for span in _spans(row) if _is_answer(given := _attributes(span), span)]


def _spans(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every span; log records of one span are put together as its events."""
    spans = [one for scope in _scopes(row, "resourceSpans", "scopeSpans") for one in scope.get("spans", ())]
    by_span: dict[str, list[Mapping[str, Any]]] = {}
    for scope in _scopes(row, "resourceLogs", "scopeLogs"):
        for record in scope.get("logRecords", ()):
            by_span.setdefault(f"{record.get('traceId')}/{record.get('spanId')}", []).append(record)
    for records in by_span.values():
        spans.append(
            {**records[0], "attributes": [], "events": records, "endTimeUnixNano": records[-1].get("timeUnixNano")}
        )
    if "resourceSpans" in row or "resourceLogs" in row:
        return spans
    return [row]


def _scopes(row: Mapping[str, Any], outer: str, inner: str) -> Iterator[Mapping[str, Any]]:
    for resource in row.get(outer) or ():
        yield from resource.get(inner) or ()


def _attributes(part: Mapping[str, Any]) -> Attributes:
    """Attributes as a plain object, however they are written; of a span those of its operation event with them."""
    given = part.get("attributes") or {}
    if isinstance(given, list):
        given = {one.get("key"): _value(one.get("value")) for one in given if isinstance(one, Mapping)}
    found = dict(given)
    for event in part.get("events") or ():
        if _name(event) == "gen_ai.client.inference.operation.details":
            found |= _attributes(event)
    return found


def _value(given: Any) -> Any:
    """A value of OTLP: {"stringValue": "x"} is "x"."""
    if not isinstance(given, Mapping) or len(given) != 1:
        return given
    ((kind, value),) = given.items()
    if kind == "arrayValue":
        return [_value(one) for one in value.get("values") or ()]
    if kind == "kvlistValue":
        return {one.get("key"): _value(one.get("value")) for one in value.get("values") or ()}
    return int(value) if kind == "intValue" else value


def _name(event: Mapping[str, Any]) -> str:
    given = event.get("attributes")
    told = _attributes({"attributes": given}).get("event.name") if given else None
    return str(picked(event, "name", "eventName", "event_name") or told or "")


def _is_answer(given: Attributes, span: Mapping[str, Any]) -> bool:
    is_ours = any(str(name).startswith("gen_ai.") for name in given) or any(
        _name(event).startswith("gen_ai.") for event in span.get("events") or ()
    )
    return is_ours and given.get("gen_ai.operation.name") not in WITHOUT_ANSWER


def _answer(span: Mapping[str, Any], given: Attributes) -> Logged:
    if given.get("error.type"):
        raise RowFault("error: the request failed, so there is no answer")
    start = moment(picked(span, "startTimeUnixNano", "start_time", "startTime", "timeUnixNano"))
    end = moment(picked(span, "endTimeUnixNano", "end_time", "endTime"))
    context = span.get("context") if isinstance(span.get("context"), Mapping) else {}
    turns, reason = _turns(span, given)
    reasons = unpacked(given.get("gen_ai.response.finish_reasons"))
    name = given.get("gen_ai.response.id") or picked(span, "spanId", "span_id") or picked(context or {}, "span_id")
    return logged(
        name,
        end or start,
        picked(given, "gen_ai.response.model", "gen_ai.request.model"),
        turns,
        num_prompt=count(picked(given, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")),
        num_answer=count(picked(given, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")),
        seconds=seconds_between(start, end),
        finish_reason=str(reasons[0]) if isinstance(reasons, list) and reasons else reason,
        conversation=str(picked(given, "gen_ai.conversation.id", "session.id") or picked(span, "traceId") or ""),
    )


def _turns(span: Mapping[str, Any], given: Attributes) -> tuple[tuple[Message, ...], str]:
    """The turns, answer last, and why it ended."""
    for read in (_by_messages, _by_numbers):
        if found := read(given):
            return found
    if found := _by_events(span.get("events") or ()):
        return found
    raise RowFault("no-answer: the span holds no messages; its instrumentation has to record content")


def _by_messages(given: Attributes) -> tuple[tuple[Message, ...], str] | None:
    asked = unpacked(picked(given, "gen_ai.input.messages", "gen_ai.prompt"))
    said = unpacked(picked(given, "gen_ai.output.messages", "gen_ai.completion"))
    if asked is None or said is None:
        return None
    told = unpacked(given.get("gen_ai.system_instructions"))
    system = _in_parts([{"role": "system", "parts": told}]) if isinstance(told, list) else ()
    answer = said[0] if isinstance(said, list) and said else {"content": said}
    reason = str(answer.get("finish_reason") or "") if isinstance(answer, Mapping) else ""
    prompt = _in_parts(asked) if isinstance(asked, list) else (Message(role="user", content=str(asked)),)
    return (*system, *prompt, *_in_parts([{**answer, "role": "assistant"}])), reason


def _in_parts(turns: Sequence[Any]) -> tuple[Message, ...]:
    """Turns whose content may be in parts: {"type": "text", "content": "..."}."""
    plain = []
    for turn in turns:
        parts = turn.get("parts") if isinstance(turn, Mapping) else None
        if parts is None:
            plain.append(turn)
            continue
        texts = [{"type": one.get("type", "text"), "text": one.get("content")} for one in parts]
        plain.append({"role": turn.get("role"), "content": [one for one in texts if one["type"] != "reasoning"]})
    return read_turns(plain)


def _by_numbers(given: Attributes) -> tuple[tuple[Message, ...], str] | None:
    """gen_ai.prompt.0.role, gen_ai.prompt.0.content, ..., gen_ai.completion.0.content."""
    asked: list[Any] = []
    while (content := given.get(f"gen_ai.prompt.{len(asked)}.content")) is not None:
        asked.append({"role": given.get(f"gen_ai.prompt.{len(asked)}.role", "user"), "content": unpacked(content)})
    said = given.get("gen_ai.completion.0.content")
    if not asked or said is None:
        return None
    turns = read_turns([*asked, {"role": "assistant", "content": said}])
    return turns, str(given.get("gen_ai.completion.0.finish_reason") or "")


def _by_events(events: Iterable[Mapping[str, Any]]) -> tuple[tuple[Message, ...], str] | None:
    """One event for each message, or one for the prompt and one for the answer."""
    asked: list[Any] = []
    said: Any = None
    for event in events:
        name, held = _name(event), _held(event)
        if name in SAID_BY:
            asked.append({"role": SAID_BY[name], **held})
        elif name == "gen_ai.content.prompt":
            prompt = unpacked(held.get("gen_ai.prompt"))
            asked += prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        elif name in ("gen_ai.choice", "gen_ai.content.completion") and said is None:
            said = held
    if not asked or said is None:
        return None
    inner = unpacked(picked(said, "message", "gen_ai.completion")) or said
    inner = inner[0] if isinstance(inner, list) else inner
    answer = inner if isinstance(inner, Mapping) else {"content": inner}
    reason = str(picked(said, "finish_reason") or answer.get("finish_reason") or "")
    return (*_in_parts(asked), *_in_parts([{**answer, "role": "assistant"}])), reason


def _held(event: Mapping[str, Any]) -> Attributes:
    """What an event says: its attributes, the JSON in one of them, or its body."""
    given = _attributes({"attributes": event.get("attributes")})
    inner = unpacked(given.get("gen_ai.event.content"))
    body = _value(event.get("body"))
    return {**given, **(inner if isinstance(inner, Mapping) else {}), **(body if isinstance(body, Mapping) else {})}
