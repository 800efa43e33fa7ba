"""What a base with its adapter says: free text, or a JSON object with given fields; and how likely it finds a text.

The adapter is the one that `bank.use(slot)` puts around the call: one slot for all rows. Decoding is greedy, so the
same prompt gives the same answer in any company, up to the rounding of sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.base import Base
from burnish.model.chat import Rendered
from burnish.model.choose import Chosen, choose
from burnish.model.fields import FieldsGrammar, FieldsWalk
from burnish.model.forward import exact_head, forward_hidden, logits_of, output_head
from burnish.model.session import LEAVE_SHARE, Session, batches, check_lengths
from burnish.talk import Advance, unheard

__all__ = ["Chosen", "Generated", "choose", "generate", "generate_fields", "loss_of", "target_logprobs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An answer as it was produced."""

    tokens: tuple[int, ...]
    """Without the token that ended it."""
    text: str
    stop_reason: Literal["end", "length"]
    logprob: float
    """Summed over the produced tokens, the ending one included, in nats."""


def generate(
    base: Base, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, advance: Advance = unheard
) -> list[Generated]:
    """Greedy answers, one per prompt in their order, up to the end of the turn or `max_new_tokens`."""
    return _decode(base, prompts, lambda: _FreeWalk(base.chat.end_ids, max_new_tokens), advance)


def generate_fields(
    base: Base,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[str],
    *,
    max_new_tokens: int,
    advance: Advance = unheard,
) -> list[Generated]:
    """Greedy JSON objects {"key":"value",...} with exactly these keys in order; the text always parses.

    Each value gets an equal share of `max_new_tokens`; stop reason length says that a value was cut there.
    """
    opening, literal = base.chat.answer_opening
    grammar = FieldsGrammar(base, keys, before=literal, value_tokens=max(1, max_new_tokens // len(keys)))
    return _decode(base, [[*prompt, *opening] for prompt in prompts], lambda: FieldsWalk(grammar), advance)


def target_logprobs(base: Base, rows: Sequence[Rendered]) -> list[Tensor]:
    """Log-probability of each learned token of each row, float32 on the CPU, in nats."""
    answers: list[Tensor] = [torch.empty(0)] * len(rows)
    head = exact_head(output_head(base.model))
    with torch.inference_mode():
        for batch in batches([row.tokens for row in rows]):
            longest = max(len(rows[i].tokens) for i in batch)
            padded = [[*rows[i].tokens, *[base.chat.pad_id] * (longest - len(rows[i].tokens))] for i in batch]
            tokens_BT = torch.tensor(padded, device=base.device)
            hidden_BTD = forward_hidden(base.model, tokens_BT)
            for place, index in enumerate(batch):
                targets = [at for at, learned in enumerate(rows[index].learned) if learned and at > 0]
                at_N = torch.tensor(targets, dtype=torch.long, device=base.device)
                logprobs_NV = torch.log_softmax(logits_of(head, hidden_BTD[place, at_N - 1]), dim=-1)
                answers[index] = logprobs_NV.gather(1, tokens_BT[place, at_N][:, None])[:, 0].cpu()
    return answers


def loss_of(base: Base, rows: Sequence[Rendered]) -> list[float]:
    """Mean negative log-probability per learned token of each row, in nats; ln(vocabulary) is guessing."""
    logprobs = target_logprobs(base, rows)
    empty = [index for index, row in enumerate(logprobs) if not len(row)]
    if empty:
        raise ModelError(f"row {empty[0]} has no learned token, so no loss", hint="Each row needs an assistant answer.")
    return [-float(row.mean()) for row in logprobs]


class Walk(Protocol):
    """One answer on its way: which tokens may come next, and when it is done."""

    @property
    def stop(self) -> Literal["end", "length"] | None:
        """Why the answer is done, or None while it is not."""

    def allowed(self) -> Tensor | None:
        """Which tokens may come next, bool [V]; None: any."""

    def push(self, token: int) -> None:
        """Takes the next token."""


class _FreeWalk:
    def __init__(self, end_ids: Sequence[int], max_new_tokens: int) -> None:
        self._end_ids, self._left = end_ids, max_new_tokens
        self.stop: Literal["end", "length"] | None = None

    def allowed(self) -> None:
        return None

    def push(self, token: int) -> None:
        self._left -= 1
        self.stop = "end" if token in self._end_ids else "length" if self._left == 0 else None


def _decode(
    base: Base, prompts: Sequence[Sequence[int]], start: Callable[[], Walk], advance: Advance
) -> list[Generated]:
    check_lengths(base, prompts)
    answers: list[Generated | None] = [None] * len(prompts)
    with torch.inference_mode():
        for batch in batches(prompts):
            found = _decode_batch(base, [prompts[i] for i in batch], [start() for _ in batch])
            for index, answer in zip(batch, found, strict=True):
                answers[index] = answer
            advance(len(batch), "")
    return [answer for answer in answers if answer is not None]


def _decode_batch(base: Base, prompts: Sequence[Sequence[int]], walks: Sequence[Walk]) -> list[Generated]:
    session = Session(base, prompts)
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs = [0.0] * len(prompts)
    rows = list(range(len(prompts)))  # which prompt each row of the session belongs to
    hidden_BD = session.hidden_BD
    for _ in range(base.max_tokens - max(map(len, prompts))):
        picked, scores = _greedy(session.logits(hidden_BD), [walks[row].allowed() for row in rows])
        for row, token, score in zip(rows, picked, scores, strict=True):
            if walks[row].stop is None:
                walks[row].push(token)
                tokens[row].append(token)
                logprobs[row] += score
        open_rows = [place for place, row in enumerate(rows) if walks[row].stop is None]
        if not open_rows:
            break
        if len(open_rows) <= LEAVE_SHARE * len(rows):
            session.keep(open_rows)
            rows, picked = [rows[place] for place in open_rows], [picked[place] for place in open_rows]
        hidden_BD = _step(session, picked, [len(prompts[row]) + len(tokens[row]) - 1 for row in rows])
    return [_finished(base, *row) for row in zip(tokens, logprobs, walks, strict=True)]


def _greedy(logits_BV: Tensor, allowed: Sequence[Tensor | None]) -> tuple[list[int], list[float]]:
    """The likeliest allowed token of each row and its log-probability among all tokens."""
    total_B = logits_BV.logsumexp(-1)
    if any(mask is not None for mask in allowed):
        free = logits_BV.new_ones(logits_BV.shape[1], dtype=torch.bool)
        mask_BV = torch.stack([free if mask is None else mask.to(free.device) for mask in allowed])
        logits_BV = logits_BV.masked_fill(~mask_BV, -torch.inf)
    best_B, token_B = logits_BV.max(-1)
    return token_B.tolist(), (best_B - total_B).tolist()


def _step(session: Session, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
    device = session.columns_BC.device
    tokens_B1 = torch.tensor(tokens, device=device)[:, None]
    positions_B1 = torch.tensor(positions, device=device)[:, None]
    seen_BC = torch.cat([session.columns_BC, positions_B1], dim=1) >= 0
    return session.extend(tokens_B1, positions_B1, seen_BC[:, None])[:, 0]


def _finished(base: Base, tokens: list[int], logprob: float, walk: Walk) -> Generated:
    kept = tokens[:-1] if tokens and tokens[-1] in base.chat.end_ids else tokens
    return Generated(
        tokens=tuple(kept), text=base.chat.answer_text(kept), stop_reason=walk.stop or "length", logprob=logprob
    )
