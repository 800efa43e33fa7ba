"""The term base of a project: what its trade calls things, and what it does not; a YAML file that people edit.

Proposed from the seeds by how much more often a phrase occurs in them than in other text. A term measures nothing
before a person has approved it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import ConfigError
from burnish.evaluate.everyday import EVERYDAY_WORDS, FUNCTION_WORDS
from burnish.store.files import write_atomic
from burnish.strict_yaml import dump, parse

WORD = re.compile(r"[^\W_]+(?:[-'’./][^\W_]+)*")
LONGEST_TERM = 3
"""Words."""
MIN_COUNT = 3
"""A phrase that the seeds hold less often is no term yet."""
LEAST_Z = 1.64
"""One-sided 5%; a person reads the list, so a term too many costs less than one that is not seen."""
PRIOR_SHARE = 0.1
"""Weight of the prior against all phrases counted, spread as in all texts together; more lets fewer rare ones pass."""
SUFFIXES = ("ingly", "edly", "ings", "ing", "ies", "ied", "es", "ed", "s", "e", "y")
HEAD = """# Terms of this project, for the jargon measures. Edit it: set `approved: true` where a term is right,
# `preferred` to the form that answers should use, `forbidden` to the forms that they should not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing that the trade has a word for."""

    term: str
    """What it is called in lists; unique."""
    preferred: str
    """The form that answers should use; other inflections of it are the same form."""
    forbidden: tuple[str, ...] = ()
    """Forms that mean the same and should not be used: obsolete, colloquial, misspelt."""
    definition: str = ""
    approved: bool = False
    """Whether a person has looked at it; only approved terms are measured."""
    seen: int = 0
    """How often the seeds hold any of its forms."""


def propose_terms(
    classes: Mapping[str, Sequence[str]], *, general: Sequence[str] = (), most: int = 40
) -> tuple[Term, ...]:
    """Candidate terms of the seeds, most telling first, none of them approved.

    `classes` holds the seeds' texts by class (label, slice, or one class for all). With `general`, texts from outside
    the trade, all seeds are held against those; without it each class is held against the other classes, which finds
    what tells the classes apart and misses what they share. Of one class alone without `general` nothing can be said:
    the result is empty. The score is the log-odds with an informative Dirichlet prior over its standard error (Monroe,
    Colaresi and Quinn 2008, Political Analysis 16, 372), for phrases of 1 to 3 words that are not all everyday
    words. Forms that differ in inflection, hyphens, spaces or case are one term: its commonest form is preferred, and
    forms spelt otherwise are proposed as forbidden.
    """
    counts = {name: _phrases(texts) for name, texts in classes.items()}
    every: Counter[str] = Counter()
    for count in counts.values():
        every.update(count)
    outside = _phrases(general)
    if not general and len(classes) < 2:
        return ()
    scored: dict[str, float] = {}
    for count in [every] if general else counts.values():
        other = outside if general else every - count
        for phrase, z in _log_odds(count, other).items():
            scored[phrase] = max(z, scored.get(phrase, -math.inf))
    chosen = [phrase for phrase, z in scored.items() if z >= LEAST_Z and every[phrase] >= MIN_COUNT]
    chosen = _without_parts(chosen, every)
    surface = _surfaces([text for texts in classes.values() for text in texts])
    terms = _grouped(sorted(chosen, key=lambda phrase: (-scored[phrase], phrase)), every, surface)
    return tuple(terms[:most])


def save_terms(path: Path, terms: Sequence[Term]) -> None:
    """Writes the term base as YAML, an entry a term, in the given order."""
    entries = [
        {
            "term": one.term,
            "preferred": one.preferred,
            "forbidden": list(one.forbidden),
            "definition": one.definition,
            "approved": one.approved,
            "seen": one.seen,
        }
        for one in terms
    ]
    body = dump({"terms": entries}, flow=False) if entries else "terms: []"
    write_atomic(path, f"{HEAD}{body}\n".encode())


def load_terms(path: Path) -> tuple[Term, ...]:
    """The term base of a file; only `term` is needed, `preferred` is the term where it is left out.

    Raises ConfigError with the line of what is not a term base.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the terms in {path} cannot be read: {error}", hint=_FORM) from error
    document = parse(text, path.name)
    entries = document.data.get("terms") if isinstance(document.data, dict) else None
    if not isinstance(entries, list):
        raise ConfigError(f"{path.name} holds no list of terms", hint=_FORM)
    terms = [_term(entry, path.name, document.lines.get(("terms", at), 1)) for at, entry in enumerate(entries)]
    twice = [name for name, count in Counter(term.term for term in terms).items() if count > 1]
    if twice:
        raise ConfigError(f"{path.name}: the term {twice[0]!r} stands there twice", hint="keep one of the two entries")
    return tuple(terms)


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a text with their places."""
    for match in WORD.finditer(text):
        yield match[0], match.start(), match.end()


