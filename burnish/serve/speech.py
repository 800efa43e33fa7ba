"""Tokens as the text they stand for: bit by bit for a stream, and one by one for log-probabilities."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from burnish.model.base import Base
from burnish.model.fields import token_bytes
from burnish.serve.engine import Spoke

TORN = "\ufffd"
"""How the beginning of a letter reads whose other bytes have not come yet."""


class Speech:
    """An answer while it is produced; its parts put together are the whole answer, whatever the tokens cut."""

    def __init__(self, base: Base, stops: Sequence[str]) -> None:
        self._base, self._stops = base, stops
        self._tokens: list[int] = []
        self._sent = 0

    def hear(self, token: int) -> str:
        """The text that is certain now and was not before: no torn letter, and nothing that may become a stop text."""
        self._tokens.append(token)
        text = self._base.chat.answer_text(self._tokens).rstrip(TORN)
        return self._upto(text, _certain(text, self._stops))

    def end(self, text: str) -> str:
        """What is left of the whole answer."""
        return self._upto(text, len(text))

    def _upto(self, text: str, end: int) -> str:
        part = text[self._sent : end]
        self._sent = max(self._sent, end)
        return part


def _certain(text: str, stops: Sequence[str]) -> int:
    """How much of the text no stop text that has come, or may be coming, can cut off."""
    cuts = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    for stop in stops:
        half = next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)
        cuts.append(len(text) - half)
    return min(cuts, default=len(text))


class Spelling:
    """How tokens are written in log-probabilities."""

    def __init__(self, base: Base) -> None:
        self._base = base

    @cached_property
    def _bytes(self) -> list[bytes | None]:
        return token_bytes(self._base)

    def entry(self, token: int, logprob: float) -> dict[str, Any]:
        """A token with its log-probability, in nats, as the chat API tells it; control tokens have no bytes."""
        spelled = self._bytes[token]
        return {"token": self.text(token), "logprob": logprob, "bytes": None if spelled is None else list(spelled)}

    def text(self, token: int) -> str:
        """The token alone as text."""
        spelled = self._bytes[token]
        name: str | None = self._base.tokenizer.convert_ids_to_tokens(token) if spelled is None else None
        return (name or "") if spelled is None else spelled.decode("utf-8", "replace")

    def content(self, spoken: Sequence[Spoke]) -> list[dict[str, Any]]:
        """The chat API's `logprobs.content`."""
        return [
            {**self.entry(one.token, one.logprob), "top_logprobs": [self.entry(*pair) for pair in one.top]}
            for one in spoken
        ]

    def columns(self, spoken: Sequence[Spoke], start: int) -> dict[str, Any]:
        """The completion API's `logprobs`; `start` is the place of the first token in the answer's text."""
        texts = [self.text(one.token) for one in spoken]
        return {
            "tokens": texts,
            "token_logprobs": [one.logprob for one in spoken],
            "top_logprobs": [{self.text(token): logprob for token, logprob in one.top} for one in spoken],
            "text_offset": [start + sum(map(len, texts[:at])) for at in range(len(texts))],
        }


def label_entry(label: str, logprob: float) -> dict[str, Any]:
    """A chosen label as one token: its log-probability is the sum over its tokens and the end of the turn."""
    return {"token": label, "logprob": logprob, "bytes": list(label.encode()), "top_logprobs": []}
