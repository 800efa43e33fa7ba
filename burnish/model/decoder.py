"""The decoder of the Llama kind over distinct histories: what several rows begin with in common is computed once.

With causal attention a hidden state depends on the tokens up to it and on nothing else. So the rows of a batch are laid
into a tree; each node is one history, computed once, however many rows run through it; padding is never computed at
all. Only attention sees rows, and what all of them begin with it sees once, too. The last layer's feed-forward runs at
the wanted nodes alone. All of it is exact.

Shapes: N nodes, B rows, T positions, G slots of the adapter bank, U wanted nodes, D hidden, H heads of size E.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from burnish.model.fused import causal_attention, gated_silu, rms_norm, rotate
from burnish.model.shared import shared_attention

LEAST_SHARED = 32
"""Positions in common from which attention treats them apart: fewer save less than the extra products cost."""

KINDS = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Families whose layers are this decoder's: RMSNorm before, rotary positions on whole heads, SwiGLU."""


class Histories(NamedTuple):
    """The rows of a batch as a tree of distinct histories."""

    tokens_N: Tensor
    position_N: Tensor
    """Depth in the tree: the token's position in every row that runs through it."""
    grid_BT: Tensor
    """Node at each position of each row; behind a row's end node 0 stands in, which nothing real can see."""
    home_N: Tensor
    """Flat position in the grid where the node occurs first."""

    @property
    def rows_BT(self) -> Tensor:
        """The rows as padded tokens, for models that need them so."""
        return self.tokens_N[self.grid_BT]


