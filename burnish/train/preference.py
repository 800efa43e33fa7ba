"""What people prefer, as losses over whole answers: DPO for pairs, KTO for thumbs.

Both see an answer only through its log-ratio: its log-probability under the adapter less that under the reference,
which is the adapter as it was at the start. Log-ratios are in nats, summed over the answer's tokens.
Shapes: G slots at work, N rows.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from burnish.records import Thumb
from burnish.train.batch import Row


def dpo_losses(chosen_GN: Tensor, rejected_GN: Tensor, beta_G: Tensor) -> Tensor:
    """-log sigmoid(beta (chosen - rejected)) of each pair's log-ratios, [G, N]; log 2 where nothing has moved yet.

    Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290, equation 7).
    """
    return -nn.functional.logsigmoid(beta_G[:, None] * (chosen_GN - rejected_GN))


def kto_losses(ratio_GN: Tensor, is_good_N: Tensor, kl_G: Tensor, beta_G: Tensor) -> Tensor:
    """1 - sigmoid(beta (ratio - kl)) of a good answer and 1 - sigmoid(beta (kl - ratio)) of another, [G, N].

    Kahneman-Tversky optimization (Ethayarajh et al. 2024, arXiv 2402.01306, equation 7), its two lambdas being the
    weights of the rows.
    """
    sign_N = is_good_N.to(ratio_GN.dtype) * 2 - 1
    return 1 - torch.sigmoid(beta_G[:, None] * sign_N * (ratio_GN - kl_G[:, None]))


def kl_estimate(mismatched_GN: Tensor) -> Tensor:
    """How far each slot moved from its reference, [G]: the mean log-ratio of mismatched answers, at least 0.

    The reference point of KTO, biased as its paper says, and as TRL computes it; no gradient goes through it.
    """
    return mismatched_GN.detach().mean(1).clamp(min=0)


def mismatch(rows: Sequence[Row], batches: Sequence[Sequence[int]]) -> list[Row]:
    """Thumbs, each given its prompt with the answer of the thumb before it in its batch, the first that of the last.

    So a batch's mismatched answers are its own ones, as KTO's authors advise; a batch of one has no other.
    """
    mismatched = list(rows)
    for batch in batches:
        for place, index in enumerate(batch):
            mismatched[index] = replace(rows[index], mismatched=_answered(rows[index], rows[batch[place - 1]]))
    return mismatched


def _answered(asked: Row, other: Row) -> Row:
    """The prompt of the one with the answer of the other."""
    places = _places(other)
    start, answer = _places(asked)[0], slice(places[0], places[-1] + 1)
    return Row(
        id=f"{asked.id} with the answer of {other.id}",
        tokens=[*asked.tokens[:start], *other.tokens[answer]],
        learned=[*[False] * start, *other.learned[answer]],
    )


def _places(row: Row) -> list[int]:
    return [place for place in range(1, len(row.tokens)) if row.learned[place]]


def sequence(row: Row) -> Row:
    """The row's own prompt and answer alone, with weight 1, so that its summed nll is that of the answer."""
    return Row(id=row.id, tokens=row.tokens, learned=row.learned)


def balanced(thumbs: Sequence[Thumb]) -> tuple[Thumb, ...]:
    """The same thumbs, the weights of the lighter side raised until good and bad ones weigh the same in sum.

    Without it KTO learns from the commoner verdict (Ethayarajh et al. 2024, equation 8: a ratio from 1 to 4/3).
    """
    good = sum(thumb.weight for thumb in thumbs if thumb.is_good)
    bad = sum(thumb.weight for thumb in thumbs if not thumb.is_good)
    if not good or not bad:
        return tuple(thumbs)
    share = {True: max(good, bad) / good, False: max(good, bad) / bad}
    return tuple(replace(thumb, weight=thumb.weight * share[thumb.is_good]) for thumb in thumbs)
