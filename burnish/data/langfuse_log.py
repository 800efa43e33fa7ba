"""Exports of Langfuse: observations of the type GENERATION, alone or inside their traces, with what users scored."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.data.logged import Logged, count, logged, moment, picked, seconds_between, unpacked
from burnish.data.shapes import RowFault, read_turns
from burnish.records import Message
from burnish.store.traffic import Remark

FROM_USERS = ("feedback", "thumb", "rating")
"""Parts of a score's name that say a user gave it."""


def read_langfuse(row: Mapping[str, Any]) -> list[Logged]:
    """The answers of one line: of a trace those of its generations, or its own where it lists none. Raises RowFault."""
    scores = _scores(row)
    observations = unpacked(row.get("observations"))
    inner = [one for one in observations if isinstance(one, Mapping)] if isinstance(observations, list) else []
    if generations := [one for one in inner if str(one.get("type")).upper() == "GENERATION"]:
        about_trace = _remarks([one for one in scores if not picked(one, "observationId", "observation_id")])
        found = [_answer({**_shared(row), **one}, _scores(one) + _of(scores, one)) for one in generations]
        last = found[-1]
        return [*found[:-1], last._replace(remarks=(*last.remarks, *about_trace))]
    if str(row.get("type", "GENERATION")).upper() != "GENERATION":
        return []
    return [_answer(row, scores)]


def _answer(row: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> Logged:
    if str(row.get("level")).upper() == "ERROR":
        raise RowFault("error: the request failed, so there is no answer")
    usage = picked(row, "usageDetails", "usage_details", "usage") or {}
    usage = usage if isinstance(usage, Mapping) else {}
    start = moment(picked(row, "startTime", "start_time", "timestamp"))
    end = moment(picked(row, "endTime", "end_time"))
    return logged(
        row.get("id"),
        end or start,
        picked(row, "model", "providedModelName", "provided_model_name"),
        (*_asked(unpacked(row.get("input"))), _said(unpacked(row.get("output")))),
        num_prompt=count(picked(usage, "input", "promptTokens", "inputTokens")),
        num_answer=count(picked(usage, "output", "completionTokens", "outputTokens")),
        seconds=seconds_between(start, end),
        conversation=str(picked(row, "sessionId", "session_id", "traceId", "trace_id") or ""),
        remarks=_remarks(scores),
    )


def _asked(given: Any) -> tuple[Message, ...]:
    if isinstance(given, Mapping):
        given = picked(given, "messages", "prompt", "input", "question", "query")
    if isinstance(given, str):
        return (Message(role="user", content=given),)
    if given is None:
        raise RowFault("empty-prompt: the generation has no input")
    return read_turns(given)


def _said(given: Any) -> Message:
    if isinstance(given, Mapping) and isinstance(given.get("choices"), list) and given["choices"]:
        given = given["choices"][0].get("message")
    if isinstance(given, list) and given:
        given = given[-1]
    if isinstance(given, Mapping) and "content" not in given:
        given = picked(given, "completion", "output", "answer", "text")
    turn = given if isinstance(given, Mapping) else {"content": given}
    return read_turns([{**turn, "role": "assistant"}])[0]


def _shared(trace: Mapping[str, Any]) -> dict[str, Any]:
    """What a trace says for all in it."""
    return {"sessionId": picked(trace, "sessionId", "session_id") or trace.get("id")}


def _scores(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = unpacked(row.get("scores"))
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _of(scores: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in scores if picked(one, "observationId", "observation_id") == row.get("id")]


def _remarks(scores: Sequence[Mapping[str, Any]]) -> tuple[Remark, ...]:
    """Thumbs and comments of users; what a machine scored is none."""
    found: list[Remark] = []
    for score in scores:
        value = picked(score, "value")
        value = score.get("value") if value is None else value
        if not any(part in str(score.get("name")).lower() for part in FROM_USERS):
            continue
        if isinstance(value, bool | int | float):
            found.append(Remark("up" if value > 0 else "down"))
        if isinstance(comment := score.get("comment"), str) and comment.strip():
            found.append(Remark("text", comment.strip()))
    return tuple(found)
