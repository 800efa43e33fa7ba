"""Texts that are being continued: prompts run once, then tokens added to each row, with keys and values kept.

Shapes: B rows, Q tokens added at once, C columns of the cache, D hidden size. Rows may have any length: each column
knows its position in its row, or -1 for padding, and what a new token sees is said explicitly. So a row's result does
not depend on the rows beside it, beyond the rounding of sums.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from burnish.errors import DataError
from burnish.model.base import Base
from burnish.model.forward import exact_head, logits_of, output_head

MAX_ROWS = 128
MAX_TOKENS = 4096
"""Prompt tokens of one batch; more is no faster on a CPU, and keys and values take memory."""

SHARED_PREFIX = 8
"""Prompts that begin with this many equal tokens have them run once for all rows."""

LEAVE_SHARE = 0.75
"""Finished rows leave a batch when no more than this share of it is still open: leaving copies keys and values."""

BY_LAYER_TYPE = ("qwen2", "qwen3", "gemma2", "gemma3_text")
"""Families whose layers differ in how far back they look, and that take one mask for each kind."""


def check_lengths(base: Base, prompts: Sequence[Sequence[int]]) -> None:
    """Raises DataError when a prompt leaves no room for an answer."""
    longest = max(map(len, prompts), default=0)
    if longest >= base.max_tokens:
        raise DataError(
            f"a prompt has {longest} tokens; {base.name} has positions for {base.max_tokens}, answer included",
            hint="Shorten the text, or take a base with a longer context.",
        )


def batches(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of the prompts in batches of similar length, longest first, so that a lack of memory shows at once."""
    batch: list[int] = []
    for index in sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index)):
        longest = len(prompts[batch[0]]) if batch else 0
        if batch and (len(batch) == MAX_ROWS or (len(batch) + 1) * longest > MAX_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class _GrowingLayer(DynamicLayer):
    """Keys and values in a buffer with room to grow, so that a step does not copy what is there."""

    buffers: tuple[Tensor, ...] = ()

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if not self.buffers or end > self.buffers[0].shape[-2]:
            room, old = end + max(16, end // 4), self.buffers
            self.buffers = tuple(x.new_zeros(*x.shape[:2], room, x.shape[-1]) for x in (key_states, value_states))
            for buffer, kept in zip(self.buffers, old, strict=False):
                buffer[:, :, :start] = kept[:, :, :start]
            self.is_initialized = True
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = new
        keys, values = (buffer[:, :, :end] for buffer in self.buffers)
        self.keys, self.values = keys, values
        return keys, values

    def take(self, rows: Tensor) -> None:
        """Keeps these rows only; a row may be taken more than once."""
        length = self.get_seq_length()
        self.buffers = tuple(buffer.index_select(0, rows) for buffer in self.buffers)
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


class Session:
    """A batch of rows. After creation `hidden_BD` is the last hidden state of every prompt."""

    def __init__(self, base: Base, prompts: Sequence[Sequence[int]]) -> None:
        assert prompts, "no prompts"
        assert all(prompts), "a prompt needs at least one token"
        self._base = base
        self._decoder: Any = base.model.get_decoder()  # type: ignore[operator]
        config: Any = base.model.config
        self._config = config
        self._layers = [_GrowingLayer() for _ in range(config.num_hidden_layers)]
        self._cache = Cache(layers=list(self._layers))
        self.head = exact_head(output_head(base.model))
        self.lengths = [len(prompt) for prompt in prompts]
        self.columns_BC = torch.empty(1, 0, dtype=torch.long, device=base.device)
        shared = _shared_prefix(prompts)
        if shared:
            self._first([prompts[0][:shared]])
            self.keep([0] * len(prompts))
        self.hidden_BD = self._prompts([prompt[shared:] for prompt in prompts], shared)

    @property
    def num_columns(self) -> int:
        """C, columns in the cache so far."""
        return self.columns_BC.shape[1]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] in float32."""
        return logits_of(self.head, hidden_ND)

    def extend(self, tokens_BQ: Tensor, positions_BQ: Tensor, visible_BQC: Tensor) -> Tensor:
        """Hidden states [B, Q, D] of new tokens, which become the cache's last Q columns.

        `visible_BQC` says which columns each new token sees, the new ones included; position -1 marks padding.
        """
        self.columns_BC = torch.cat([self.columns_BC, positions_BQ], dim=1)
        is_padding = positions_BQ == -1
        visible_BQC = visible_BQC.clone()
        visible_BQC[..., 0] |= is_padding  # a row of a softmax over nothing would be NaN, and NaN spreads
        answer = self._decoder(
            input_ids=tokens_BQ,
            position_ids=positions_BQ.clamp(min=0),
            attention_mask=self._masks(visible_BQC, positions_BQ),
            past_key_values=self._cache,
            use_cache=True,
        )
        return answer.last_hidden_state  # type: ignore[no-any-return]

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows only, in this order."""
        index = torch.tensor(rows, device=self.columns_BC.device)
        for layer in self._layers:
            layer.take(index)
        self.columns_BC = self.columns_BC.index_select(0, index)

    def _first(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        tokens_BT, positions_BT = self._padded(prompts, 0)
        self.columns_BC = positions_BT
        answer = self._decoder(
            input_ids=tokens_BT,
            position_ids=positions_BT.clamp(min=0),
            attention_mask=None,
            past_key_values=self._cache,
            use_cache=True,
        )
        return answer.last_hidden_state  # type: ignore[no-any-return]

    def _prompts(self, prompts: Sequence[Sequence[int]], shared: int) -> Tensor:
        if not shared:
            hidden_BTD = self._first(prompts)
        else:
            tokens_BQ, positions_BQ = self._padded(prompts, shared)
            columns_BC = torch.cat([self.columns_BC, positions_BQ], dim=1)
            visible_BQC = (columns_BC[:, None] >= 0) & (columns_BC[:, None] <= positions_BQ[:, :, None])
            hidden_BTD = self.extend(tokens_BQ, positions_BQ, visible_BQC)
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=hidden_BTD.device)
        return hidden_BTD[torch.arange(len(prompts), device=hidden_BTD.device), last]

    def _padded(self, rows: Sequence[Sequence[int]], start: int) -> tuple[Tensor, Tensor]:
        """Tokens and positions, padded on the right with position -1."""
        longest = max(map(len, rows))
        pad = self._base.chat.pad_id
        tokens = [[*row, *[pad] * (longest - len(row))] for row in rows]
        positions = [[*range(start, start + len(row)), *[-1] * (longest - len(row))] for row in rows]
        device = self._base.device
        return torch.tensor(tokens, device=device), torch.tensor(positions, device=device)

    def _masks(self, visible_BQC: Tensor, positions_BQ: Tensor) -> Any:
        window = getattr(self._config, "sliding_window", None)
        near_BQC = visible_BQC
        if window is not None:
            near_BQC = visible_BQC & (positions_BQ[:, :, None] - self.columns_BC[:, None] < window)
        if self._config.model_type in BY_LAYER_TYPE:
            return {"full_attention": self._mask(visible_BQC), "sliding_attention": self._mask(near_BQC)}
        return self._mask(near_BQC)

    def _mask(self, visible_BQC: Tensor) -> Tensor:
        if self._config._attn_implementation == "sdpa":
            return visible_BQC[:, None]
        dtype = next(self._decoder.parameters()).dtype
        return torch.zeros_like(visible_BQC, dtype=dtype).masked_fill_(~visible_BQC, torch.finfo(dtype).min)[:, None]


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of what all prompts begin with, at least one token short of each; 0 when too short to be worth it."""
    if len(prompts) < 2:
        return 0
    lowest, highest = min(map(tuple, prompts)), max(map(tuple, prompts))
    most = min(map(len, prompts)) - 1
    length = next((i for i in range(most) if lowest[i] != highest[i]), most)
    return length if length >= SHARED_PREFIX else 0
