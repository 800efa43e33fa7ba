"""New rows out of seeds by rule, with the answer kept: noise, two messages as one, other values, other words.

Same arguments, same rows.
"""

from collections.abc import Callable, Sequence
from random import Random

from burnish.data.provenance import HUMAN, provenance
from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Cell, Example
from burnish.synthesize.cells import ANY_NOISE, NOISE, in_cell
from burnish.synthesize.counterfactual import swap_values, value_pool
from burnish.synthesize.made import Made, asking, last_question, made_of, seeded, values_of
from burnish.synthesize.noise import NOISES, add_noise

NOISE_MOVE = "noise"
MOVES = (NOISE_MOVE, "compose", "counterfactual", "augment")
WORD_SHARE = 0.1
"""Of the words are changed in easy augmentation, one at least (Wei and Zou 2019: 0.1)."""
TRIES = 6
"""For each row asked for, before a cell is given up."""


def compose(first: Example, second: Example, *, seed: int = 0) -> Made | None:
    """One message that says what two seeds with the same label say, in either order.

    None when one of them is a conversation of several turns, of which the last alone may not make sense. Raises
    DataError when the labels differ, and for answers that are JSON objects: two of those are no one answer.
    """
    if first.answer != second.answer or values_of(first):
        raise DataError(
            f"{first.id} and {second.id} cannot be joined: they do not share one label",
            hint="compose only rows of one label of a label task",
        )
    if any(len([turn for turn in row.prompt if turn.role != "system"]) != 1 for row in (first, second)):
        return None
    parts = [last_question(first).strip(), last_question(second).strip()]
    if seeded(seed, "compose", first.id, second.id).random() < 0.5:
        parts.reverse()
    head = parts[0] if parts[0][-1:] in ".!?" else f"{parts[0]}."
    return made_of("compose", (first, second), asking(first, f"{head} {parts[1]}"), {})


def augment(parent: Example, donors: Sequence[Example], *, seed: int = 0) -> Made | None:
    """Easy augmentation without synonyms: words swapped, deleted, or inserted from donors (Wei and Zou 2019, arXiv
    1901.11196): the cheap arm that everything else has to beat.

    Donors should have the same answer; others are passed over, as are fields tasks, whose values must stay whole: None.
    The provenance names the parent and the donors of inserted words.
    """
    words = last_question(parent).split()
    if values_of(parent) or len(words) < 2:
        return None
    random = seeded(seed, "augment", parent.id)
    sources = [donor for donor in donors if donor.answer == parent.answer and donor.id != parent.id]
    used = {parent.id: parent}
    for _ in range(max(1, round(WORD_SHARE * len(words)))):
        how = random.choice(("swap", "delete", "insert") if sources else ("swap", "delete"))
        at = random.randrange(len(words))
        if how == "insert" and (found := last_question(donor := random.choice(sources)).split()):
            words.insert(at, random.choice(found))
            used[donor.id] = donor
        elif how == "delete" and len(words) > 2:
            del words[at]
        else:
            other = random.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    text = " ".join(words)
    changed = text != " ".join(last_question(parent).split())
    return made_of("augment", tuple(used.values()), asking(parent, text), {}) if changed else None


def fill_cell(cell: Cell, seeds: Sequence[Example], *, move: str, seed: int = 0) -> list[Made]:
    """Up to `cell.count` different rows for a cell, by one move, from the seeds that are in it, each used in turn.

    Fewer come back where the seeds give no more. Raises DataError when no seed is in the cell.
    """
    own = [row for row in seeds if in_cell(row, cell) and provenance(row) == HUMAN]
    if not own:
        raise DataError("no row that people wrote is in this cell", hint="label some, or plan without it")
    make = _maker(cell, own, seeds, move)
    random = seeded(seed, move, cell.answer, *sorted(cell.columns.items()))
    order = random.sample(own, len(own))
    seen = {fingerprint([turn.content for turn in row.messages]) for row in own}
    found: list[Made] = []
    for turn in range(TRIES * cell.count):
        if len(found) == cell.count:
            break
        made = make(order[turn % len(order)], seed + turn, random)
        key = fingerprint([turn.content for turn in made.example.messages]) if made else ""
        if made and key not in seen:
            seen.add(key)
            found.append(made)
    return found


def _maker(
    cell: Cell, own: Sequence[Example], seeds: Sequence[Example], move: str
) -> Callable[[Example, int, Random], Made | None]:
    kind = cell.columns.get(NOISE, ANY_NOISE)
    pool = value_pool([row for row in seeds if provenance(row) == HUMAN])
    makers: dict[str, Callable[[Example, int, Random], Made | None]] = {
        "noise": lambda row, at, r: add_noise(row, r.choice(NOISES) if kind == ANY_NOISE else kind, seed=at),
        "compose": lambda row, at, r: _with_another(row, own, at, r),
        "counterfactual": lambda row, at, _: swap_values(row, pool, seed=at),
        "augment": lambda row, at, _: augment(row, own, seed=at),
    }
    assert move in makers, f"{move!r} is none of {MOVES}"
    return makers[move]


def _with_another(row: Example, own: Sequence[Example], at: int, random: Random) -> Made | None:
    others = [other for other in own if other.id != row.id and other.answer == row.answer]
    return compose(row, random.choice(others), seed=at) if others else None
