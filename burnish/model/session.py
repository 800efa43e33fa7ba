"""Texts that are being continued side by side: prompts run once, then tokens added to each row; rows come and go.

Shapes: B rows, N new tokens over all rows, Q of the row with most, C columns of the cache, D hidden size. Rows may have
any length and any adapter. What a new token sees is said explicitly, so a row's result does not depend on the rows
beside it, beyond the rounding of sums. A row that leaves is replaced by the last one, so rows stay contiguous.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from burnish.errors import DataError
from burnish.model.base import Base
from burnish.model.cache import KeyValues, Prefix
from burnish.model.decoder import can_decode
from burnish.model.forward import Head, exact_head, logits_of, output_head
from burnish.model.lora import LoraBank
from burnish.model.stacks import Stacks
from burnish.model.step import FamilyDecoder, Pass, StepDecoder

LOGITS_AT_ONCE = 1 << 21
"""Numbers of one block of logits (8 MB): what is summed over next should still be in the cache."""

LOGITS_ROWS = 128
"""But at least this many rows: each block reads the whole head."""


def check_lengths(base: Base, prompts: Sequence[Sequence[int]]) -> None:
    """Raises DataError when a prompt leaves no room for an answer."""
    longest = max(map(len, prompts), default=0)
    if longest >= base.max_tokens:
        raise DataError(
            f"a prompt has {longest} tokens; {base.name} has positions for {base.max_tokens}, answer included",
            hint="Shorten the text, or take a base with a longer context.",
        )


class Entry(NamedTuple):
    """A prompt on its way in."""

    tokens: Sequence[int]
    prefix: Prefix | None = None
    """A beginning of the tokens that is computed already, with the same adapter; at least one token is left."""
    slot: int = -1
    """Adapter of the session's bank; -1: the base alone. Without a bank it means nothing."""


class Node(NamedTuple):
    """A new token that need not follow the last one of its row."""

    token: int
    depth: int
    """How far behind the prompt; the first token after it has depth 1."""
    above: Sequence[int]
    """Places, counted from the prompt's end in order of arrival, of the earlier nodes that it sees; itself last."""


@dataclass(slots=True)
class _Row:
    prefix: Prefix | None
    slot: int
    before: int
    """Positions before the row's first column."""
    prompt: int
    """Columns of the prompt."""
    length: int
    """Columns in use."""


