"""The cheap filters of a synthetic batch: form, length, language, copies of seeds and duplicates, each with a reason.

They need no model and look at texts only; whether a row is right is asked by the verifiers and by the audit.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from burnish.data.answers import parse_fields
from burnish.data.dedup import prompt_text
from burnish.data.quality import CONTROL_TOKEN, inspect_text
from burnish.errors import DataError
from burnish.grammar import agree
from burnish.records import Example, Task
from burnish.synthesize.duplicates import Embed, copies_of, cosine_duplicates, near_duplicates
from burnish.synthesize.runs import plain_words

FORM, LENGTH, LANGUAGE, COPY = "form", "length", "language", "copy"
DUPLICATE, NEAR, COSINE = "duplicate", "near-duplicate", "cosine-duplicate"
REASONS = (FORM, LENGTH, LANGUAGE, COPY, DUPLICATE, NEAR, COSINE)
"""The stable words that open the reason of a drop, in the order in which rows are looked at."""

SCRIPT_SHARE = 0.01
"""A script (Latin, Cyrillic) belongs to the project when so large a share of the seeds' letters is of it."""
MOST_FOREIGN = 0.2
"""Share of a row's letters that may be of other scripts."""
FEWEST_WORDS = 6
"""Words from which on a row can be told to be of another language with the same script."""
FEWEST_KNOWN = 0.2
"""Share of a row's words that some seed must hold; function words alone make it in the same language."""
FEWEST_SEED_WORDS = 200
"""Different words of all seeds below which unknown words say nothing."""


HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""One of two surrogates by itself, as broken JSON of a server brings it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """How strict the filters are."""

    near: float = 0.8
    """Jaccard similarity over runs of 1 to 5 words from which two prompts are near duplicates; 1: only equal words."""
    cosine: float = 0.92
    """Cosine from which two rows with the same answer are duplicates; calibrate on pairs that people marked."""
    copy: float = 0.5
    """Jaccard similarity over 8-word runs above which a row is a copy of a seed."""
    shortest: float = 0.5
    """Fewest words, as a multiple of the shortest seed's."""
    longest: float = 2.0
    """Most words, as a multiple of the longest seed's."""


class Drop(NamedTuple):
    """A row that was not kept."""

    example: str
    reason: str
    """One of REASONS, and after a colon what was found."""


