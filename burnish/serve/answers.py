"""The objects that clients get, as the OpenAI API has them: completions, their chunks and their usage."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from burnish.serve.engine import Ended, Spoke
from burnish.serve.speech import Spelling, label_entry

Kind = Literal["chat", "text"]
OBJECTS = {("chat", False): "chat.completion", ("chat", True): "chat.completion.chunk"}
"""Name of an object by its kind and whether it is a piece of a stream; completions have one name for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an answer looks like, but for what is said."""

    id: str
    """Random; of one answer."""
    kind: Kind
    model: str
    """Name of the version that answers."""
    fingerprint: str
    """Of the base."""
    spelling: Spelling
    has_logprobs: bool
    num_prompt: int
    """Tokens of the prompt."""
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def response_id(self) -> str:
        """The id that the client sees."""
        return f"{'chatcmpl' if self.kind == 'chat' else 'cmpl'}-{self.id}"

    def whole(self, ended: Ended, spoken: Sequence[Spoke]) -> dict[str, Any]:
        """The answer as one object."""
        text, logprobs = ended.text, self._logprobs(spoken, ended, 0)
        said = {"message": {"role": "assistant", "content": text, "refusal": None}}
        choice = {"index": 0, **(said if self.kind == "chat" else {"text": text})}
        choice |= {"logprobs": logprobs, "finish_reason": ended.reason}
        return {**self._head(is_chunk=False), "choices": [choice], "usage": self.usage(ended)}

    def opening(self) -> dict[str, Any]:
        """The first piece of a chat stream: who speaks."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None, None)

    def piece(
        self, text: str, spoken: Sequence[Spoke], start: int, ended: Ended | None = None, *, is_last: bool = False
    ) -> dict[str, Any]:
        """A piece of a stream; `start` is the place of its text in the answer."""
        said = {"delta": {"content": text} if text else {}} if self.kind == "chat" else {"text": text}
        reason = ended.reason if ended and is_last else None
        return self._chunk(said, self._logprobs(spoken, ended, start), reason)

    def closing(self, ended: Ended) -> dict[str, Any]:
        """The piece of a stream that says what it took."""
        return {**self._head(is_chunk=True), "choices": [], "usage": self.usage(ended)}

    def usage(self, ended: Ended) -> dict[str, int]:
        """Tokens that went in and came out, the ending one included."""
        total = self.num_prompt + ended.num_tokens
        return {"prompt_tokens": self.num_prompt, "completion_tokens": ended.num_tokens, "total_tokens": total}

    def _chunk(self, said: dict[str, Any], logprobs: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, **said, "logprobs": logprobs, "finish_reason": reason}
        return {**self._head(is_chunk=True), "choices": [choice]}

    def _head(self, *, is_chunk: bool) -> dict[str, Any]:
        return {
            "id": self.response_id,
            "object": OBJECTS.get((self.kind, is_chunk), "text_completion"),
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _logprobs(self, spoken: Sequence[Spoke], ended: Ended | None, start: int) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        if self.kind == "text":
            return self.spelling.columns(spoken, start)
        is_label = ended is not None and ended.is_choice
        content = [label_entry(ended.text, ended.logprob)] if ended and is_label else self.spelling.content(spoken)
        return {"content": content, "refusal": None}
