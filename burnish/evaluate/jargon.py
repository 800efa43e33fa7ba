"""Whether answers speak the language of the trade: preferred forms, forbidden ones, required terms, one form a thing.

Deterministic, on the approved terms of a term base (see `terms`). Whether a term is used in its right sense is not
seen here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from burnish.evaluate.groundedness import texts_of
from burnish.evaluate.measure import (
    Answered,
    Finding,
    Measure,
    MeasuredRow,
    answered,
    measured,
    no_answer,
    not_applicable,
)
from burnish.evaluate.terms import Term, stem, words_of
from burnish.records import Evaluation, Example, Task

PREFERRED, FORBIDDEN = "preferred terms", "forbidden terms"
REQUIRED, CONSISTENT = "required terms", "consistent terms"
COUNTS = {
    PREFERRED: "Share of the uses of terms that are in the preferred form, in answers that use any.",
    FORBIDDEN: "Share of answers with a forbidden form of a term.",
    REQUIRED: "Share of the terms of the expected answer that the answer names in their preferred form.",
    CONSISTENT: "Share of the terms used more than once in an answer that keep to one form there.",
}


class Use(NamedTuple):
    """One use of a term in a text."""

    term: str
    is_preferred: bool
    form: str
    """As in the term base."""
    text: str
    start: int
    end: int


class Vocabulary:
    """The forms of approved terms, ready to be found in texts."""

    def __init__(self, terms: Sequence[Term]) -> None:
        """Terms that nobody approved are left out."""
        self.terms = tuple(term for term in terms if term.approved)
        self._forms: dict[tuple[str, ...], list[tuple[Term, str, bool]]] = defaultdict(list)
        for term in self.terms:
            for form in (term.preferred, *term.forbidden):
                key = tuple(stem(word) for word, _, _ in words_of(form))
                if key:
                    self._forms[key].append((term, form, form == term.preferred))
        self._longest = max(map(len, self._forms), default=0)

    def uses(self, text: str) -> list[Use]:
        """Every use of a form in the text, the longest one where forms overlap.

        Inflections of a form are the form; where two forms of the base differ in inflection alone, letters decide.
        """
        words = list(words_of(text))
        stems = [stem(word) for word, _, _ in words]
        found, at = [], 0
        while at < len(words):
            size, chosen = self._longest_at(stems, at)
            if not chosen:
                at += 1
                continue
            start, end = words[at][1], words[at + size - 1][2]
            term, form, is_preferred = _nearest(chosen, text[start:end])
            found.append(Use(term.term, is_preferred, form, text[start:end], start, end))
            at += size
        return found

    def _longest_at(self, stems: Sequence[str], at: int) -> tuple[int, list[tuple[Term, str, bool]]]:
        for size in range(min(self._longest, len(stems) - at), 0, -1):
            chosen = self._forms.get(tuple(stems[at : at + size]))
            if chosen:
                return size, chosen
        return 0, []


def jargon(
    task: Task, examples: Sequence[Example], evaluation: Evaluation, terms: Sequence[Term]
) -> tuple[Measure, Measure, Measure, Measure]:
    """Preferred, forbidden, required and consistent terms, in this order; for fields over the values of the object.

    A row where there is nothing to count has no value: no term used, none expected, none used twice. Forbidden terms
    are counted on every row. Only forbidden and required terms are pairable: the other two count what a model happens
    to say. A label task has none of them, nor a term base that nobody has approved a term of.
    """
    words = Vocabulary(terms)
    if task.kind == "label":
        return _none("label: a label is no text of the model's own")
    if not words.terms:
        return _none("no-terms: no term is approved; read the term base and set approved: true")
    pairs = answered(examples, evaluation)
    rules = (_preferred, _forbidden, _required, _consistent)
    made = [[_row(pair, words, rule) for pair in pairs] for rule in rules]
    return (
        measured(PREFERRED, COUNTS[PREFERRED], "higher is better", made[0], is_pairable=False),
        measured(FORBIDDEN, COUNTS[FORBIDDEN], "lower is better", made[1]),
        measured(REQUIRED, COUNTS[REQUIRED], "higher is better", made[2]),
        measured(CONSISTENT, COUNTS[CONSISTENT], "higher is better", made[3], is_pairable=False),
    )


Placed = tuple[Use, str]
"""A use, and the field that holds it."""
Rule = Callable[[Answered, Sequence[Placed], Vocabulary], MeasuredRow]


def _row(pair: Answered, words: Vocabulary, rule: Rule) -> MeasuredRow:
    why = no_answer(pair.row)
    return pair.measured(None, why) if why else rule(pair, _uses_in(pair.row.output, words), words)


def _uses_in(answer: str, words: Vocabulary) -> list[Placed]:
    return [(use, where) for where, text in texts_of(answer) for use in words.uses(text)]


def _preferred(pair: Answered, uses: Sequence[Placed], _: Vocabulary) -> MeasuredRow:
    if not uses:
        return pair.measured(None, "no-term: the answer uses no term")
    return pair.measured(sum(use.is_preferred for use, _ in uses) / len(uses), num_items=len(uses))


def _forbidden(pair: Answered, uses: Sequence[Placed], _: Vocabulary) -> MeasuredRow:
    found = [
        Finding(kind=f"forbidden for {use.term}", text=use.text, start=use.start, end=use.end, where=where)
        for use, where in uses
        if not use.is_preferred
    ]
    return pair.measured(float(bool(found)), findings=found, num_items=len(uses))


def _required(pair: Answered, uses: Sequence[Placed], words: Vocabulary) -> MeasuredRow:
    wanted = {use.term for use, _ in _uses_in(pair.example.answer, words)}
    if not wanted:
        return pair.measured(None, "no-term: the expected answer uses no term")
    lacking = sorted(wanted - {use.term for use, _ in uses if use.is_preferred})
    findings = [Finding(kind="missing term", text=term, start=0, end=0) for term in lacking]
    return pair.measured(1.0 - len(lacking) / len(wanted), findings=findings, num_items=len(wanted))


def _consistent(pair: Answered, uses: Sequence[Placed], _: Vocabulary) -> MeasuredRow:
    times = Counter(use.term for use, _ in uses)
    forms: dict[str, set[str]] = defaultdict(set)
    for use, _where in uses:
        forms[use.term].add(use.form)
    repeated = [term for term, count in times.items() if count > 1]
    if not repeated:
        return pair.measured(None, "no-term: the answer uses no term twice")
    mixed = [Finding(kind="mixed forms", text=term, start=0, end=0) for term in repeated if len(forms[term]) > 1]
    return pair.measured(1.0 - len(mixed) / len(repeated), findings=mixed, num_items=len(repeated))


def _nearest(chosen: Sequence[tuple[Term, str, bool]], text: str) -> tuple[Term, str, bool]:
    """Of forms with equal stems the one that is spelt like the text; else a preferred one."""
    return min(chosen, key=lambda one: (one[1].casefold() != text.casefold(), not one[2]))


def _none(why: str) -> tuple[Measure, Measure, Measure, Measure]:
    return (
        not_applicable(PREFERRED, COUNTS[PREFERRED], "higher is better", why),
        not_applicable(FORBIDDEN, COUNTS[FORBIDDEN], "lower is better", why),
        not_applicable(REQUIRED, COUNTS[REQUIRED], "higher is better", why),
        not_applicable(CONSISTENT, COUNTS[CONSISTENT], "higher is better", why),
    )
