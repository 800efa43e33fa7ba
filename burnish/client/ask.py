"""One question to a teacher, its identity, and the most that it can cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from burnish.config import EndpointSettings
from burnish.fingerprint import fingerprint
from burnish.records import Message, as_json

TOKENS_A_MESSAGE = 16
"""Markers that a chat template may put around one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a teacher is asked."""

    messages: tuple[Message, ...]
    max_new_tokens: int
    temperature: float = 0.0
    draw: int = 0
    """Numbers several answers to the same question."""

    @property
    def most_input_tokens(self) -> int:
        """No tokenizer in use makes more tokens than there are bytes."""
        return sum(len(turn.content.encode("utf-8", "replace")) + TOKENS_A_MESSAGE for turn in self.messages)

    @property
    def most_tokens(self) -> int:
        """Of question and answer."""
        return self.most_input_tokens + self.max_new_tokens


def key_of(ask: Ask, settings: EndpointSettings) -> str:
    """Identity of a question to this model of this endpoint; the key of its kept reply."""
    return fingerprint([settings.base_url, settings.model, settings.json_mode, as_json(ask)])


def body_of(ask: Ask, settings: EndpointSettings) -> dict[str, Any]:
    """The arguments of chat.completions.create."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in ask.messages],
        settings.limit_name: ask.max_new_tokens,
        "temperature": ask.temperature,
        "seed": ask.draw,
    }
    return {**body, "response_format": {"type": "json_object"}} if settings.json_mode else body


def repair_of(ask: Ask, text: str, fault: str) -> Ask:
    """The one further question after an answer that cannot be used."""
    complaint = f"That cannot be used: {fault}. Answer the first message again, in exactly the form that it asks for."
    return replace(ask, messages=(*ask.messages, *_turns([("assistant", text), ("user", complaint)])))


def price(settings: EndpointSettings, num_input: int, num_output: int) -> float:
    """USD for so many tokens; 0 where the settings name no price."""
    per_input, per_output = settings.usd_per_million_input or 0.0, settings.usd_per_million_output or 0.0
    return (num_input * per_input + num_output * per_output) / 1e6


def _turns(parts: Sequence[tuple[Any, str]]) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=content) for role, content in parts)
