"""One token out of logits: the likeliest, or drawn by a random stream that belongs to the request alone.

The number that decides a draw is a hash of the request's seed and the count of tokens before it, so nothing else in
the batch can move it. Tokens are drawn in the order of their numbers, so a rounding of sums shifts borders by its own
size and never swaps two tokens.
Shapes: B rows, S those that draw, V vocabulary.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from burnish.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn. What top_p and min_p keep is measured after the temperature, and a token needs both."""

    temperature: float = 0.0
    """0: always the likeliest token; 1: as the model says; higher is wilder."""
    top_p: float = 1.0
    """Keeps the likeliest tokens that hold this share together (Holtzman et al. 2019, arXiv 1904.09751); 1: all."""
    min_p: float = 0.0
    """Keeps tokens at least this share as likely as the likeliest (Nguyen et al. 2024, arXiv 2407.01082); 0: all."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises DataError for what cannot be drawn with."""
        if not (
            math.isfinite(self.temperature) and self.temperature >= 0 and 0 < self.top_p <= 1 and 0 <= self.min_p <= 1
        ):
            raise DataError(
                f"cannot draw with temperature {self.temperature}, top_p {self.top_p} and min_p {self.min_p}",
                hint="Temperature 0 or more, top_p above 0 up to 1, min_p from 0 to 1.",
            )


GREEDY = Sampling()


class Ask(NamedTuple):
    """What one row wants."""

    sampling: Sampling
    drawn: int
    """Tokens drawn before."""
    allowed: Tensor | None
    """Which tokens may come, bool [V]; None: any."""


class Picked(NamedTuple):
    """A token and its log-probability among all tokens, at temperature 1."""

    token: int
    logprob: float


def pick(logits_BV: Tensor, asks: Sequence[Ask]) -> list[Picked]:
    """One token for each row. Of equally likely ones the lowest number wins."""
    total_B = logits_BV.logsumexp(-1)
    free_BV = logits_BV
    if any(ask.allowed is not None for ask in asks):
        every = torch.ones(logits_BV.shape[1], dtype=torch.bool, device=logits_BV.device)
        mask_BV = torch.stack([every if ask.allowed is None else ask.allowed for ask in asks])
        free_BV = logits_BV.masked_fill(~mask_BV, -math.inf)
    token_B = free_BV.max(-1).indices
    drawing = [row for row, ask in enumerate(asks) if ask.sampling.temperature > 0]
    if drawing:
        token_B[drawing] = _drawn(free_BV[drawing], [asks[row] for row in drawing])
    logprob_B = logits_BV.gather(1, token_B[:, None])[:, 0] - total_B
    return [Picked(*row) for row in zip(token_B.tolist(), logprob_B.tolist(), strict=True)]


def likeliest(logits_V: Tensor, count: int) -> tuple[Picked, ...]:
    """The `count` likeliest tokens, falling, with their log-probability at temperature 1."""
    if not count:
        return ()
    best = torch.log_softmax(logits_V, -1).topk(count)
    return tuple(Picked(*pair) for pair in zip(best.indices.tolist(), best.values.tolist(), strict=True))


def uniform(seed: int, count: int) -> float:
    """Number `count` of the random stream `seed`, in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}:{count}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def _drawn(logits_SV: Tensor, asks: Sequence[Ask]) -> Tensor:
    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits_SV.device)[:, None]

    temperature_S1 = column([ask.sampling.temperature for ask in asks])
    p_SV = torch.softmax((logits_SV - logits_SV.amax(-1, keepdim=True)).double() / temperature_S1, -1)
    least_S1 = column([ask.sampling.min_p for ask in asks]) * p_SV.amax(-1, keepdim=True)
    if any(ask.sampling.top_p < 1 for ask in asks):
        falling_SV = p_SV.sort(-1, descending=True).values
        held_SV = falling_SV.cumsum(-1)
        top_p_S1 = column([ask.sampling.top_p for ask in asks])
        cut_S1 = (held_SV < top_p_S1).sum(-1, keepdim=True).clamp(max=p_SV.shape[1] - 1)
        cut_S1 = falling_SV.gather(1, cut_S1) * (top_p_S1 < 1)  # top_p 1 keeps all, whatever a sum rounds to
        least_S1 = torch.maximum(least_S1, cut_S1)
    held_SV = torch.where(p_SV >= least_S1, p_SV, 0.0).cumsum(-1)
    target_S1 = column([uniform(ask.sampling.seed, ask.drawn) for ask in asks]) * held_SV[:, -1:]
    return torch.searchsorted(held_SV, target_S1, right=True)[:, 0].clamp(max=p_SV.shape[1] - 1)
