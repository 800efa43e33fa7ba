"""Text to tokens in which no control token can occur: one that is written into a message is letters, never a turn."""

import json
import re
import secrets
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer

KEPT_TEXTS = 64
"""Texts spelled lately that are kept: the instruction, the solved examples and the labels come again with every row."""


class ControlTokens:
    """The tokens of a tokenizer that no text may hold: special ones, and those that its chat template writes."""

    def __init__(self, tokenizer: Any, template: str) -> None:
        added: dict[int, Any] = tokenizer.added_tokens_decoder
        self.by_text = {
            token.content: (index, token)
            for index, token in added.items()
            if token.content.strip() and (token.special or token.content in template)
        }
        self.ids = frozenset(index for index, _ in self.by_text.values())
        longest_first = sorted(self.by_text, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """The text cut into control tokens (True) and what is between them."""
        pieces: list[tuple[str, bool]] = []
        at = 0
        for match in self.pattern.finditer(text):
            pieces += [(text[at : match.start()], False)] if match.start() > at else []
            pieces.append((match.group(), True))
            at = match.end()
        return [*pieces, (text[at:], False)] if at < len(text) else pieces


class Spelled(NamedTuple):
    """A text as tokens, each with where it begins and ends in the text; (0, 0): nowhere."""

    ids: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


class Speller:
    """A tokenizer without its control tokens, and with a secret mark that opens every text.

    The mark stands in for the control token before a text: some tokenizers treat the very first text otherwise.
    """

    def __init__(self, tokenizer: Any, control: ControlTokens) -> None:
        self._control_ids = control.ids
        self._mark = f"\ue000{secrets.token_hex(16)}\ue001"
        spelled = json.loads(tokenizer.backend_tokenizer.to_str())
        spelled["added_tokens"] = [one for one in spelled["added_tokens"] if one["content"] not in control.by_text]
        spelled["truncation"] = spelled["padding"] = spelled["post_processor"] = None
        self._plain = Tokenizer.from_str(json.dumps(spelled))
        self._plain.add_special_tokens([AddedToken(self._mark, normalized=False, special=True)])
        self._lately = lru_cache(maxsize=KEPT_TEXTS)(self._spelled)

    def spell(self, text: str) -> Spelled:
        """The text as tokens with their places; letter by letter, at no place, where it would come out as a turn."""
        return self._lately(text) if text else Spelled((), ())

    def _spelled(self, text: str) -> Spelled:
        marked = self._plain.encode(self._mark + text, add_special_tokens=False)
        if self._control_ids.isdisjoint(marked.ids[1:]):
            start = len(self._mark)
            places = tuple((low - start, high - start) for low, high in marked.offsets[1:])
            return Spelled(tuple(marked.ids[1:]), places)
        letters = (self._plain.encode(self._mark + letter, add_special_tokens=False).ids[1:] for letter in text)
        ids = tuple(token for ids in letters for token in ids if token not in self._control_ids)
        return Spelled(ids, ((0, 0),) * len(ids))
