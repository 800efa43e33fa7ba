"""The corpus: one text a line, a JSON string, plain or packed by xz; its last lines are held out.

Held-out lines come from one function and all others from another, and neither knows a way to the other's.
"""

import json
import lzma
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from burnish.errors import DataError
from burnish.fingerprint import fingerprint_file
from recipes.base.tokenizer import TURN


class Corpus(NamedTuple):
    """A file of texts, and how many of its last lines are never trained on."""

    path: Path
    held_out_lines: int

    def training_texts(self) -> Iterator[str]:
        """Every text but the held-out ones, in the file's order. Raises DataError when none is left."""
        waiting: deque[str] = deque()
        is_empty = True
        for text in read_texts(self.path):
            waiting.append(text)
            if len(waiting) > self.held_out_lines:
                is_empty = False
                yield waiting.popleft()
        if is_empty:
            raise DataError(
                f"{self.path} has {len(waiting):,} texts, of which {self.held_out_lines:,} are held out",
                hint="Give a larger corpus, or hold out fewer lines.",
            )

    def held_out_texts(self) -> list[str]:
        """The last texts of the file."""
        return list(deque(read_texts(self.path), maxlen=self.held_out_lines))

    def sha256(self) -> str:
        """Of the file as it lies on the disk."""
        return fingerprint_file(self.path)


def is_dialogue(text: str) -> bool:
    """True for a conversation in ChatML."""
    return text.startswith(TURN)


def read_texts(path: Path, most: int | None = None) -> Iterator[str]:
    """The texts of a file, at most so many. Raises DataError for a file or a line that cannot be read."""
    if not path.is_file():
        raise DataError(
            f"there is no corpus {path}", hint="Give a file with one JSON string a line (.jsonl, .jsonl.xz)."
        )
    try:
        with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(islice(file, most), 1):
                yield _text(line, f"line {number} of {path.name}")
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="Copy the file again and compare its sha256.") from error


def _text(line: str, where: str) -> str:
    try:
        text = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is no JSON: {line[:40]!r}", hint='Write each text as "a JSON string".') from error
    if not isinstance(text, str) or not text.strip():
        found = "an empty text" if isinstance(text, str) else type(text).__name__
        raise DataError(f"{where} is no text but {found}", hint='Write each text as "a JSON string".')
    return text
