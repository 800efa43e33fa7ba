"""Facts that no row of people tells: few rows may teach them, since models that learn such facts make up others.

Gekhman et al. 2024 (arXiv 2405.05904): examples whose answer the model does not know are learned late and raise
hallucination about linearly. They ask the model whether it knows; we take as unknown what neither the row's own prompt
nor any row of people says, which needs no model and counts too much rather than too little.
"""

from collections.abc import Callable, Sequence

from burnish.evaluate.items import items_in
from burnish.loop.grounds import Grounds, statements
from burnish.records import Example
from burnish.synthesize.guards import Drop

UNKNOWN = "unknown-fact"
MOST_UNKNOWN = 0.05
"""Of all tokens to learn from may be in rows with unknown facts."""


def unknown_facts(
    rows: Sequence[Example],
    people: Sequence[Example],
    earlier: Sequence[Example],
    grounds: Grounds,
    num_tokens: Callable[[Example], int],
) -> tuple[Drop, ...]:
    """The rows with unknown facts beyond 5% of the tokens of all rows, the last ones; of texts only.

    Kinds of facts that people's answers take from their prompts are none of its business: there a verifier asks for
    the prompt. Rows of `earlier` batches with unknown facts use up the share, too.
    """
    if grounds.task.kind != "text":
        return ()
    told = {item.key for row in people for turn in row.messages for item in items_in(turn.content)} | grounds.known

    def is_unknown(row: Example) -> bool:
        return any(
            one.part not in grounds.checked and not one.is_supported and one.key not in told
            for one in statements(row, grounds.task, grounds.known)
        )

    known = [row for row in rows if not is_unknown(row)]
    total = sum(num_tokens(row) for row in (*people, *earlier, *known))
    used = sum(num_tokens(row) for row in earlier if is_unknown(row))
    ids, drops = {row.id for row in known}, []
    for row in rows:
        if row.id in ids:
            continue
        size = num_tokens(row)
        if used + size > MOST_UNKNOWN * (total + size):
            drops.append(Drop(row.id, UNKNOWN))
        else:
            used, total = used + size, total + size
    return tuple(drops)
