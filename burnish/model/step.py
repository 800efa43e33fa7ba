"""One forward pass over new tokens of texts whose earlier keys and values are kept.

Two ways to the same hidden states. `StepDecoder` is for the Llama kind: linear layers see the new tokens alone, without
padding; attention is a few batched products (on 2 cores 0.4 ms for 128 rows of 100 columns, torch's own with a mask
4 ms), and a prefix that rows share is stored and read once for all of them. `FamilyDecoder` goes through the family's
own forward pass, rows padded to a grid, with a copy of the prefix in each row.
Shapes: N new tokens, B rows of this pass, Q tokens of the row with most, C columns, P of a prefix, D hidden, H heads of
size E over G key heads, U wanted tokens.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from burnish.model.cache import KeyValues
from burnish.model.fused import gated_silu, rms_norm, rotate
from burnish.model.grid import Grid
from burnish.model.lora import LoraBank
from burnish.model.stacks import Shared

BY_LAYER_TYPE = ("qwen2", "qwen3", "gemma2", "gemma3_text")
"""Families whose layers differ in how far back they look, and that take one mask for each kind."""


class Pass(NamedTuple):
    """New tokens of the contiguous rows `first` to `last` - 1."""

    first: int
    last: int
    width: int
    """Q."""
    tokens_N: Tensor
    position_N: Tensor
    row_N: Tensor
    column_N: Tensor
    grid_N: Tensor
    """(row - first) * Q + the token's place among the new ones of its row."""
    visible_BQC: Tensor
    """Which columns each new token sees, its own included."""
    shared: Sequence[Shared]
    """Prefixes that rows see before their columns."""
    wanted_U: Tensor | None
    """Which of the new tokens' hidden states are asked for; None: all."""
    slots: Sequence[int]
    """Adapter of every row of the pass; -1: the base alone."""

    @property
    def num_rows(self) -> int:
        """B."""
        return self.last - self.first

    @property
    def is_step(self) -> bool:
        """True when every row has exactly one new token."""
        return self.width == 1 and len(self.tokens_N) == self.num_rows


def routed(bank: LoraBank | None, slots: Sequence[int]) -> AbstractContextManager[None]:
    """The bank sending rows to their adapters; without a bank whatever is in use around the call."""
    if bank is None:
        return nullcontext()
    return bank.use(slots[0] if len(set(slots)) == 1 else slots)


