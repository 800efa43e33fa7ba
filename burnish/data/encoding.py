"""Encodings beside UTF-8: UTF-16 with its mark is read; of anything else the likely one is named, never assumed."""

import codecs
import io
import shlex
from pathlib import Path
from typing import BinaryIO, NamedTuple

from burnish.errors import DataError

MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""The first bytes by which a text in UTF-16 is known, as Excel writes its "Unicode text"."""
UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
PIECE_BYTES = 1 << 16
SAMPLE_BYTES = 1 << 16
"""Looked at from the first row on that is not UTF-8, to name the likely encoding."""


class Kind(NamedTuple):
    """An encoding that is looked for, and what a text in it is made of beyond ASCII."""

    name: str
    """As iconv knows it."""
    letters: str = ""
    """Letters of the languages that are written in it."""
    script: tuple[str, str] = ("", "")
    """First and last letter of a script; its letters stand beside each other."""


WESTERN = "äöüßÄÖÜéèêëàâáãåîïíìóòôõøúùûçñæœÉÀÈÇÅØÆÑÁÍÓÚ"
KINDS = (
    Kind("WINDOWS-1252", WESTERN),
    Kind("WINDOWS-1250", WESTERN + "ąćęłńśźżĄĆĘŁŃŚŹŻčďěňřšťůýžČĎĚŇŘŠŤŮÝŽőűŐŰăâîșț"),
    Kind("WINDOWS-1251", script=("А", "я")),
    Kind("CP850", WESTERN),
    Kind("MACINTOSH", WESTERN),
    Kind("SHIFT_JIS", script=("ぁ", "龠")),
    Kind("GB18030", script=("一", "龠")),
)
"""Likeliest first: of two that fit alike the first is named."""
PYTHON_NAMES = {"MACINTOSH": "mac_roman"}
SIGNS = "„“”‚‘’«»…–—€°§·。，、？！：（）"
"""Plausible beyond ASCII where they do not stand inside a word."""
FEWEST_SHARE = 0.6
"""Of the characters beyond ASCII, which have to be plausible before an encoding is named."""


class Recoded(io.RawIOBase):
    """The UTF-8 of a stream in UTF-16, without its mark. Reading raises DataError at bytes that are no UTF-16."""

    def __init__(self, source: BinaryIO, encoding: str, name: str) -> None:
        self.source, self.encoding, self.name = source, encoding, name
        self.decoder = codecs.getincrementaldecoder(encoding)()
        self.num_bytes, self.line = len(source.read(len(codecs.BOM_UTF16))), 1
        self.waiting, self.is_done = b"", False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as one piece of the source goes; 0 at its end."""
        while not self.waiting and not self.is_done:
            self.waiting = self._next()
        piece, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def _next(self) -> bytes:
        num_held = len(self.decoder.getstate()[0])
        data = self.source.read(PIECE_BYTES)
        self.is_done = not data
        try:
            text = self.decoder.decode(data, final=self.is_done)
        except UnicodeDecodeError as error:
            at = self.num_bytes - num_held + error.start
            line = self.line + error.object[: error.start].decode(self.encoding, "replace").count("\n")
            raise DataError(
                f"{self.name}, line {line}: byte {at:,} of the file is not UTF-16, with which it begins",
                hint="save it again as UTF-8",
            ) from error
        self.num_bytes += len(data)
        self.line += text.count("\n")
        return text.encode("utf-8")


def refuse_unmarked(start: bytes, name: str, place: str) -> None:
    """Raises DataError for UTF-32, and for UTF-16 without the mark that would tell which of its two orders it has."""
    encoding = "UTF-32" if start.startswith(UTF32_MARKS) else ""
    sample = start[:2000]
    low, high = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(low, high) > 2 * len(sample) // 5 and min(low, high) < len(sample) // 50 + 1:
        encoding = encoding or ("UTF-16LE" if high > low else "UTF-16BE")
    if encoding:
        raise DataError(f"{name} is written in {encoding}, not UTF-8", hint=f"convert it: {command(place, encoding)}")


def recode_hint(place: str, sample: bytes) -> str:
    """What to do about a text that is no UTF-8: the likely encoding of the sample and the command that converts it.

    `place` is the path as it was given, "-" for standard input.
    """
    likely = likely_encoding(sample)
    said = f"it reads like {likely}" if likely else "its encoding could not be told; name it in place of ENCODING"
    return f"{said}: save it as CSV UTF-8, or convert it: {command(place, likely or 'ENCODING')}"


def command(place: str, encoding: str) -> str:
    """The shell command that writes a file in UTF-8 beside where it is run; for "-", the filter to put before."""
    if place == "-":
        return f"iconv -f {encoding} -t UTF-8, in the pipe before burnish"
    name = shlex.quote(f"utf8-{Path(place).name.removesuffix('.gz')}")
    convert = f"iconv -f {encoding} -t UTF-8"
    if place.endswith(".gz"):
        return f"gunzip -c {shlex.quote(place)} | {convert} > {name}"
    return f"{convert} {shlex.quote(place)} > {name}"


def likely_encoding(sample: bytes) -> str:
    """Name of the encoding under which most of what is beyond ASCII is a plausible letter or sign; "" for none.

    A guess for a hint: short samples, and encodings that differ in few letters, can be taken for each other.
    """
    shares = [(_plausible_share(kind, sample), -place) for place, kind in enumerate(KINDS)]
    share, place = max(shares)
    return KINDS[-place].name if share >= FEWEST_SHARE else ""


def _plausible_share(kind: Kind, sample: bytes) -> float:
    decoder = codecs.getincrementaldecoder(PYTHON_NAMES.get(kind.name, kind.name))()
    try:
        text = f" {decoder.decode(sample)} "  # what is cut at the end of the sample stays in the decoder
    except UnicodeDecodeError:
        return 0.0
    beyond = [at for at in range(len(text)) if text[at] > "\x7f"]
    return sum(_is_plausible(kind, text[at - 1 : at + 2]) for at in beyond) / max(len(beyond), 1)


def _is_plausible(kind: Kind, around: str) -> bool:
    """Whether the middle one of three characters may stand there."""
    before, char, after = around[0], around[1], around[2]
    first, last = kind.script
    if first and first <= char <= last:
        return first <= before <= last or first <= after <= last or not (before + after).isascii()
    if char in SIGNS:
        return not (before.isalpha() and after.isalpha()) or char == "’" or bool(first)
    return char in kind.letters and not (char.isupper() and before.islower())
