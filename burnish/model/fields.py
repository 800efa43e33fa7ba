"""A JSON object with given keys as a grammar over tokens: whatever a model prefers, its answer parses.

The grammar reads bytes, because tokens end anywhere, even inside a letter. A token is allowed when all its bytes are;
it may close one value, spell the next key and open the next value in one go, as tokens of trained models do.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.base import Base

QUOTE, BACKSLASH = ord('"'), ord("\\")
ESCAPED = frozenset(b'"\\/bfnrt')


class _At(NamedTuple):
    """Where a byte stream is: inside literal text number `part` at `offset`, or, with offset -1, in value `part`."""

    part: int
    offset: int
    inside: str = ""
    """Within a value: "" between letters, "\\" after a backslash, or what is awaited of a longer letter."""


_LETTER = {
    "1": (0x80, 0xBF, ""),
    "2": (0x80, 0xBF, "1"),
    "3": (0x80, 0xBF, "2"),
    "e0": (0xA0, 0xBF, "1"),
    "ed": (0x80, 0x9F, "1"),
    "f0": (0x90, 0xBF, "2"),
    "f4": (0x80, 0x8F, "2"),
}
"""What a letter of several bytes still needs: lowest and highest next byte, what follows (Unicode 16, table 3-7)."""


class FieldsGrammar:
    """The object {"key":"value",...} with the given keys in their order, all values strings, no white space between."""

    def __init__(self, base: Base, keys: Sequence[str], *, before: str, max_new_tokens: int) -> None:
        """`before` is text that the template puts before an answer.

        All values share `max_new_tokens`: one may take what those before it left, as long as half an equal share stays
        for each behind it; then it is closed.
        """
        assert keys, "an object needs a field"
        spelled = [json.dumps(key, ensure_ascii=False) for key in keys]
        starts = [before + "{" + spelled[0], *('",' + key for key in spelled[1:])]
        self.literals = [f'{start}:"'.encode() for start in starts] + [b'"}']
        self.value_tokens = max(len(keys), max_new_tokens)
        self._kept_back = self.value_tokens // (2 * len(keys))
        self.size = base.vocab_size
        self.device = base.device
        self._bytes = token_bytes(base)
        self._by_first: dict[int, list[int]] = {}
        for token, spelled_token in enumerate(self._bytes):
            if spelled_token:
                self._by_first.setdefault(spelled_token[0], []).append(token)
        self._masks: dict[tuple[_At, bool], Tensor] = {}
        self._in_value = [t for t, s in enumerate(self._bytes) if s and QUOTE not in s and self.follow(_At(0, -1), t)]
        self._quoted = [t for t, s in enumerate(self._bytes) if s and QUOTE in s]

    @property
    def most_tokens(self) -> int:
        """No object takes more tokens than this: one a byte of the keys, and at most 4 to close a value."""
        return sum(map(len, self.literals)) + self.value_tokens + (len(self.literals) - 1) * 4

    def kept_back(self, part: int) -> int:
        """Tokens that value number `part` must leave to those behind it."""
        return self._kept_back * (len(self.literals) - 2 - part)

    def is_end(self, at: _At) -> bool:
        """True when the object is complete."""
        return at.part == len(self.literals) - 1 and at.offset == len(self.literals[-1])

    def follow(self, at: _At, token: int) -> _At | None:
        """Where a token leads, or None when it is not allowed there."""
        spelled = self._bytes[token]
        if not spelled:
            return None
        here: _At | None = at
        for byte in spelled:
            here = self._byte(here, byte)
            if here is None:
                return None
        return here

    def allowed(self, at: _At, *, must_close: bool) -> Tensor:
        """Tokens that may come next, bool [V]; `must_close`: only those that bring the value to its end."""
        key = (at, must_close)
        if key not in self._masks:
            mask = torch.zeros(self.size, dtype=torch.bool)
            tokens = [token for token in self._starters(at) if self._fits(at, token, must_close)]
            if at.offset == -1 and not at.inside and not must_close:
                tokens += self._in_value
            if not tokens:
                raise ModelError(
                    "the tokenizer of this base cannot spell a JSON object",
                    hint="Use the task kind text, or another base.",
                )
            mask[tokens] = True
            self._masks[key] = mask.to(self.device)
        return self._masks[key]

    def _fits(self, at: _At, token: int, must_close: bool) -> bool:
        after = self.follow(at, token)
        if after is None or not must_close or after.offset != -1 or after.part != at.part:
            return after is not None
        is_shorter = after.inside == "" or after.inside < at.inside  # a letter is finished byte by byte
        return bool(at.inside) and is_shorter and len(self._bytes[token] or b"") == 1

    def _starters(self, at: _At) -> Sequence[int]:
        """Tokens that are worth a look; within a value those without a quote are known already."""
        if at.offset >= 0:
            return self._by_first.get(self.literals[at.part][at.offset], [])
        return self._quoted if not at.inside else range(len(self._bytes))

    def _byte(self, at: _At | None, byte: int) -> _At | None:
        assert at is not None
        if at.offset >= 0:
            literal = self.literals[at.part]
            if at.offset == len(literal) or literal[at.offset] != byte:
                return None
            is_value = at.offset + 1 == len(literal) and at.part < len(self.literals) - 1
            return _At(at.part, -1) if is_value else _At(at.part, at.offset + 1)
        if at.inside == "\\":
            return _At(at.part, -1) if byte in ESCAPED else None
        if at.inside:
            lowest, highest, rest = _LETTER[at.inside]
            return _At(at.part, -1, rest) if lowest <= byte <= highest else None
        if byte == QUOTE:
            return _At(at.part + 1, 1)
        if byte == BACKSLASH:
            return _At(at.part, -1, "\\")
        inside = _first_byte(byte)
        return None if inside is None else _At(at.part, -1, inside)


def _first_byte(byte: int) -> str | None:
    """What a letter that begins with this byte still needs; None when no letter does, or only a control character."""
    if byte < 0x80:
        return "" if byte >= 0x20 else None
    if 0xC2 <= byte <= 0xDF:
        return "1"
    if 0xE0 <= byte <= 0xEF:
        return {0xE0: "e0", 0xED: "ed"}.get(byte, "2")
    return {0xF0: "f0", 0xF1: "3", 0xF2: "3", 0xF3: "3", 0xF4: "f4"}.get(byte)


class FieldsWalk:
    """One object on its way through the grammar."""

    def __init__(self, grammar: FieldsGrammar) -> None:
        self._grammar = grammar
        self._at = _At(0, 0)
        self._left = grammar.value_tokens
        self._was_cut = False

    @property
    def stop(self) -> Literal["end", "length"] | None:
        """length when a value had to be closed at its budget."""
        if not self._grammar.is_end(self._at):
            return None
        return "length" if self._was_cut else "end"

    def allowed(self) -> Tensor | None:
        """Tokens that may come next; any once the object is complete."""
        if self._grammar.is_end(self._at):
            return None
        return self._grammar.allowed(self._at, must_close=self._must_close)

    def push(self, token: int) -> None:
        """Takes the next token, which must be an allowed one."""
        after = self._grammar.follow(self._at, token)
        assert after is not None, (self._at, token)
        self._was_cut |= self._must_close
        if self._at.offset == -1 and after.part == self._at.part:
            self._left -= 1
        self._at = after

    @property
    def _must_close(self) -> bool:
        return self._at.offset == -1 and self._left <= self._grammar.kept_back(self._at.part)


def token_bytes(base: Base) -> list[bytes | None]:
    """The bytes that each token stands for; None for control tokens and numbers without a token."""
    tokenizer = base.tokenizer
    is_byte_level = '"ByteLevel"' in json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["decoder"])
    known: list[bytes | None] = [None] * base.vocab_size
    for text, token in tokenizer.get_vocab().items():
        if token not in tokenizer.added_tokens_decoder and token < len(known):
            known[token] = _from_byte_letters(text) if is_byte_level else _from_pieces(text)
    return known


def _from_pieces(text: str) -> bytes:
    """SentencePiece's spelling: ▁ is a space, <0xNN> a byte."""
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes([int(text[3:5], 16)])
    return text.replace("▁", " ").encode()


def _from_byte_letters(text: str) -> bytes | None:
    letters = _byte_letters()
    return bytes(letters[letter] for letter in text) if all(letter in letters for letter in text) else None


@cache
def _byte_letters() -> dict[str, int]:
    """GPT-2's spelling of bytes as printable letters (Radford et al. 2019): others stand from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}