class StepDecoder:
    """The Llama kind over kept keys and values; `can_decode` must hold."""

    shares_prefixes = True

    def __init__(self, model: nn.Module, store: KeyValues, bank: LoraBank | None) -> None:
        self._decoder: Any = model.get_decoder()  # type: ignore[operator]
        self._store, self._bank = store, bank

    def run(self, new: Pass) -> Tensor:
        """Hidden states after the last norm, [U, D]; keys and values of the new tokens are kept."""
        decoder = self._decoder
        x_ND = decoder.embed_tokens(new.tokens_N)
        cos, sin = decoder.rotary_emb(x_ND[None], new.position_N[None])
        half = cos.shape[-1] // 2  # both halves hold the same angles
        turn = (cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous())
        mask_BQC = torch.zeros_like(new.visible_BQC, dtype=x_ND.dtype)
        mask_BQC.masked_fill_(~new.visible_BQC, torch.finfo(x_ND.dtype).min)
        rows = (new.row_N - new.first).tolist() if len(set(new.slots)) > 1 else [0]
        slots_N = [new.slots[row] for row in rows]
        with routed(self._bank, slots_N):
            for number, layer in enumerate(decoder.layers[:-1]):
                x_ND = self._layer(number, layer, x_ND, turn, mask_BQC, new)
            number, layer = len(decoder.layers) - 1, decoder.layers[-1]
            mixed_ND = self._attention(number, layer, x_ND, turn, mask_BQC, new)
        if new.wanted_U is not None:
            mixed_ND, x_ND = mixed_ND.index_select(0, new.wanted_U), x_ND.index_select(0, new.wanted_U)
            if len(slots_N) > 1:
                slots_N = [slots_N[at] for at in new.wanted_U.tolist()]
        with routed(self._bank, slots_N):
            x_UD = _rest(layer, x_ND, mixed_ND)
        return rms_norm(x_UD, decoder.norm.weight, decoder.norm.variance_epsilon)

    def _layer(
        self, number: int, layer: Any, x_ND: Tensor, turn: tuple[Tensor, Tensor], mask_BQC: Tensor, new: Pass
    ) -> Tensor:
        return _rest(layer, x_ND, self._attention(number, layer, x_ND, turn, mask_BQC, new))

    def _attention(
        self, number: int, layer: Any, x_ND: Tensor, turn: tuple[Tensor, Tensor], mask_BQC: Tensor, new: Pass
    ) -> Tensor:
        """What attention reads for every new token, [N, H * E], before the output projection."""
        attention, norm = layer.self_attn, layer.input_layernorm
        h_ND = rms_norm(x_ND, norm.weight, norm.variance_epsilon)
        q, k, v = (
            project(h_ND).view(len(h_ND), -1, attention.head_dim)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if hasattr(attention, "q_norm"):  # Qwen 3
            q = rms_norm(q, attention.q_norm.weight, attention.q_norm.variance_epsilon)
            k = rms_norm(k, attention.k_norm.weight, attention.k_norm.variance_epsilon)
        q, k = rotate(q, *turn), rotate(k, *turn)
        self._store.write(number, (k, v), new.row_N, new.column_N)
        keys, values = self._store.rows(number, new.first, new.last)
        q_BGJE = _by_key_head(q, new, keys.shape[1])
        mixed_BGJE = attend(q_BGJE, keys, values, mask_BQC, new.shared, layer=number, scale=attention.scaling)
        return _by_token(mixed_BGJE, new)


def _rest(layer: Any, x_ND: Tensor, mixed_ND: Tensor) -> Tensor:
    """The layer behind attention: output projection, feed-forward, both added to the stream."""
    x_ND = x_ND + layer.self_attn.o_proj(mixed_ND)
    norm, mlp = layer.post_attention_layernorm, layer.mlp
    h_ND = rms_norm(x_ND, norm.weight, norm.variance_epsilon)
    return x_ND + mlp.down_proj(gated_silu(mlp.gate_proj(h_ND), mlp.up_proj(h_ND)))  # type: ignore[no-any-return]


def attend(
    q_BGJE: Tensor,
    k_BGCE: Tensor,
    v_BGCE: Tensor,
    mask_BQC: Tensor,
    shared: Sequence[Shared],
    *,
    layer: int,
    scale: float,
) -> Tensor:
    """Attention of J = H / G * Q queries per key head over a row's own columns and its prefix, [B, G, J, E].

    `mask_BQC` is 0 where a query sees a column and the type's lowest number where not. A row has a prefix in one of
    `shared` or in none. One softmax over both parts, so the split changes nothing.
    """
    rows, heads, queries, _ = q_BGJE.shape
    columns = k_BGCE.shape[2]
    own = _product(q_BGJE.flatten(0, 1), k_BGCE.flatten(0, 1).mT, scale).view(rows, -1, mask_BQC.shape[1], columns)
    own = own.add_(mask_BQC[:, None]).view(rows, heads, queries, columns)
    if len(shared) == 1 and shared[0].rows_B is None:
        seen, own = _attend_first(q_BGJE, own, shared[0], layer, scale)
        return torch.bmm(own.flatten(0, 1), v_BGCE.flatten(0, 1)).view_as(seen).add_(seen)
    seen, weights = torch.zeros_like(q_BGJE), own.softmax(-1)
    for some in shared:
        seen[some.rows_B], weights[some.rows_B] = _attend_first(
            q_BGJE[some.rows_B], own[some.rows_B], some, layer, scale
        )
    return torch.bmm(weights.flatten(0, 1), v_BGCE.flatten(0, 1)).view_as(seen).add_(seen)


def _attend_first(q_BGJE: Tensor, own_BGJC: Tensor, shared: Shared, layer: int, scale: float) -> tuple[Tensor, Tensor]:
    """What rows see of their prefixes, [B, G, J, E], and their weights on the columns of their own, from the scores."""
    keys_FGPE, values_FGPE = shared.stack.layers[layer]
    first_BGJP = _by_line(shared.grid, q_BGJE, keys_FGPE.mT, scale)
    if shared.hidden_BP is not None:
        first_BGJP = first_BGJP + shared.hidden_BP[:, None, None]
    weights = torch.cat([first_BGJP, own_BGJC], dim=-1).softmax(-1)
    length = keys_FGPE.shape[2]
    return _by_line(shared.grid, weights[..., :length], values_FGPE, 1.0), weights[..., length:]


def _by_line(grid: Grid, x_BGJX: Tensor, y_FGXY: Tensor, scale: float) -> Tensor:
    """The product of every row with what belongs to its line, [B, G, J, Y]."""
    x_FGWJX = grid.lay(x_BGJX).transpose(1, 2)
    lines, heads, width, queries, size = x_FGWJX.shape
    out = _product(x_FGWJX.reshape(lines * heads, width * queries, size), y_FGXY.flatten(0, 1), scale)
    return grid.take(out.view(lines, heads, width, queries, -1).transpose(1, 2))


def _product(x_ZJX: Tensor, y_ZXY: Tensor, scale: float) -> Tensor:
    return torch.baddbmm(x_ZJX.new_zeros(1), x_ZJX, y_ZXY, beta=0, alpha=scale)


def _by_key_head(q_NHE: Tensor, new: Pass, heads: int) -> Tensor:
    """Queries [B, G, H / G * Q, E], by row and key head; zeros where a row has fewer than Q."""
    size = q_NHE.shape[-1]
    if new.is_step:
        return q_NHE.reshape(new.num_rows, heads, -1, size)
    grid = q_NHE.new_zeros(new.num_rows * new.width, *q_NHE.shape[1:]).index_copy_(0, new.grid_N, q_NHE)
    grid_BQHE = grid.view(new.num_rows, new.width, -1, size)
    return grid_BQHE.transpose(1, 2).reshape(new.num_rows, heads, -1, size)


def _by_token(out_BGJE: Tensor, new: Pass) -> Tensor:
    """The reverse way, to [N, H * E]."""
    if new.is_step:
        return out_BGJE.reshape(new.num_rows, -1)
    out_BHQE = out_BGJE.view(new.num_rows, -1, new.width, out_BGJE.shape[-1])
    return out_BHQE.transpose(1, 2).reshape(new.num_rows * new.width, -1).index_select(0, new.grid_N)


class FamilyDecoder:
    """Any family, through its own forward pass."""

    shares_prefixes = False

    def __init__(self, model: nn.Module, store: KeyValues, bank: LoraBank | None) -> None:
        self._decoder: Any = model.get_decoder()  # type: ignore[operator]
        config: Any = model.config
        self._config, self._bank = config, bank
        self._layers = [_KeptLayer(store, number) for number in range(config.num_hidden_layers)]
        self._position_SC = torch.empty(0, 0, dtype=torch.long)

    def run(self, new: Pass) -> Tensor:
        """Hidden states after the last norm, [U, D]; keys and values of the new tokens are kept."""
        assert not new.shared, "this decoder needs the prefix in the row's own columns"
        for layer in self._layers:
            layer.now = new
        device = new.tokens_N.device
        cells = new.num_rows * new.width
        tokens_BQ = torch.zeros(cells, dtype=torch.long, device=device).index_copy_(0, new.grid_N, new.tokens_N)
        place_BQ = torch.zeros_like(tokens_BQ).index_copy_(0, new.grid_N, new.position_N)
        visible_BQC = new.visible_BQC.clone()
        visible_BQC[..., 0] |= ~visible_BQC.any(-1)  # a softmax over nothing would be NaN
        with routed(self._bank, new.slots):
            answer = self._decoder(
                input_ids=tokens_BQ.view(new.num_rows, new.width),
                position_ids=place_BQ.view(new.num_rows, new.width),
                attention_mask=self._masks(visible_BQC, place_BQ.view(new.num_rows, new.width), new),
                past_key_values=Cache(layers=list(self._layers)),
                use_cache=True,
            )
        wanted_U = new.grid_N if new.wanted_U is None else new.grid_N[new.wanted_U]
        return answer.last_hidden_state.flatten(0, 1).index_select(0, wanted_U)  # type: ignore[no-any-return]

    def place(self, rows: Tensor | int, columns: Tensor | slice, positions: Tensor, size: tuple[int, int]) -> None:
        """Remembers at which position of its text each column lies; how far a window reaches depends on it."""
        if self._position_SC.shape != size:
            old, self._position_SC = self._position_SC, torch.zeros(size, dtype=torch.long, device=positions.device)
            kept = tuple(min(a, b) for a, b in zip(old.shape, size, strict=True))
            self._position_SC[: kept[0], : kept[1]] = old[: kept[0], : kept[1]]
        self._position_SC[rows, columns] = positions

    def move(self, source: int, target: int) -> None:
        """Copies a row over another."""
        self._position_SC[target] = self._position_SC[source]

    def _masks(self, visible_BQC: Tensor, place_BQ: Tensor, new: Pass) -> Any:
        window = getattr(self._config, "sliding_window", None)
        near_BQC = visible_BQC
        if window is not None:
            columns_BC = self._position_SC[new.first : new.last]
            near_BQC = visible_BQC & (place_BQ[:, :, None] - columns_BC[:, None] < window)
        if self._config.model_type in BY_LAYER_TYPE:
            return {"full_attention": self._mask(visible_BQC), "sliding_attention": self._mask(near_BQC)}
        return self._mask(near_BQC)

    def _mask(self, visible_BQC: Tensor) -> Tensor:
        if self._config._attn_implementation == "sdpa":
            return visible_BQC[:, None]
        dtype = next(self._decoder.parameters()).dtype
        return torch.zeros_like(visible_BQC, dtype=dtype).masked_fill_(~visible_BQC, torch.finfo(dtype).min)[:, None]


class _KeptLayer(DynamicLayer):
    """A layer's keys and values for transformers: new ones go into the store, all columns of the rows come back."""

    now: Pass

    def __init__(self, store: KeyValues, number: int) -> None:
        super().__init__()
        self._store, self._number = store, number

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        new = self.now
        parts = tuple(x.transpose(1, 2).flatten(0, 1)[new.grid_N] for x in (key_states, value_states))
        self._store.write(self._number, (parts[0], parts[1]), new.row_N, new.column_N)
        return self._store.rows(self._number, new.first, new.last)

    def get_seq_length(self) -> int:
        return self._store.num_columns