class Session:
    """A batch of rows over one base, weights in place: what the adapters hold at a call is what the call uses."""

    def __init__(self, base: Base, bank: LoraBank | None = None) -> None:
        """Without a bank all rows use what is in use around the calls; it must not change while rows are inside."""
        self.base = base
        self._bank = bank
        config: Any = base.model.config
        self._store = KeyValues(config.num_hidden_layers)
        kind = StepDecoder if can_decode(base.model) else FamilyDecoder
        self._decoder: StepDecoder | FamilyDecoder = kind(base.model, self._store, bank)
        self._rows: list[_Row] = []
        self._stacks = Stacks()
        self._short = base.precision == "bfloat16" and base.device == "cpu"

    @property
    def num_rows(self) -> int:
        """B."""
        return len(self._rows)

    @torch.inference_mode()
    def prefixes(self, wanted: Sequence[tuple[Sequence[int], int]]) -> list[Prefix]:
        """The keys and values of what several prompts begin with, tokens and their slot, computed now in one pass."""
        alone = Session(self.base, self._bank)
        alone.enter([Entry(tokens, slot=slot) for tokens, slot in wanted])
        return [alone._store.prefix(row, tokens) for row, (tokens, _) in enumerate(wanted)]

    @torch.inference_mode()
    def enter(self, entries: Sequence[Entry]) -> Tensor:
        """Runs prompts, which become the last rows; the hidden states of their last tokens, [rows, D]."""
        assert entries, "no prompts"
        first = self.num_rows
        news = [entry.tokens[len(entry.prefix.tokens) if entry.prefix else 0 :] for entry in entries]
        assert all(news), "a prompt needs at least one token of its own"
        for entry in entries:
            self._take_in(entry)
        places = [
            [
                (token, row.before + row.prompt - len(new) + at, row.length - len(new) + at)
                for at, token in enumerate(new)
            ]
            for new, row in zip(news, self._rows[first:], strict=True)
        ]
        last = torch.tensor([len(new) for new in news]).cumsum(0) - 1
        return self._decoder.run(self._pass(first, places, wanted_U=last.to(self.base.device)))

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Adds one token to the end of every row; hidden states [B, D]."""
        assert len(tokens) == self.num_rows, (len(tokens), self.num_rows)
        places = [[(token, row.before + row.length, row.length)] for token, row in zip(tokens, self._rows, strict=True)]
        self._lengthen([1] * len(tokens))
        return self._decoder.run(self._pass(0, places))

    @torch.inference_mode()
    def branch(self, nodes: Sequence[Sequence[Node]]) -> Tensor:
        """Runs nodes of every row, each seeing its prompt and the nodes above it; hidden states [N, D] row by row."""
        places: list[list[tuple[int, int, int]]] = []
        seen: list[tuple[int, int, int]] = []
        for b, (row, some) in enumerate(zip(self._rows, nodes, strict=True)):
            end = row.before + row.prompt - 1
            places.append([(node.token, end + node.depth, row.length + q) for q, node in enumerate(some)])
            seen += [(b, q, row.prompt + above) for q, node in enumerate(some) for above in node.above]
        self._lengthen([len(some) for some in nodes])
        return self._decoder.run(self._pass(0, places, seen=seen))

    @torch.inference_mode()
    def leave(self, places: Sequence[int]) -> list[int]:
        """Lets rows go; the rows that stay, as old places in their new order."""
        order = list(range(self.num_rows))
        for place in sorted(set(places), reverse=True):
            last = len(order) - 1
            if place != last:
                self._move(last, place)
                order[place] = order[last]
            order.pop()
        self._rows = [self._rows[place] for place in order]
        self._store.trim(len(order), max((row.length for row in self._rows), default=0))
        return order

    @cached_property
    def _head(self) -> Head:
        return exact_head(output_head(self.base.model))

    @torch.inference_mode()
    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] in float32: products of the weights' type, sums in float32."""
        with _short_products() if self._short else nullcontext():
            return logits_of(self._head, hidden_ND)

    @property
    def pads(self) -> bool:
        """True when a row with few new tokens costs as much as the one with most."""
        return isinstance(self._decoder, FamilyDecoder)

    @property
    def logits_rows(self) -> int:
        """How many rows of logits to ask for at once."""
        return max(LOGITS_ROWS, LOGITS_AT_ONCE // self.base.vocab_size)

    def _take_in(self, entry: Entry) -> None:
        known = len(entry.prefix.tokens) if entry.prefix else 0
        shares = self._decoder.shares_prefixes
        before, columns = (known, len(entry.tokens) - known) if shares else (0, len(entry.tokens))
        row = _Row(entry.prefix if shares else None, entry.slot, before, columns, columns)
        self._rows.append(row)
        self._store.make_room(self.num_rows, max(row.length for row in self._rows))
        if entry.prefix and isinstance(self._decoder, FamilyDecoder):
            for number, parts in enumerate(entry.prefix.layers):
                self._store.write(number, parts, self.num_rows - 1, slice(0, known))
            positions = torch.arange(known, device=self.base.device)
            self._decoder.place(self.num_rows - 1, slice(0, known), positions, self._size)

    def _lengthen(self, counts: Sequence[int]) -> None:
        for row, count in zip(self._rows, counts, strict=True):
            row.length += count
        self._store.make_room(self.num_rows, max(row.length for row in self._rows))

    def _move(self, source: int, target: int) -> None:
        self._store.move(source, target)
        if isinstance(self._decoder, FamilyDecoder):
            self._decoder.move(source, target)

    @property
    def _size(self) -> tuple[int, int]:
        return self._store.num_rows, self._store.num_columns

    def _pass(
        self,
        first: int,
        places: Sequence[Sequence[tuple[int, int, int]]],
        *,
        seen: Sequence[tuple[int, int, int]] | None = None,
        wanted_U: Tensor | None = None,
    ) -> Pass:
        """New tokens with their positions and columns, row by row; seen None: each sees its row up to itself."""
        width = max(map(len, places))
        flat = [
            (token, position, first + b, column, b * width + q)
            for b, some in enumerate(places)
            for q, (token, position, column) in enumerate(some)
        ]
        device = self.base.device
        tokens_N, position_N, row_N, column_N, grid_N = torch.tensor(flat, device=device).T.contiguous()
        rows = self._rows[first:]
        visible = _visible(rows, (len(places), width, self._store.num_columns), grid_N, column_N, seen)
        if isinstance(self._decoder, FamilyDecoder):
            self._decoder.place(row_N, column_N, position_N, self._size)
        return Pass(
            first=first,
            last=self.num_rows,
            width=width,
            tokens_N=tokens_N,
            position_N=position_N,
            row_N=row_N,
            column_N=column_N,
            grid_N=grid_N,
            visible_BQC=visible,
            shared=self._stacks.of([row.prefix for row in rows], is_all=first == 0),
            wanted_U=wanted_U,
            slots=[row.slot for row in rows],
        )


def _visible(
    rows: Sequence[_Row],
    shape: tuple[int, int, int],
    grid_N: Tensor,
    column_N: Tensor,
    seen: Sequence[tuple[int, int, int]] | None,
) -> Tensor:
    """Which columns each new token sees, [B, Q, C]; none where a row has fewer than Q."""
    device = grid_N.device
    column_C = torch.arange(shape[2], device=device)
    end_BQ = torch.full((shape[0] * shape[1],), -1, device=device).index_copy_(0, grid_N, column_N).view(shape[:2])
    if seen is None:
        return column_C <= end_BQ[:, :, None]
    prompt_B = torch.tensor([row.prompt for row in rows], device=device)
    visible_BQC = (column_C < prompt_B[:, None, None]) & (end_BQ >= 0)[:, :, None]
    visible_BQC[tuple(torch.tensor(seen, device=device).T)] = True
    return visible_BQC


@contextmanager
def _short_products() -> Iterator[None]:
    """Inside, float32 matrix products round their factors to bfloat16, sums stay float32 (oneDNN's bf16 math mode).

    For factors that are bfloat16 already this is exact to the order of sums, and 3 times as fast on 2 cores; logits
    rounded to bfloat16 would come in steps of 0.125 at 20.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before
