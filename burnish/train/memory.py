"""Working in smaller portions when memory runs out."""

from collections.abc import Callable
from typing import TypeVar

from burnish.errors import TrainingError
from burnish.talk import Talk

T = TypeVar("T")


def in_portions(work: Callable[[int], T], rows_at_once: int, talk: Talk) -> tuple[T, int]:
    """work(rows at a time), halving the rows each time memory runs out; returns the result and the rows that fitted.

    Raises TrainingError when one row alone does not fit.
    """
    while True:
        try:
            return work(rows_at_once), rows_at_once
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if rows_at_once == 1:
                raise TrainingError(
                    "out of memory with a single row at a time",
                    hint="Lower data.max_tokens, try fewer candidates in train.search, or take a smaller base.",
                ) from error
        rows_at_once = (rows_at_once + 1) // 2
        talk.warn(f"out of memory: going on with {rows_at_once} rows at a time; steps and batch size stay the same")


def is_out_of_memory(error: BaseException) -> bool:
    """True for Python's MemoryError and for what torch raises in its place on CPU and accelerators."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
