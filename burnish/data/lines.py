"""Bytes of a source as lines, in flat memory: a line of any length, a gzip bomb or an endless pipe cannot fill it.

Lines end at \\n alone, so that U+2028 inside a string splits nothing.
"""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from burnish.data.encoding import MARKS, UTF32_MARKS, Recoded
from burnish.errors import AccessError, DataError, StorageError

MAX_LINE_BYTES = 4_000_000
"""A longer line is reported and skipped, never held."""

FREE_BYTES = 4_000_000
"""Decompressed bytes that are read before the ratio of a gzip file is looked at."""

MAX_RATIO = 250
"""Decompressed to compressed bytes. Text reaches 5 to 20, repetitive tables 100; a bomb about 1,000."""

EMPTY = (b"\n", b"\r\n")
GZIP = b"\x1f\x8b"
BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


class Line(NamedTuple):
    """One line of a source."""

    number: int
    """From 1, as an editor counts."""
    offset: int
    """Bytes before it, after decompression."""
    data: bytes
    """Without its line end; only the beginning when the line is too long."""
    size_bytes: int
    fault: str = ""
    """Why the line cannot be used, as the reason of a rejection; empty when it can."""


def read_lines(stream: BinaryIO, *, keep_empty: bool = False) -> Iterator[Line]:
    """Every line, empty ones on demand; one that is too long has its beginning and a fault.

    A broken gzip stream ends with a faulty line.
    """
    number, offset = 0, 0
    while True:
        number += 1
        try:
            data = stream.readline(MAX_LINE_BYTES + 1)
            size = len(data)
            if size > MAX_LINE_BYTES and not data.endswith(b"\n"):
                size += _skip_rest(stream)
                fault = f"too-long: {size:,} bytes in one line, the limit is {MAX_LINE_BYTES:,}"
                yield Line(number, offset, data[:4000], size, fault)
                offset += size
                continue
        except BROKEN_GZIP as error:
            yield Line(number, offset, b"", 0, f"gzip: the compressed data is damaged or cut from here on ({error})")
            return
        if not data:
            return
        if size <= 2 and not keep_empty and data in EMPTY:
            offset += size
            continue
        yield Line(number, offset, data.rstrip(b"\r\n"), size)
        offset += size


def _skip_rest(stream: BinaryIO) -> int:
    """Reads to the end of the line in pieces; returns how many bytes that were."""
    total = 0
    while piece := stream.readline(1 << 20):
        total += len(piece)
        if piece.endswith(b"\n"):
            break
    return total


class Opened(NamedTuple):
    """An open source."""

    stream: "io.BufferedReader[Any]"
    name: str
    """Last part of the path without .gz, or stdin."""
    start: bytes
    """The first bytes, not consumed: at most 64 kB, on a pipe as much as has arrived."""
    place: str
    """The path as it was given, or -."""
    is_recoded: bool
    """Whether the source is UTF-16 and the stream its UTF-8, so that places in the two differ."""


@contextmanager
def open_source(source: Path | None) -> Iterator[Opened]:
    """The bytes of a file, or of standard input for None: unpacked when they are gzip, in UTF-8 when they are UTF-16.

    Raises DataError when there is no such file or it is a device, AccessError when it may not be read. A gzip bomb,
    and a mark of UTF-16 before what is none, raise DataError while they are read.
    """
    raw = _open_file(source) if source else sys.stdin.buffer
    name = source.name if source else "stdin"
    try:
        stream: io.BufferedReader[Any] = io.BufferedReader(_Raw(raw), 1 << 16)
        if stream.peek(2).startswith(GZIP):
            stream = io.BufferedReader(_Unpacked(stream, name), 1 << 16)
            name = name.removesuffix(".gz")
        start = _start(stream)
        encoding = "" if start.startswith(UTF32_MARKS) else MARKS.get(start[:2], "")
        if encoding:
            stream = io.BufferedReader(Recoded(stream, encoding, name), 1 << 16)
            start = _start(stream)
        yield Opened(stream, name, start, str(source or "-"), bool(encoding))
    except OSError as error:
        if isinstance(error, BROKEN_GZIP):
            raise
        raise StorageError(f"reading {name} failed: {error.strerror or error}", hint="check the disk") from error
    finally:
        if source:
            raw.close()


def _start(stream: "io.BufferedReader[Any]") -> bytes:
    try:
        return stream.peek(1 << 16)
    except BROKEN_GZIP:
        return b""


def _open_file(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise DataError(f"{path} is a device, not a file", hint="give a file, or - for standard input")
        if stat.S_ISDIR(mode):
            raise DataError(f"{path} is a folder, not a file", hint="give the file inside that is meant")
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", hint="check the path; - reads standard input") from error
    except PermissionError as error:
        raise AccessError(f"{path} may not be read", hint=f"chmod u+r {path}") from error
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{str(path)!r} cannot be opened: {told}", hint="check the path") from error


class _Raw(io.RawIOBase):
    """A readable stream made of another one's read1, which closing leaves open."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.num_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        read = getattr(self.source, "read1", self.source.read)
        data: bytes = read(size if size >= 0 else 1 << 16)
        self.num_bytes += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Unpacked(_Raw):
    """Decompressed bytes of a gzip stream, with a limit on how much larger they may be than what came in."""

    def __init__(self, packed: BinaryIO, name: str) -> None:
        self.packed = _Raw(packed)
        self.name = name
        super().__init__(gzip.GzipFile(fileobj=self.packed, mode="rb"))  # type: ignore[arg-type]

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        if self.num_bytes > FREE_BYTES and self.num_bytes > MAX_RATIO * self.packed.num_bytes:
            raise DataError(
                f"{self.name} unpacks to more than {MAX_RATIO} times its size, as no real data does",
                hint="if you trust it, unpack it yourself (`gunzip -k`) and add the unpacked file",
            )
        return data