def stem(word: str) -> str:
    """A word without its inflection, by rule, English only: equal for claim, claims, claimed, claiming.

    Words in capitals keep them, so that "IT" is not "it"; an s behind them is a plural.
    """
    bare = re.sub(r"['’]s?$", "", word)
    if len(bare) > 1 and bare.rstrip("s").isupper() and len(bare.rstrip("s")) > 1:
        return bare.rstrip("s")
    bare = bare.lower()
    for suffix in SUFFIXES:
        root = bare.removesuffix(suffix)
        if root != bare and len(root) >= 3 and not (suffix == "s" and bare.endswith(("ss", "us", "is"))):
            doubled = len(root) > 3 and root[-1] == root[-2] and root[-1] not in "aeiouls"
            return root[:-1] if doubled else root
    return bare


def squeezed(phrase: str) -> str:
    """A phrase as it is matched to others: stems without spaces and hyphens, in lower case."""
    return "".join(re.sub(r"[-./]", "", stem(word)).lower() for word, _, _ in words_of(phrase))


def _phrases(texts: Sequence[str]) -> Counter[str]:
    """How many texts hold each phrase of 1 to 3 words that may be a term; keyed by stems."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({" ".join(map(stem, words)) for words in _candidates(text)})
    return counts


def _candidates(text: str) -> Iterator[list[str]]:
    for part in re.split(r"[.,;:!?()\[\]\"“”\n]+(?:\s|$)", text):
        words = [word for word, _, _ in words_of(part)]
        for size in range(1, LONGEST_TERM + 1):
            for at in range(len(words) - size + 1):
                phrase = words[at : at + size]
                if _may_be_term(phrase):
                    yield phrase


def _may_be_term(words: Sequence[str]) -> bool:
    edges = (words[0].lower(), words[-1].lower())
    if any(edge in FUNCTION_WORDS or edge.isdigit() or len(edge) < 2 for edge in edges):
        return False
    if any(word.lower() in FUNCTION_WORDS and word.lower() != "of" for word in words[1:-1]):
        return False
    return not all(word.lower() in EVERYDAY_WORDS or stem(word) in EVERYDAY_WORDS for word in words)


def _log_odds(count: Counter[str], other: Counter[str]) -> dict[str, float]:
    """z of each phrase of `count`: its log-odds there against `other`, smoothed toward both together."""
    both = count + other
    n, m = count.total() + PRIOR_SHARE * both.total(), other.total() + PRIOR_SHARE * both.total()
    scored = {}
    for phrase, seen in count.items():
        prior = PRIOR_SHARE * both[phrase]
        here, there = seen + prior, other[phrase] + prior
        odds = math.log(here / (n - here)) - math.log(there / (m - there))
        scored[phrase] = odds / math.sqrt(1 / here + 1 / there)
    return scored


def _without_parts(chosen: Sequence[str], every: Counter[str]) -> list[str]:
    """Without phrases that occur almost only inside a longer chosen one (after C-value, Frantzi et al. 2000)."""
    inside: dict[str, int] = {}
    for phrase in chosen:
        words = phrase.split()
        for size in range(1, len(words)):
            for at in range(len(words) - size + 1):
                part = " ".join(words[at : at + size])
                inside[part] = max(inside.get(part, 0), every[phrase])
    return [phrase for phrase in chosen if inside.get(phrase, 0) < 0.8 * every[phrase]]


def _surfaces(texts: Sequence[str]) -> dict[str, Counter[str]]:
    """How each phrase is written, by its stems."""
    found: dict[str, Counter[str]] = {}
    for text in texts:
        for words in _candidates(text):
            written = " ".join(word if stem(word).isupper() else word.lower() for word in words)
            found.setdefault(" ".join(map(stem, words)), Counter())[written] += 1
    return found


def _grouped(phrases: Sequence[str], every: Counter[str], surface: Mapping[str, Counter[str]]) -> list[Term]:
    """Phrases that differ in spelling alone become one term, in the order of the first of each."""
    alike: dict[str, list[str]] = {}
    for phrase in every:
        alike.setdefault(squeezed(phrase), []).append(phrase)
    terms, done = [], set()
    for phrase in phrases:
        key = squeezed(phrase)
        if key in done:
            continue
        done.add(key)
        forms = sorted(alike[key], key=lambda form: (-every[form], form))
        written = [surface[form].most_common(1)[0][0] for form in forms]
        seen = sum(every[form] for form in forms)
        terms.append(Term(term=written[0], preferred=written[0], forbidden=tuple(written[1:]), seen=seen))
    return terms


def _term(entry: Any, source: str, line: int) -> Term:
    if not isinstance(entry, dict) or not isinstance(entry.get("term"), str) or not entry["term"].strip():
        raise ConfigError(f"{source} line {line}: an entry without a term", hint=_FORM)
    kinds = {"term": str, "preferred": str, "forbidden": list, "definition": str, "approved": bool, "seen": int}
    unknown = sorted(set(entry) - set(kinds))
    if unknown:
        raise ConfigError(f"{source} line {line}: {unknown[0]} is no part of a term", hint=f"parts: {', '.join(kinds)}")
    wrong = [name for name, value in entry.items() if not isinstance(value, kinds[name])]
    forbidden = entry.get("forbidden", [])
    if wrong or not all(isinstance(form, str) for form in forbidden):
        raise ConfigError(f"{source} line {line}: {(wrong or ['forbidden'])[0]} has another type", hint=_FORM)
    return Term(**{**entry, "preferred": entry.get("preferred") or entry["term"], "forbidden": tuple(forbidden)})


_FORM = "write it as burnish does: terms: with entries of term, preferred, forbidden, definition, approved"
