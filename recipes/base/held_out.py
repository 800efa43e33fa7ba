"""Loss on held-out text, per token and per byte; per byte, models with different tokenizers can be compared.

Of each text the first 8,000 characters count, so that a few long books do not outweigh the dialogues. Every token but a
text's first is predicted, from the tokens of its window; the end mark is not, since it is no text.
Shapes: B windows, T positions, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from burnish.model.base import Base
from burnish.model.forward import exact_head, forward_hidden, logits_of, output_head
from burnish.stats.rates import Estimate
from recipes.base.llama import Llama

MOST_CHARACTERS = 8000
WINDOWS_AT_ONCE = 8

NatsOf = Callable[[Tensor], Tensor]
"""Token ids [B, T + 1] to the nats of each next one, [B, T]."""
Encode = Callable[[str], list[int]]


class HeldOut(NamedTuple):
    """What each text cost, in the order of the texts."""

    nats: NDArray[np.float64]
    tokens: NDArray[np.float64]
    """Tokens that were predicted."""
    bytes: NDArray[np.float64]
    """Of the text as UTF-8, its marks included."""

    @property
    def per_token(self) -> Estimate:
        """Nats per token over all texts."""
        return ratio(self.nats, self.tokens)

    @property
    def per_byte(self) -> Estimate:
        """Nats per byte over all texts."""
        return ratio(self.nats, self.bytes)

    def worse_per_byte(self, other: "HeldOut") -> Estimate:
        """How many more nats per byte this model takes than the other, on the same texts."""
        return ratio(self.nats - other.nats, self.bytes)


def ratio(tops: NDArray[np.float64], bottoms: NDArray[np.float64]) -> Estimate:
    """sum(tops) / sum(bottoms) with a 95% interval over texts, by linearisation (Cochran 1977, Sampling Techniques).

    Holds for many texts of which none outweighs the rest; too short for fewer than some 30.
    """
    value = float(tops.sum() / bottoms.sum())
    off = tops - value * bottoms
    spread = float(np.sqrt((off**2).sum() * len(off) / max(len(off) - 1, 1)) / bottoms.sum())
    return Estimate(value, value - 1.96 * spread, value + 1.96 * spread, len(tops))


@torch.no_grad()
def measure(nats_of: NatsOf, encode: Encode, texts: Sequence[str], *, context: int, device: str) -> HeldOut:
    """What a model pays for each text, in windows of `context` positions."""
    texts = [text[:MOST_CHARACTERS] for text in texts]
    windows: list[tuple[int, list[int]]] = []
    for number, text in enumerate(texts):
        ids = encode(text)
        windows += [(number, ids[at : at + context + 1]) for at in range(0, max(len(ids) - 1, 1), context)]
    nats, tokens = np.zeros(len(texts)), np.zeros(len(texts))
    windows.sort(key=lambda window: len(window[1]))
    for begin in range(0, len(windows), WINDOWS_AT_ONCE):
        some = windows[begin : begin + WINDOWS_AT_ONCE]
        width = max(len(ids) for _, ids in some)
        padded = torch.tensor([ids + [0] * (width - len(ids)) for _, ids in some], device=device)
        paid_BT = nats_of(padded).double().cpu().numpy()
        for (number, ids), paid_T in zip(some, paid_BT, strict=True):
            nats[number] += paid_T[: len(ids) - 1].sum()
            tokens[number] += len(ids) - 1
    return HeldOut(nats, tokens, np.array([float(len(text.encode())) for text in texts]))


def nats_of_llama(model: Llama) -> NatsOf:
    """The losses of a model in training."""

    def nats_of(ids_BT: Tensor) -> Tensor:
        return _nats(model(ids_BT[:, :-1]), ids_BT)

    return nats_of


def nats_of_base(base: Base) -> NatsOf:
    """The losses of a base as burnish has loaded it."""
    head = exact_head(output_head(base.model))

    def nats_of(ids_BT: Tensor) -> Tensor:
        return _nats(logits_of(head, forward_hidden(base.model, ids_BT[:, :-1])), ids_BT)

    return nats_of


def _nats(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    return F.cross_entropy(logits_BTV.float().mT, ids_BT[:, 1:], reduction="none")
