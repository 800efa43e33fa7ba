"""Logs of OpenAI's APIs: lines with a request and its response, of chat completions, responses or batches."""

from collections.abc import Mapping
from typing import Any

from burnish.data.logged import Logged, count, logged, moment, picked, unpacked
from burnish.data.shapes import RowFault, read_turns
from burnish.records import Message


def read_openai(row: Mapping[str, Any]) -> Logged:
    """The answer of one line. The request may stand beside the response's fields too. Raises RowFault."""
    request, response = _object(row, "request"), _object(row, "response")
    response = response or (row if "choices" in row or "output" in row else {})
    request = request or row
    if picked(row, "error") or picked(response, "error"):
        raise RowFault("error: the request failed, so there is no answer")
    if not response:
        raise RowFault("columns: there is no response")
    read = _of_responses if isinstance(response.get("output"), list) else _of_chat
    turns, reason, logprob = read(request, response)
    usage = picked(response, "usage") or {}
    return logged(
        picked(response, "id") or picked(row, "id", "custom_id"),
        moment(picked(response, "created", "created_at") or picked(row, "created", "created_at", "timestamp")),
        picked(response, "model") or picked(request, "model"),
        turns,
        num_prompt=count(picked(usage, "prompt_tokens", "input_tokens")),
        num_answer=count(picked(usage, "completion_tokens", "output_tokens")),
        logprob=logprob,
        finish_reason=reason,
    )


def _object(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under this name; of a batch file its body."""
    found = unpacked(row.get(name))
    if not isinstance(found, Mapping):
        return {}
    body = unpacked(found.get("body"))
    return body if isinstance(body, Mapping) else found


Answered = tuple[tuple[Message, ...], str, float | None]


def _of_chat(request: Mapping[str, Any], response: Mapping[str, Any]) -> Answered:
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise RowFault("columns: the response has no choices")
    choice, prompt = choices[0], picked(request, "messages", "prompt")
    if prompt is None:
        raise RowFault("columns: the request has no messages")
    asked = (Message(role="user", content=prompt),) if isinstance(prompt, str) else read_turns(prompt)
    said = picked(choice, "message", "text")
    answer = said if isinstance(said, Mapping) else {"content": said}
    turns = read_turns([{**answer, "role": "assistant"}])
    return (*asked, *turns), str(choice.get("finish_reason") or ""), _logprob(choice.get("logprobs"))


def _of_responses(request: Mapping[str, Any], response: Mapping[str, Any]) -> Answered:
    told, given = picked(request, "instructions"), picked(request, "input")
    system = [Message(role="system", content=told)] if isinstance(told, str) else []
    asked = [Message(role="user", content=given)] if isinstance(given, str) else [*read_turns(given)]
    said = [one for one in response["output"] if isinstance(one, Mapping) and one.get("type", "message") == "message"]
    if not said:
        raise RowFault("no-answer: the response holds no message")
    answer = read_turns([{"role": "assistant", "content": said[-1].get("content")}])
    return (*system, *asked, *answer), "stop" if response.get("status") == "completed" else "length", None


def _logprob(given: Any) -> float | None:
    """Of the whole answer, where every token tells its own."""
    tokens = given.get("content") if isinstance(given, Mapping) else None
    told = [one.get("logprob") for one in tokens if isinstance(one, Mapping)] if isinstance(tokens, list) else []
    numbers = [float(one) for one in told if isinstance(one, int | float)]
    return sum(numbers) if numbers and len(numbers) == len(told) else None
