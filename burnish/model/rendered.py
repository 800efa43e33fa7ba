"""A rendered conversation: its tokens, which of them are learned, and the text that they stand for."""

from dataclasses import dataclass

LEARNED = ("⟦", "⟧")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A conversation as tokens, and which of them are learned: every answer with the token that ends it."""

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]
    pieces: tuple[tuple[str, bool], ...]
    """The text in pieces, each learned or not; control tokens as they are written."""
    forged: int = 0
    """Control tokens found inside contents and turned into plain text."""
    asked: tuple[bool, ...] = ()
    """Which tokens stand wholly inside what a user wrote; empty: not known."""

    @property
    def text(self) -> str:
        """The whole text, control tokens shown."""
        return "".join(text for text, _ in self.pieces)


def show(rendered: Rendered) -> str:
    """The text with learned spans between ⟦ and ⟧, readable without colour."""
    return "".join(text.join(LEARNED) if learned and text else text for text, learned in rendered.pieces)
