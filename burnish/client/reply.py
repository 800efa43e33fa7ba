"""What a teacher sent back, read with suspicion: a reply is a text, or a fault with the raw bytes kept."""

import json
from typing import Any

from burnish.client.ask import Ask, price
from burnish.config import EndpointSettings
from burnish.store.replies import Reply

MOST_RAW = 20_000
"""Characters of a raw reply that are kept for people."""
UNREADABLE = "unreadable"
"""The fault of a body that is no chat completion; nobody knows whether it was paid."""
FINISHES = {
    "length": "cut off at the most tokens that it may have",
    "content_filter": "held back by the endpoint's content filter",
    "tool_calls": "a tool call in place of an answer",
    "function_call": "a tool call in place of an answer",
}


def read_reply(body: bytes, key: str, ask: Ask, settings: EndpointSettings) -> Reply:
    """The reply in a body of status 200; its `fault` says why it cannot be used.

    Usage that is missing or senseless counts at the most that the question can cost.
    """
    raw = body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")[:MOST_RAW]
    data = _json(body)
    if data is None:
        return _reply(key, ask, settings, {}, "", f"{UNREADABLE}: no JSON object but {_shown(raw)}", raw)
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if choice is None:
        return _reply(key, ask, settings, data, "", f"{UNREADABLE}: no choice in {_shown(raw)}", raw)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = message.get("content")
    text = text if isinstance(text, str) else ""
    return _reply(key, ask, settings, data, text, _fault(choice, message, text), raw)


def _fault(choice: dict[str, Any], message: dict[str, Any], text: str) -> str:
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        return "a refusal"
    if message.get("tool_calls"):
        return FINISHES["tool_calls"]
    finish = choice.get("finish_reason")
    if isinstance(finish, str) and finish in FINISHES:
        return FINISHES[finish]
    return "" if text.strip() else "an empty answer"


def _reply(
    key: str, ask: Ask, settings: EndpointSettings, data: dict[str, Any], text: str, fault: str, raw: str
) -> Reply:
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    num_input = _count(usage.get("prompt_tokens"), ask.most_input_tokens)
    num_output = _count(usage.get("completion_tokens"), ask.max_new_tokens)
    model = data.get("model")
    stamp = data.get("system_fingerprint")
    return Reply(
        key=key,
        asked=settings.model,
        model=f"{model if isinstance(model, str) else '?'}{f' {stamp}' if isinstance(stamp, str) else ''}"[:200],
        text=text.encode("utf-8", "replace").decode("utf-8"),
        fault=fault,
        raw=raw,
        num_input=num_input,
        num_output=num_output,
        usd=price(settings, num_input, num_output),
    )


def _count(value: Any, most: int) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12
    return value if is_count else most


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _shown(raw: str) -> str:
    return repr(raw[:60]) if raw else "nothing"
