"""A talk that keeps what it was told."""

from burnish.talk import Silence


class Heard(Silence):
    """Keeps every line, and apart from one another what was said and what was warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)
        self.lines.append(text)
