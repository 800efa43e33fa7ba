"""How far a tuned model has moved from its base on what the base itself would say, and what it keeps of old skills.

KL is an alarm, in nats per token: forgetting grows with it (Shenfeld, Pari and Agrawal 2025, RL's Razor, arXiv
2509.04259), yet it also counts what was meant to change. Skill is what a retention set shows, and that is the guard.
Shapes: N positions, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from burnish.data.conversation import conversation
from burnish.evaluate.measure import Measure, MeasuredRow, measured
from burnish.model.base import Base
from burnish.model.generate import batches
from burnish.model.generator import Generator, Request
from burnish.model.sample import Sampling
from burnish.model.session import Entry, Node, Session
from burnish.records import Evaluation, Example, Task
from burnish.talk import Advance, unheard

KL_NAME = "KL to the base"
KL_COUNTS = "Forward KL of the tuned model from its base, in nats per token of what the base says to these prompts."
RETENTION = "retention"
RETENTION_COUNTS = "Score on rows that have nothing to do with the task, kept aside to see what is forgotten."


class Text(NamedTuple):
    """A prompt and what follows it, as tokens."""

    example: Example
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    """With the token that ended it, where one did."""


Thoughts = Callable[[int, int], NDArray[np.float32]]
"""thoughts(low, high): log-probabilities [N, V] from which the tokens low to high of an answer are drawn."""


class Trace(NamedTuple):
    """What one model thinks at every position of some texts; logits are made when asked for, a block at a time."""

    thoughts: tuple[Thoughts, ...]
    """For each text. Holds the hidden states of its answer's positions."""
    block: int
    """How many positions to ask for at once."""


def base_texts(
    base: Base, task: Task, examples: Sequence[Example], *, max_new_tokens: int = 32, seed: int = 0
) -> tuple[Text, ...]:
    """What the base alone says to the prompts of these examples, drawn at temperature 1: the texts for KL.

    Forward KL is an expectation over the base's own samples, KL = E_{y ~ base} log base(y) / tuned(y), so the texts are
    drawn from the base; on given answers the number would be another, as those are not what the base would say. Call it
    with no adapter in use. The same seed gives the same texts; every model of the project is held against the same.
    Prompts without room for an answer are left out.
    """
    prompts = [tuple(base.chat.render_prompt(conversation(task, example)[:-1])) for example in examples]
    fitting = [at for at, prompt in enumerate(prompts) if len(prompt) + max_new_tokens <= base.max_tokens]
    requests = [
        Request(
            prompt=prompts[at],
            max_new_tokens=max_new_tokens,
            sampling=Sampling(temperature=1.0, seed=seed * 1_000_003 + at),
        )
        for at in fitting
    ]
    texts: list[Text] = [Text(examples[at], prompts[at], ()) for at in fitting]
    spoken: dict[int, list[int]] = {number: [] for number in range(len(requests))}
    for event in Generator(base).run(requests):
        spoken[event.number].append(event.token)
    return tuple(text._replace(answer=tuple(spoken[number])) for number, text in enumerate(texts))


def trace(base: Base, texts: Sequence[Text], advance: Advance = unheard) -> Trace:
    """What the model in use around the call thinks where it predicts the answers' tokens.

    Costs one pass over the texts and D numbers for each answer token. Valid after the adapter is taken off again, as
    adapters leave the output head alone.
    """
    thoughts: dict[int, Thoughts] = {}
    head = Session(base)
    for batch in batches([(*text.prompt, *text.answer) for text in texts]):
        thoughts.update(zip(batch, _think(base, head, [texts[at] for at in batch]), strict=True))
        advance(len(batch), "")
    return Trace(tuple(thoughts[at] for at in range(len(texts))), head.logits_rows)


def _think(base: Base, head: Session, texts: Sequence[Text]) -> list[Thoughts]:
    """The thoughts on texts that run side by side: prompts in one pass, then all tokens of the answers in another."""
    session = Session(base)
    first_BD = session.enter([Entry(text.prompt) for text in texts])
    nodes = [_chain(text.answer[:-1]) for text in texts]
    rest_ND = session.branch(nodes) if any(nodes) else first_BD[:0]
    ends = list(accumulate(map(len, nodes)))

    def thoughts_of(place: int) -> Thoughts:
        state_ND = first_BD.new_empty(len(nodes[place]) + 1, first_BD.shape[1])
        state_ND[0] = first_BD[place]
        state_ND[1:] = rest_ND[ends[place] - len(nodes[place]) : ends[place]]
        return lambda low, high: head.logits(state_ND[low:high]).log_softmax(-1).cpu().numpy()

    return [thoughts_of(place) for place in range(len(texts))]


def kl_to_base(before: Trace, after: Trace, texts: Sequence[Text], *, columns: Sequence[str] = ()) -> Measure:
    """Forward KL of `after` from `before`, by example in nats per token, exact over the vocabulary at each position.

    At each position of a text drawn from the base, KL(base | tuned) over the next token is summed over all tokens of
    the vocabulary; its sum over positions has the KL of whole answers as its expectation, with less noise than the
    log-ratio of the drawn tokens alone. Logits are float32, in blocks. 0 for an adapter that changes nothing. The mean
    is over examples; slices are the values of `columns`.
    """
    rows = []
    for text, base_says, tuned_says in zip(texts, before.thoughts, after.thoughts, strict=True):
        total, length = 0.0, len(text.answer)
        for low in range(0, length, before.block):
            high = min(length, low + before.block)
            base_NV, tuned_NV = base_says(low, high), tuned_says(low, high)
            total += float((np.exp(base_NV) * (base_NV - tuned_NV)).sum(dtype=np.float64))
        # a KL is never below 0: what is, is rounding of float32 logits
        rows.append(_row(text.example, max(0.0, total / length), columns))
    return measured(KL_NAME, KL_COUNTS, "lower is better", rows, unit="nats per token")


def retention(evaluation: Evaluation) -> Measure:
    """The scores of an evaluation of the retention set as a measure, which can be paired and guarded as the others.

    The set is the caller's: short tasks scored by rule that the base can do and the project does not train.
    """
    rows = [
        MeasuredRow(
            example=row.example,
            value=row.score,
            why_missing=row.why_missing,
            group=row.group,
            slices=row.slices,
            note=row.output,
        )
        for row in evaluation.rows
    ]
    return measured(RETENTION, RETENTION_COUNTS, "higher is better", rows)


def _chain(tokens: Sequence[int]) -> list[Node]:
    """Tokens that each see all before them."""
    return [Node(token, depth, tuple(range(depth))) for depth, token in enumerate(tokens, 1)]


def _row(example: Example, value: float, columns: Sequence[str]) -> MeasuredRow:
    slices = {column: example.slices[column] for column in columns if column in example.slices}
    return MeasuredRow(example=example.id, value=value, group=example.group, slices=slices)
