"""What a base with its adapter says: free text, or a JSON object with given fields; and how likely it finds a text.

The adapter is the one that `bank.use(slot)` puts around the call: one slot for all rows. Decoding is greedy, so the
same prompt gives the same answer in any company, up to the rounding of sums. More wishes than these: `Generator`.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from burnish.errors import ModelError
from burnish.model.base import Base
from burnish.model.fields import FieldsGrammar, FieldsWalk
from burnish.model.forward import exact_head, forward_hidden, logits_of, output_head
from burnish.model.generator import Generated, Generator, Request
from burnish.model.rendered import Rendered
from burnish.model.session import check_lengths
from burnish.talk import Advance, unheard

BATCH_ROWS = 128
BATCH_TOKENS = 4096
"""Tokens of one batch of whole rows, padding counted; more is no faster on a CPU."""


def generate(
    base: Base, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, advance: Advance = unheard
) -> list[Generated]:
    """Greedy answers, one per prompt in their order, up to the end of the turn or `max_new_tokens`."""
    requests = [Request(prompt=tuple(prompt), max_new_tokens=max_new_tokens) for prompt in prompts]
    return _answers(base, requests, advance)


def generate_fields(
    base: Base,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[str],
    *,
    max_new_tokens: int,
    advance: Advance = unheard,
) -> list[Generated]:
    """Greedy JSON objects {"key":"value",...} with exactly these keys in order; the text always parses.

    The values share `max_new_tokens` (see `FieldsGrammar`); stop reason length says that one was cut for it.
    """
    return _answers(base, fields_requests(base, prompts, keys, max_new_tokens=max_new_tokens), advance)


def fields_requests(
    base: Base, prompts: Sequence[Sequence[int]], keys: Sequence[str], *, max_new_tokens: int
) -> list[Request]:
    """What `generate_fields` asks for."""
    opening, literal = base.chat.answer_opening
    grammar = FieldsGrammar(base, keys, before=literal, max_new_tokens=max_new_tokens)
    return [
        Request(prompt=(*prompt, *opening), max_new_tokens=grammar.most_tokens, grammar=lambda: FieldsWalk(grammar))
        for prompt in prompts
    ]


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


def batches(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of the prompts in batches of similar length, longest first, so that a lack of memory shows at once."""
    batch: list[int] = []
    for index in _longest_first(prompts):
        longest = len(prompts[batch[0]]) if batch else 0
        if batch and (len(batch) == BATCH_ROWS or (len(batch) + 1) * longest > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _longest_first(prompts: Sequence[Sequence[int]]) -> list[int]:
    return sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))


def _answers(base: Base, requests: Sequence[Request], advance: Advance) -> list[Generated]:
    check_lengths(base, [request.prompt for request in requests])
    order = _longest_first([request.prompt for request in requests])
    answers: dict[int, Generated] = {}
    for event in Generator(base).run(requests[index] for index in order):
        if event.answer:
            answers[order[event.number]] = event.answer
            advance(1, "")
    return [answers[index] for index in range(len(requests))]
