"""Names for weak slices of texts by a teacher, where one is set: from their terms and rows of train, none of dev."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from burnish.client.ask import Ask
from burnish.client.teacher import Teacher
from burnish.diagnose.diagnosis import Diagnosis
from burnish.diagnose.rows import text_of
from burnish.errors import BudgetError, ServiceError
from burnish.loop.stages import Shop
from burnish.loop.teaching import SHOTS, open_teacher, people_of
from burnish.records import Example, Weakness
from burnish.synthesize.cells import holds_term
from burnish.synthesize.questions import naming, read_name

TERMS_BESIDE = 3
"""Distinctive terms that stay beside a name, so that people see what it rests on."""


def name_slices(shop: Shop, found: Diagnosis) -> Diagnosis:
    """The diagnosis with its slices of texts named; as it was where there is no teacher, or it cannot name them.

    A name that was given is kept and costs nothing again. An endpoint that is down or a budget that is spent is said,
    and the terms stay the name: nothing else hangs on it. Raises ConfigError as `open_teacher` does.
    """
    places = [at for at, weak in enumerate(found.weaknesses) if weak.kind == "text"]
    settings = shop.project.settings.teacher
    if not places or not settings.is_set:
        return found
    weak = list(found.weaknesses)
    with closing(open_teacher(shop, settings, "teacher")) as teacher:
        for at, name in zip(places, _names(shop, teacher, [weak[at] for at in places]), strict=True):
            terms = ", ".join(weak[at].terms[:TERMS_BESIDE])
            weak[at] = replace(weak[at], name=f"text: {name} ({terms})") if name else weak[at]
    return replace(found, weaknesses=tuple(weak))


def _names(shop: Shop, teacher: Teacher, slices: Sequence[Weakness]) -> list[str]:
    people = people_of(shop)
    asks = [_ask(teacher, weak, people) for weak in slices]
    try:
        answers = teacher.answers(asks, lambda text, _: read_name(text)[1], name="teacher names slices")
    except (ServiceError, BudgetError) as error:
        shop.talk.warn(f"slices of texts are called by their terms: {error.message}")
        return [""] * len(slices)
    return [read_name(one.text)[0] if one.text else "" for one in answers]


def _ask(teacher: Teacher, weak: Weakness, people: Sequence[Example]) -> Ask:
    texts = [text_of(row) for row in people if holds_term(text_of(row), weak.terms)]
    return Ask(messages=naming(weak.terms, texts[:SHOTS]), max_new_tokens=teacher.settings.max_new_tokens)