def histories_of(rows: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Histories:
    """The tree of token rows; node numbers follow first occurrence, so the same rows give the same tree."""
    width = max(len(row) for row in rows)
    node_of: dict[tuple[int, int], int] = {}
    tokens: list[int] = []
    positions: list[int] = []
    homes: list[int] = []
    grid: list[list[int]] = []
    for number, row in enumerate(rows):
        parent, path = -1, []
        for position, token in enumerate(row):
            node = node_of.setdefault((parent, token), len(tokens))
            if node == len(tokens):
                tokens.append(token)
                positions.append(position)
                homes.append(number * width + position)
            path.append(node)
            parent = node
        grid.append(path + [0] * (width - len(path)))
    return Histories(*(torch.tensor(values, device=device) for values in (tokens, positions, grid, homes)))


def can_decode(model: nn.Module) -> bool:
    """True when `decode` computes this model exactly: a family of KINDS with silu, full attention and eager weights."""
    config: Any = model.config
    windows = getattr(config, "layer_types", None) or []
    windowed = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return (
        config.model_type in KINDS
        and config.hidden_act == "silu"
        and not windowed
        and all(kind == "full_attention" for kind in windows)
    )


class _Lanes(NamedTuple):
    """Where each head's rows lie: from nodes to the attention grid behind what is shared, and back."""

    query_rows: Tensor
    key_rows: Tensor
    home_rows: Tensor
    num_lanes: int
    """Z = G * H * B."""
    num_shared: int
    """P, the first nodes, which all rows run through and which attention sees apart; 0: none."""


def decode(model: nn.Module, histories: Histories, *, num_slots: int, wanted_U: Tensor | None = None) -> Tensor:
    """Hidden states after the last norm, [G, N, D], or [G, U, D] at the wanted nodes; `can_decode` must hold.

    Linear layers are called with [G, N, ...]: a bank in use must have been given one row for each slot.
    """
    decoder: Any = model.get_decoder()  # type: ignore[operator]
    x_ND = decoder.embed_tokens(histories.tokens_N)
    cos, sin = decoder.rotary_emb(x_ND[None], histories.position_N[None])
    half = cos.shape[-1] // 2  # both halves hold the same angles
    turn = (cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous())
    lanes = _lanes(model.config, histories, num_slots)
    x = x_ND.expand(num_slots, -1, -1).contiguous()
    for number, layer in enumerate(decoder.layers):
        is_last = number == len(decoder.layers) - 1
        x = _layer(layer, x, turn, lanes, wanted_U if is_last else None)
    return rms_norm(x, decoder.norm.weight, decoder.norm.variance_epsilon)


def _layer(layer: Any, x_GND: Tensor, turn: tuple[Tensor, Tensor], lanes: _Lanes, wanted_U: Tensor | None) -> Tensor:
    norm = layer.input_layernorm
    out_GND = _attention(layer.self_attn, rms_norm(x_GND, norm.weight, norm.variance_epsilon), turn, lanes)
    if wanted_U is not None:
        out_GND, x_GND = out_GND.index_select(1, wanted_U), x_GND.index_select(1, wanted_U)
    x_GND = x_GND + layer.self_attn.o_proj(out_GND)
    norm, mlp = layer.post_attention_layernorm, layer.mlp
    h_GND = rms_norm(x_GND, norm.weight, norm.variance_epsilon)
    return x_GND + mlp.down_proj(gated_silu(mlp.gate_proj(h_GND), mlp.up_proj(h_GND)))  # type: ignore[no-any-return]


def _attention(attention: Any, h_GND: Tensor, turn: tuple[Tensor, Tensor], lanes: _Lanes) -> Tensor:
    slots, nodes, _ = h_GND.shape
    q, k, v = (
        project(h_GND).view(slots, nodes, -1, attention.head_dim)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if hasattr(attention, "q_norm"):  # Qwen 3
        q = rms_norm(q, attention.q_norm.weight, attention.q_norm.variance_epsilon)
        k = rms_norm(k, attention.k_norm.weight, attention.k_norm.variance_epsilon)
    q, k = rotate(q, *turn), rotate(k, *turn)
    q_ZTE, k_ZTE, v_ZTE = (
        part.reshape(-1, attention.head_dim).index_select(0, rows).view(lanes.num_lanes, -1, attention.head_dim)
        for part, rows in ((q, lanes.query_rows), (k, lanes.key_rows), (v, lanes.key_rows))
    )
    if not lanes.num_shared:
        out_ZTE = causal_attention(q_ZTE, k_ZTE, v_ZTE, scale=attention.scaling)
        return out_ZTE.reshape(-1, attention.head_dim).index_select(0, lanes.home_rows).view(slots, nodes, -1)
    q_YPE, k_YPE, v_YPE = (_shared_part(part, lanes.num_shared, q.shape[2]) for part in (q, k, v))
    begin_YPE = causal_attention(q_YPE, k_YPE, v_YPE, scale=attention.scaling)
    begin_GPD = begin_YPE.view(slots, q.shape[2], lanes.num_shared, -1).transpose(1, 2).flatten(2)
    out_ZTE = shared_attention(q_ZTE, k_ZTE, v_ZTE, k_YPE, v_YPE, scale=attention.scaling)
    rest_RE = out_ZTE.reshape(-1, attention.head_dim).index_select(0, lanes.home_rows)
    return torch.cat([begin_GPD, rest_RE.view(slots, nodes - lanes.num_shared, -1)], 1)


def _shared_part(part: Tensor, num_shared: int, heads: int) -> Tensor:
    """The first nodes of [G, N, heads of keys or queries, E] as [G * H, P, E]."""
    first = part[:, :num_shared].transpose(1, 2)
    return first.repeat_interleave(heads // first.shape[1], dim=1).flatten(0, 1).contiguous()


def _num_shared(grid_BT: Tensor) -> int:
    """How many first nodes all rows run through, if attention is to see them apart."""
    num_rows, width = grid_BT.shape
    if num_rows == 1:
        return 0
    alike_T = (grid_BT == torch.arange(width, device=grid_BT.device)).all(0)
    count = int(alike_T.long().cumprod(0).sum())
    return count if LEAST_SHARED <= count < width else 0


def _lanes(config: Any, histories: Histories, num_slots: int) -> _Lanes:
    shared = _num_shared(histories.grid_BT)
    grid_BT = histories.grid_BT[:, shared:]
    num_rows, width = grid_BT.shape
    num_nodes = len(histories.tokens_N)
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    device = histories.grid_BT.device
    slot_G111 = torch.arange(num_slots, device=device)[:, None, None, None]
    head_H11 = torch.arange(heads, device=device)[:, None, None]
    node_GHBT = slot_G111 * num_nodes + grid_BT
    home_N = histories.home_N[shared:]
    row_N, at_N = home_N // (shared + width), home_N % (shared + width) - shared
    lane_GNH = (slot_G111[:, 0] * heads + head_H11[:, 0].T) * num_rows + row_N[None, :, None]
    return _Lanes(
        (node_GHBT * heads + head_H11).flatten(),
        (node_GHBT * key_heads + head_H11 // (heads // key_heads)).flatten(),
        (lane_GNH * width + at_N[None, :, None]).flatten(),
        num_slots * num_rows * heads,
        shared,
    )
