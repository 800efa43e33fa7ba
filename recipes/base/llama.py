"""The model as it is pre-trained: a Llama over packed rows, in which no document sees another.

Its weights carry the names that transformers gives them, so an export is a plain save.
Shapes: B rows, T positions, D hidden, H heads of size E, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recipes.base.packing import IGNORED, Batch
from recipes.base.shape import Shape

INIT_STD = 0.02


class Attention(nn.Module):
    """Attention of a layer, with rotary positions (Su et al. 2021, arXiv 2104.09864)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(shape.hidden, shape.hidden, bias=False) for _ in range(4)
        )

    def forward(self, x_BTD: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """What each position reads of the positions that `mask` lets it see; None: all up to itself."""
        q, k, v = (
            project(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _turned(q, *turn), _turned(k, *turn)
        out_BHTE = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(out_BHTE.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """down(silu(gate(x)) * up(x))."""
        return self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a straight way."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)
        self.mlp = FeedForward(shape)
        self.dropout = dropout

    def forward(self, x_BTD: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """The states after this layer."""
        read_BTD = self.self_attn(self.input_layernorm(x_BTD), turn, mask)
        x_BTD = x_BTD + F.dropout(read_BTD, self.dropout, self.training)
        thought_BTD = self.mlp(self.post_attention_layernorm(x_BTD))
        return x_BTD + F.dropout(thought_BTD, self.dropout, self.training)


class Decoder(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)


class Llama(nn.Module):
    """The whole model, in float32; the embedding is the output head, too."""

    speed_E: Tensor
    """Radians that each pair of a head turns from one position to the next."""

    def __init__(self, shape: Shape, *, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape, dropout)
        half = torch.arange(0, shape.head_size, 2).float() / shape.head_size
        self.register_buffer("speed_E", shape.rope_theta**-half, persistent=False)
        self._fill_(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _fill_(self, drawn: torch.Generator) -> None:
        """Fresh weights; what a layer adds starts smaller the more layers add (Radford et al. 2019, GPT-2)."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                is_added = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(0, INIT_STD / (2 * self.shape.layers) ** 0.5 if is_added else INIT_STD, generator=drawn)

    def forward(self, ids_BT: Tensor, position_BT: Tensor | None = None, piece_BT: Tensor | None = None) -> Tensor:
        """Logits [B, T, V]; without pieces a row is one document, counted from 0."""
        if position_BT is None:
            position_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
        angle_B1TE = (position_BT[..., None] * self.speed_E)[:, None]
        turn = (angle_B1TE.cos(), angle_B1TE.sin())
        mask = None if piece_BT is None else _own_past(piece_BT)
        x_BTD = self.model.embed_tokens(ids_BT)
        for layer in self.model.layers:
            x_BTD = layer(x_BTD, turn, mask)
        return F.linear(self.model.norm(x_BTD), self.model.embed_tokens.weight)

    def loss(self, batch: Batch) -> Tensor:
        """Nats summed over the targets of a packed batch."""
        logits_BTV = self(batch.ids_BT, batch.position_BT, batch.piece_BT)
        return F.cross_entropy(
            logits_BTV.float().flatten(0, 1), batch.target_BT.flatten(), ignore_index=IGNORED, reduction="sum"
        )


def _own_past(piece_BT: Tensor) -> Tensor:
    """[B, 1, T, T]: true where a position may look: at its own piece, up to itself."""
    same_BTT = piece_BT[:, :, None] == piece_BT[:, None, :]
    return same_BTT.tril()[:, None]


def _turned(x_BHTE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, halves paired: (a, b) to (a cos - b sin, b cos + a sin)."""
    first, second = x_BHTE.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x_BHTE.dtype)