def by_reason(drops: Sequence[Drop]) -> dict[str, int]:
    """Dropped rows by the stable word of their reason, most frequent first."""
    counts = Counter(drop.reason.split(":")[0] for drop in drops)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the filters kept and dropped."""

    kept: tuple[Example, ...]
    drops: tuple[Drop, ...]

    @property
    def by_reason(self) -> dict[str, int]:
        """Dropped rows by the stable word of their reason, most frequent first."""
        return by_reason(self.drops)

    def as_text(self) -> str:
        """One line for people."""
        told = ", ".join(f"{reason} {count:,}" for reason, count in self.by_reason.items())
        return f"{agree(len(self.kept), 'row', 'rows')} kept, {len(self.drops):,} dropped" + (
            f" ({told})" if told else ""
        )


def guard(
    rows: Sequence[Example],
    seeds: Sequence[Example],
    task: Task,
    limits: GuardLimits | None = None,
    *,
    embed: Embed | None = None,
) -> Guarded:
    """The rows that have the right form, length and language and are no copy or duplicate, in their order.

    The first of several alike is kept; seeds count as there before. Duplicates by cosine are looked for among rows
    with the same answer only, in vectors that `embed` gives (default: TF-IDF). Deterministic. Raises DataError
    without seeds: there is nothing to hold the rows against.
    """
    if not seeds:
        raise DataError("there is no seed to hold synthetic rows against", hint="add data: burnish data add FILE")
    limits = limits or GuardLimits()
    reasons: dict[int, str] = {}
    seed_texts = [said_by(seed, task) for seed in seeds]
    texts = [said_by(row, task) for row in rows]
    looks: tuple[Callable[[list[int]], Mapping[int, str]], ...] = (
        lambda left: _misformed([rows[at] for at in left], task),
        lambda left: _odd_sizes([texts[at] for at in left], seed_texts, limits),
        lambda left: _foreign([texts[at] for at in left], seed_texts),
        lambda left: _copied([texts[at] for at in left], seed_texts, limits),
        lambda left: _equal([texts[at] for at in left], seed_texts),
        lambda left: _near([texts[at] for at in left], seed_texts, limits),
        lambda left: _alike([rows[at] for at in left], seeds, task, limits, embed),
    )
    for look in looks:
        left = [at for at in range(len(rows)) if at not in reasons]
        reasons |= {left[at]: reason for at, reason in look(left).items()}
    return Guarded(
        kept=tuple(row for at, row in enumerate(rows) if at not in reasons),
        drops=tuple(Drop(row.id, reasons[at]) for at, row in enumerate(rows) if at in reasons),
    )


# One row by itself ----------------------------------------------------------------------------------------------------


def misformed(row: Example, task: Task) -> str:
    """What is wrong with the form of a row, "" when nothing is: turns, label, fields, control tokens, noise."""
    if row.messages[-1].role != "assistant" or not any(turn.role == "user" for turn in row.prompt):
        return "no question with an answer"
    if not any(char.isalnum() for char in prompt_text(row)):
        return "a prompt without a word"
    if not row.answer.strip():
        return "no answer"
    if task.kind == "label" and row.answer not in task.labels:
        return "a label that the task does not have"
    if task.kind == "fields" and list(parse_fields(row.answer) or {}) != list(task.fields):
        return "not the fields of the task"
    whole = "\n".join(turn.content for turn in row.messages)
    if HALF_CHARACTER.search(whole):
        return "half a character, which no file can hold"
    if CONTROL_TOKEN.search(whole):
        return "a control token"
    return ", ".join(inspect_text(whole).noise)


def _misformed(rows: Sequence[Example], task: Task) -> dict[int, str]:
    found = {at: misformed(row, task) for at, row in enumerate(rows)}
    return {at: f"{FORM}: {fault}" for at, fault in found.items() if fault}


def _odd_sizes(texts: Sequence[str], seeds: Sequence[str], limits: GuardLimits) -> dict[int, str]:
    sizes = [len(plain_words(text)) for text in seeds]
    low, high = limits.shortest * min(sizes), limits.longest * max(sizes)
    found = {at: len(plain_words(text)) for at, text in enumerate(texts)}
    return {at: f"{LENGTH}: {size} words" for at, size in found.items() if not low <= size <= high}


def _foreign(texts: Sequence[str], seeds: Sequence[str]) -> dict[int, str]:
    scripts: Counter[str] = Counter()
    known: set[str] = set()
    for text in seeds:
        scripts.update(_scripts(text))
        known.update(plain_words(text))
    own = {script for script, count in scripts.items() if count >= SCRIPT_SHARE * scripts.total()}
    found = {}
    for at, text in enumerate(texts):
        letters = _scripts(text)
        strange = sum(count for script, count in letters.items() if script not in own)
        words = plain_words(text)
        if strange > MOST_FOREIGN * letters.total():
            found[at] = f"{LANGUAGE}: another script"
        elif len(known) >= FEWEST_SEED_WORDS and len(words) >= FEWEST_WORDS:
            share = sum(word in known for word in words) / len(words)
            if share < FEWEST_KNOWN:
                found[at] = f"{LANGUAGE}: {share:.0%} known words"
    return found


def _scripts(text: str) -> Counter[str]:
    """Letters of the first 2,000 characters by script."""
    return Counter(_script(char) for char in text[:2000] if char.isalpha())


@lru_cache(maxsize=65536)
def _script(char: str) -> str:
    """The first word of a letter's Unicode name: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(char, "?").split()[0]


# Rows beside others ---------------------------------------------------------------------------------------------------


def said_by(row: Example, task: Task) -> str:
    """The prompt, without the system message; and in a text task the answer, which is as new as the prompt is."""
    return f"{prompt_text(row)}\n{row.answer}" if task.kind == "text" else prompt_text(row)


def _copied(texts: Sequence[str], seeds: Sequence[str], limits: GuardLimits) -> dict[int, str]:
    return {at: COPY for at, is_copy in enumerate(copies_of(texts, seeds, limits.copy)) if is_copy}


def _equal(texts: Sequence[str], seeds: Sequence[str]) -> dict[int, str]:
    seen = {" ".join(text.casefold().split()) for text in seeds}
    found = {}
    for at, text in enumerate(texts):
        plain = " ".join(text.casefold().split())
        if plain in seen:
            found[at] = DUPLICATE
        seen.add(plain)
    return found


def _near(texts: Sequence[str], seeds: Sequence[str], limits: GuardLimits) -> dict[int, str]:
    places = near_duplicates([*seeds, *texts], len(seeds), limits.near)
    return {place - len(seeds): NEAR for place in places}


def _alike(
    rows: Sequence[Example], seeds: Sequence[Example], task: Task, limits: GuardLimits, embed: Embed | None
) -> dict[int, str]:
    """Duplicates by cosine, looked for in each answer by itself; in all rows where answers differ by nature."""
    own: dict[str, list[str]] = defaultdict(list)
    for seed in seeds:
        own[_cell(seed, task)].append(said_by(seed, task))
    cells: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        cells[_cell(row, task)].append(at)
    found = {}
    for cell, places in cells.items():
        texts = [*own[cell], *(said_by(rows[at], task) for at in places)]
        for place in cosine_duplicates(texts, len(own[cell]), limits.cosine, embed=embed):
            found[places[place - len(own[cell])]] = COSINE
    return found


def _cell(row: Example, task: Task) -> str:
    return row.answer if task.kind == "label" else ""
