"""Words of texts: which ones carry content, which are typical of a slice, and what can be read off a text's form."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from burnish.diagnose.rows import Bools

WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}(?:[./]\d{2,4})?\b"
    r"|\b(?:january|february|march|april|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
CAPS = re.compile(r"\b[A-Z]{3,}\b")
PRIOR_WORDS = 500.0
"""Weight of the prior of the log-odds, in words: a term seen once or twice in a slice does not name it."""


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def content_terms(text: str) -> list[str]:
    """The words of a text that carry content, in their order: no stop words of English, no single letters or figures.

    Words of other languages all count; TF-IDF then weighs the frequent ones down.
    """
    words = (word.casefold().replace("’", "'") for word in WORD.findall(text))
    return [word for word in words if len(word) > 1 and not word.isdigit() and word not in _stop_words()]


def distinctive_terms(terms: Sequence[Sequence[str]], members_N: Bools, most: int = 4) -> tuple[str, ...]:
    """Terms that are more frequent in some texts than in the others, most telling first; terms of one text are none.

    Log-odds with an informative Dirichlet prior, by z-score (Monroe, Colaresi and Quinn 2008, Fightin' Words, Political
    Analysis 16, 372). The prior is the frequency over all texts. A term counts once a text.
    """
    inside: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for own, is_inside in zip(terms, members_N, strict=True):
        once = set(own)
        total.update(once)
        if is_inside:
            inside.update(once)
    names = sorted(term for term, count in inside.items() if count > 1)
    if not names:
        return ()
    x = np.array([inside[name] for name in names], dtype=float)
    y = np.array([total[name] for name in names], dtype=float) - x
    a = PRIOR_WORDS * (x + y) / total.total()
    all_x, all_y = float(inside.total()), float(total.total() - inside.total())
    odds_x = np.log((x + a) / (all_x + PRIOR_WORDS - x - a))
    odds_y = np.log((y + a) / (all_y + PRIOR_WORDS - y - a))
    z = (odds_x - odds_y) / np.sqrt(1 / (x + a) + 1 / (y + a))
    best = sorted(range(len(names)), key=lambda at: (-z[at], names[at]))[:most]
    return tuple(names[at] for at in best if z[at] > 0)


def length_edges(texts: Sequence[str]) -> tuple[int, ...]:
    """Word counts that cut these texts into up to four parts of about equal size, ascending."""
    counts = [len(text.split()) for text in texts]
    return tuple(sorted({int(edge) for edge in np.quantile(counts, [0.25, 0.5, 0.75])})) if counts else ()


def form_of(text: str, edges: Sequence[int]) -> dict[str, str]:
    """What is read off a text's form, by column: length (cut at `edges`), digits, dates, words in capitals, a question.

    Such columns are named "text.*"; no row of data carries them, they are computed wherever they are needed.
    """
    words = len(text.split())
    over = sum(words > edge for edge in edges)
    low = edges[over - 1] + 1 if over else 0
    length = f"{low} words and more" if over == len(edges) else f"{low} to {edges[over]} words"
    return {
        "text.length": length,
        "text.digits": _yes(any(letter.isdigit() for letter in text)),
        "text.date": _yes(bool(DATE.search(text))),
        "text.capitals": _yes(bool(CAPS.search(text))),
        "text.question": _yes("?" in text),
    }


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
