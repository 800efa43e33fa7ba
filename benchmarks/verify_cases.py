"""A labelled set cut to a few seeds, some of them mislabelled, and the rows that verifiers are asked about.

The truth is kept beside the labels that verifiers are told.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from benchmarks.labelled import FEWEST, MOST, RARE_SHARE
from burnish.data.dedup import prompt_text
from burnish.fingerprint import fingerprint
from burnish.records import Example, Message, Task
from burnish.synthesize.guards import guard
from burnish.synthesize.made import Made
from burnish.synthesize.moves import augment, compose

MOST_LABELS = 16
TEST_ROWS, DEV_ROWS = 300, 60
RANDOM, ALIKE, PARENT = "random", "alike", "parent"
"""Why a label is wrong: drawn from the others; the one that reads most alike; the parent's was."""
CHILDREN = 6
"""Rows by easy augmentation of each seed; filters leave few, since they are near duplicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A set cut to a few seeds, with the truth kept beside it."""

    seeds: tuple[Example, ...]
    """Under the labels that verifiers are told."""
    mislabelled: frozenset[str]
    """Ids of the seeds that have another's label."""
    dev: tuple[Example, ...]
    fresh: tuple[Example, ...]
    """Rows that nothing is trained on, under their own labels."""
    rare: frozenset[str]
    alike: Mapping[str, str]
    """The label that reads most like each label."""

    @property
    def task(self) -> Task:
        """Labels of the set."""
        return Task(kind="label", labels=tuple(sorted(self.alike)))


def case_of(rows: Sequence[Example], *, seed: int, size: int, wrong_share: float) -> Case:
    """About `size` seeds of at most 16 labels; who is rare, drawn and mislabelled is decided by a hash of the seed."""
    rows = list({prompt_text(row).casefold(): row for row in rows}.values())
    random = Random(fingerprint(["verify", seed]))
    labels = sorted({row.answer for row in rows})
    labels = sorted(random.sample(labels, min(MOST_LABELS, len(labels))))
    rare = {"spam"} if set(labels) == {"ham", "spam"} else set(random.sample(labels, round(RARE_SHARE * len(labels))))
    room = {label: random.randint(FEWEST, MOST) for label in labels if label in rare}
    often = round((size - sum(room.values())) / (len(labels) - len(rare)))
    drawn: dict[str, list[Example]] = {"seeds": [], "dev": [], "fresh": []}
    for label in labels:
        own = [row for row in rows if row.answer == label]
        own.sort(key=lambda row: fingerprint([seed, row.content_hash]))
        first = room.get(label, often)
        second = first + max(1, round(DEV_ROWS * first / size))
        drawn["seeds"] += own[:first]
        drawn["dev"] += own[first:second]
        drawn["fresh"] += own[second : second + TEST_ROWS // len(labels)]
    told = swapped(drawn["seeds"], wrong_share, random)
    return Case(
        seeds=tuple(told),
        mislabelled=frozenset(
            one.id for one, was in zip(told, drawn["seeds"], strict=True) if one.answer != was.answer
        ),
        dev=tuple(drawn["dev"]),
        fresh=tuple(drawn["fresh"]),
        rare=frozenset(rare),
        alike=alike_labels([row for row in rows if row.answer in labels]),
    )


def swapped(rows: Sequence[Example], share: float, random: Random) -> list[Example]:
    """The rows, of each label this share with labels that change places among them, so that all keep their number."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        by_label[row.answer].append(at)
    taken = [at for _, places in sorted(by_label.items()) for at in random.sample(places, round(share * len(places)))]
    turned = taken[len(taken) // 2 :] + taken[: len(taken) // 2]
    label = {at: rows[other].answer for at, other in zip(taken, turned, strict=True)}
    return [under(row, label[at]) if at in label else row for at, row in enumerate(rows)]


def alike_labels(rows: Sequence[Example]) -> dict[str, str]:
    """For each label the other whose rows use the most similar words, by the means of their TF-IDF vectors."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    labels = sorted({row.answer for row in rows})
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform([prompt_text(row) for row in rows])
    places = {label: [at for at, row in enumerate(rows) if row.answer == label] for label in labels}
    means = normalize(np.vstack([np.asarray(vectors[places[label]].mean(axis=0)) for label in labels]))
    cosines = means @ means.T - 2 * np.eye(len(labels))
    return {label: labels[int(at)] for label, at in zip(labels, cosines.argmax(axis=1), strict=True)}


def under(row: Example, label: str) -> Example:
    """The row under another label."""
    return replace(row, messages=(*row.messages[:-1], Message(role="assistant", content=label)))


def made_of_seeds(case: Case, seed: int) -> list[Made]:
    """Rows by rule that filters leave: right where all their parents are, wrong where all have the same wrong label.

    Of two seeds whose labels are not both right nor both wrong nobody can say what they are together: none of those.
    """
    found = []
    for row in case.seeds:
        kin = [
            one
            for one in case.seeds
            if one.answer == row.answer
            and one.id != row.id
            and (one.id in case.mislabelled) == (row.id in case.mislabelled)
        ]
        found += [augment(row, kin, seed=CHILDREN * seed + at) for at in range(CHILDREN)]
        if kin and row.id not in case.mislabelled:
            found += [compose(row, Random(fingerprint([seed, row.id])).choice(kin), seed=seed)]
    made = {one.example.id: one for one in found if one}
    kept = guard([one.example for one in made.values()], case.seeds, case.task).kept
    return [made[row.id] for row in kept]


@dataclass(frozen=True, slots=True)
class Asked:
    """A row under a label that voters are asked about."""

    row: Example
    """Its answer is the label that is asked about."""
    text: str
    kind: str
    wrong: str
    parents: tuple[str, ...] = ()


def asked_of(case: Case, seed: int) -> list[Asked]:
    """Fresh rows three times over, and made rows."""
    found = []
    for row in case.fresh:
        others = [label for label in case.task.labels if label != row.answer]
        lie = Random(fingerprint(["lie", seed, row.content_hash])).choice(others)
        for wrong, label in (("", row.answer), (RANDOM, lie), (ALIKE, case.alike[row.answer])):
            found.append(Asked(replace(under(row, label), id=f"{row.id}-{wrong}"), row.id, "fresh", wrong))
    for one in made_of_seeds(case, seed):
        parents = one.provenance.parents
        wrong = PARENT if parents[0] in case.mislabelled else ""
        found.append(Asked(one.example, parents[0], "made", wrong, parents))
    return found
