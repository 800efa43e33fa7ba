"""JSON that keeps to a schema, as a grammar over tokens: llguidance says which tokens may come next.

The schema is somebody's: it is compiled under limits, and what it cannot say is told before anything is generated.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from torch import Tensor

from burnish.errors import DataError, ModelError
from burnish.model.base import Base
from burnish.model.generator import Walk

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MOST_BYTES = 1 << 16
"""Of a schema's text."""
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
_COMPACT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
_SEEN = 64
"""Schemas that are kept compiled."""


class JsonGrammar:
    """Compiles schemas for one base; making it takes some 0.1 s, a schema it has seen nothing."""

    def __init__(self, base: Base) -> None:
        self._size, self._device = base.vocab_size, base.device
        backend = base.tokenizer.backend_tokenizer
        spelled = json.loads(backend.to_str())
        spelled["truncation"] = spelled["padding"] = None
        try:
            self._tokens = LLTokenizer(json.dumps(spelled), n_vocab=base.vocab_size, eos_token=base.chat.end_ids[0])
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"the tokenizer of {base.name} cannot be held to a grammar: {str(error)[:200]}",
                hint="Ask for text instead of JSON, or use another base.",
            ) from error
        self._compiled = lru_cache(maxsize=_SEEN)(self._compile)

    def start(self, schema: Mapping[str, Any]) -> Callable[[], Walk]:
        """What begins an answer that keeps to this JSON schema, written without white space between its parts.

        Raises DataError for a schema that is too large, or that says something that cannot be held to.
        """
        try:
            text = json.dumps(schema, sort_keys=False, allow_nan=False)
        except (ValueError, RecursionError) as error:
            raise _refused(str(error)) from error
        if len(text) > MOST_BYTES:
            raise _refused(f"it has {len(text):,} bytes, and {MOST_BYTES:,} are the most")
        matcher = self._compiled(text)
        return lambda: JsonWalk(matcher.deep_copy(), self._size, self._device)

    def _compile(self, text: str) -> LLMatcher:
        try:
            grammar = LLMatcher.grammar_from_json_schema(text, defaults=_COMPACT)
        except ValueError as error:
            raise _refused(str(error)) from error
        matcher = LLMatcher(self._tokens, grammar, log_level=0, limits=LLParserLimits())
        if matcher.is_error():
            raise _refused(matcher.get_error())
        return matcher


class JsonWalk:
    """One answer on its way through a grammar."""

    def __init__(self, matcher: LLMatcher, size: int, device: str) -> None:
        self._matcher, self._size, self._device = matcher, size, device

    @property
    def stop(self) -> Literal["end", "length"] | None:
        """end when the value is complete; length when the grammar had to be given up, a limit of its parser."""
        if self._matcher.is_error():
            return "length"
        return "end" if self._matcher.is_stopped() else None

    def allowed(self) -> Tensor | None:
        """Tokens that may come next, bool [V]; any where the grammar was given up."""
        packed = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            return None
        bits = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
        mask = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)).bitwise_and_(1).flatten()[: self._size].bool()
        return mask.to(self._device)

    def push(self, token: int) -> None:
        """Takes the next token, which must be an allowed one."""
        self._matcher.consume_token(token)


def _refused(what: str) -> DataError:
    line = " ".join(what.split())[:200]
    return DataError(f"this JSON schema cannot be held to: {line}", hint="Simplify it, or ask for json_object.")
