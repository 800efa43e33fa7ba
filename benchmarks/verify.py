"""How well the verifiers that need no endpoint tell right labels from wrong ones, where the truth is known.

    python -m benchmarks.verify --data FOLDER --sets clinc_banking,clinc_cards,hwu64,sms_spam --seeds 0,1,2

A set is cut to a few hundred seeds, a third of its labels (of sms_spam the spam) to 3 to 8 of them. One seed in ten
has another's label, in pairs, so that labels keep their frequency. All voters learn from these seeds: words and
neighbours, the champion (all seeds), two adapters by cross-fitting (half of the seeds each), and, with --band, the
generator's likelihood band.

They judge real rows that nothing was trained on, each under its own label, under one drawn from the others and under
the label that reads most alike; and rows made by rule of seeds, which are right as their parents are. A rule keeps or
drops: limits are set on the seeds alone, as burnish sets them. Intervals are 95% bootstraps over texts (of made rows
over parents), all seeds of a text drawn together.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.line import tell
from benchmarks.synthesis import FEWEST, MOST, RARE_SHARE, read
from burnish.config import Settings
from burnish.data.conversation import conversation
from burnish.data.dedup import prompt_text
from burnish.fingerprint import fingerprint
from burnish.loop.generating import SeedGenerator
from burnish.loop.project import settings_with
from burnish.loop.workbench import Workbench
from burnish.model.chat import Rendered
from burnish.model.choose import score
from burnish.model.generate import target_logprobs
from burnish.records import Cell, Example, Message, Task
from burnish.synthesize.ensemble import LEAST_KEPT, agrees, limits_of
from burnish.synthesize.generator import BAND
from burnish.synthesize.guards import guard
from burnish.synthesize.made import Made
from burnish.synthesize.moves import augment, compose
from burnish.synthesize.votes import FEWEST as FEWEST_SEEN
from burnish.synthesize.votes import NEIGHBOURS, WORDS, Voters, folds
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.search import candidates, token_dropout

MOST_LABELS = 16
TEST_ROWS, DEV_ROWS = 300, 60
SPLITS = (("train",), ("valid", "val"), ("test",))
CHAMPION, CROSSED, BAND_VOTE = "champion", "cross-fitted", "band"
BELIEF = " (belief)"
RANDOM, ALIKE, PARENT = "random", "alike", "parent"
"""Why a label is wrong: drawn from the others; the one that reads most alike; the parent's was."""
WRONG_SHARE = 0.2
"""Of the rows that come in, for the precision of what is kept: half of them wrong at random, half alike."""
CHILDREN = 6
"""Rows by easy augmentation of each seed; filters leave few, since they are near duplicates."""
DRAWS = 1000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A row under a label, and what each voter said; one that could not tell is not there."""

    text: str
    """What is drawn together in the bootstrap: the text, or the first parent of a made row."""
    kind: str
    """fresh or made."""
    wrong: str
    """Why the label is wrong; empty: it is right."""
    is_rare: bool
    """Whether the label that is asked about is rare."""
    label: str
    """The one that is asked about."""
    votes: Mapping[str, float]


class Rule(NamedTuple):
    """Who votes, and whether most or all of those that can tell must agree, or their mean belief decides."""

    voters: tuple[str, ...]
    need: str
    apart: bool = False
    """Whether rare labels have a limit of their own."""


BOTH = (WORDS, NEIGHBOURS)
BEFORE, NOW = "2 of 2 (before)", "mean (now)"
RULES = {
    WORDS: Rule((WORDS,), "mean", apart=True),
    NEIGHBOURS: Rule((NEIGHBOURS,), "mean", apart=True),
    CHAMPION: Rule((CHAMPION,), "most"),
    CROSSED: Rule((CROSSED,), "most"),
    "likelihood band": Rule((BAND_VOTE,), "most"),
    BEFORE: Rule(BOTH, "most"),
    "mean, one limit": Rule(BOTH, "mean"),
    NOW: Rule(BOTH, "mean", apart=True),
    "2 of 3, champion (before)": Rule((*BOTH, CHAMPION), "most"),
    "all 3, champion": Rule((*BOTH, CHAMPION), "all"),
    "mean with champion": Rule((*BOTH, CHAMPION), "mean", apart=True),
    "2 of 3, cross-fitted (before)": Rule((*BOTH, CROSSED), "most"),
    "mean with cross-fitted": Rule((*BOTH, CROSSED), "mean", apart=True),
    "mean with cross-fitted belief": Rule((*BOTH, CROSSED + BELIEF), "mean", apart=True),
}
AGAINST = (
    (NOW, BEFORE),
    ("2 of 3, champion (before)", BEFORE),
    ("mean with champion", NOW),
    ("mean with cross-fitted", NOW),
    ("mean with cross-fitted belief", NOW),
    ("mean with cross-fitted", "mean with champion"),
)


# Cases ----------------------------------------------------------------------------------------------------------------


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


# Voters ---------------------------------------------------------------------------------------------------------------


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


def measured(case: Case, *, seed: int, folder: Path, with_adapters: bool, with_band: bool) -> dict[str, Any]:
    """What every voter says of every row and of people's rows, with the seconds that it took."""
    began = time.monotonic()
    settings = settings_with(Settings(), {"seed": seed, "train.search": [1.0]})
    bench = Workbench(settings, folder, Silence())
    asked, voters = asked_of(case, seed), Voters(case.seeds)
    rows, parents = [one.row for one in asked], {one.row.id: one.parents for one in asked}
    people = [dict(votes) for votes in voters.of_seeds({row.id: row.answer for row in case.seeds})]
    votes = [dict(found) for found in voters.of_rows(rows, parents)]
    if with_adapters:
        _add_adapters(bench, case, asked, people, votes)
    if with_band:
        for found, is_in in zip(votes, banded(bench, case, rows, seed, folder), strict=True):
            found[BAND_VOTE] = float(is_in)
    judged = [
        Judged(
            text=one.text,
            kind=one.kind,
            wrong=one.wrong,
            is_rare=one.row.answer in case.rare,
            label=one.row.answer,
            votes=found,
        )
        for one, found in zip(asked, votes, strict=True)
    ]
    return {
        "seed": seed,
        "num_seeds": len(case.seeds),
        "num_mislabelled": len(case.mislabelled),
        "seconds": time.monotonic() - began,
        "people": people,
        "labels": [row.answer for row in case.seeds],
        "rows": [asdict(one) for one in judged],
    }


def _add_adapters(
    bench: Workbench,
    case: Case,
    asked: Sequence[Asked],
    people: Sequence[dict[str, float]],
    votes: Sequence[dict[str, float]],
) -> None:
    """Adds the champion's votes on rows, and those of the cross-fitted adapters on rows and people's rows."""
    seeds, fold_of = case.seeds, folds(case.seeds, 2)
    seen = [Counter(row.answer for row in seeds if fold_of[row.id] != fold) for fold in range(2)]
    places = trained(bench, case, bench.root)
    told = believed(bench, case.task, places[CHAMPION], [one.row for one in asked])
    for one, found in zip(asked, votes, strict=True):
        found |= vote_of(CHAMPION, told[prompt_text(one.row)], one.row.answer)
    unseen = [({fold_of[row.id]}, row, found) for row, found in zip(seeds, people, strict=True)]
    unseen += [
        ({fold_of[parent] for parent in one.parents} or {0}, one.row, found)
        for one, found in zip(asked, votes, strict=True)
    ]
    for fold in range(2):
        own = [
            (row, found)
            for folds_of, row, found in unseen
            if folds_of == {fold} and seen[fold][row.answer] >= FEWEST_SEEN
        ]
        told = believed(bench, case.task, places[f"without{fold}"], [row for row, _ in own])
        for row, found in own:
            found |= vote_of(CROSSED, told[prompt_text(row)], row.answer)


def trained(bench: Workbench, case: Case, folder: Path) -> dict[str, Path]:
    """The folder of each adapter: the champion's, and those of the halves, by one recipe in one bank."""
    settings, base, seeds = bench.settings, bench.base, case.seeds
    (recipe,) = candidates(settings, base)
    fold_of = folds(seeds, 2)
    subsets = {CHAMPION: [row.id for row in seeds]}
    subsets |= {f"without{fold}": [row.id for row in seeds if fold_of[row.id] != fold] for fold in range(2)}
    slots = [replace(recipe, name=name, subset=name) for name in subsets]
    trials = train(
        TrainJob(
            base=base,
            rows=rows_of(base, case.task, seeds),
            dev=rows_of(base, case.task, case.dev),
            candidates=slots,
            subsets=subsets,
            train=settings.train.model_copy(update={"finalists": len(slots)}),
            lora=settings.lora,
            seed=settings.seed,
            folder=folder / "trained",
            token_dropout=token_dropout(settings, case.task, base),
        )
    )
    return {trial.candidate.name: folder / "trained" / trial.folder for trial in trials}


def believed(bench: Workbench, task: Task, adapter: Path, rows: Sequence[Example]) -> dict[str, dict[str, float]]:
    """By text, how an adapter's belief is spread over the labels."""
    texts = {prompt_text(row): row for row in rows}
    with bench.wearing_adapter(adapter) as base:
        prompts = [base.chat.render_prompt(conversation(task, row)[:-1]) for row in texts.values()]
        found = score(base, prompts, [base.chat.answer_tokens(label) for label in task.labels])
    spread = np.exp(np.asarray(found) - np.max(found, axis=1, keepdims=True))
    spread /= spread.sum(axis=1, keepdims=True)
    return {text: dict(zip(task.labels, map(float, own), strict=True)) for text, own in zip(texts, spread, strict=True)}


def vote_of(name: str, beliefs: Mapping[str, float], label: str) -> dict[str, float]:
    """An adapter's verdict, as burnish asks for it (1: it would answer this label), and its belief."""
    return {name: float(max(beliefs, key=lambda one: beliefs[one]) == label), name + BELIEF: beliefs[label]}


def banded(bench: Workbench, case: Case, rows: Sequence[Example], seed: int, folder: Path) -> list[bool]:
    """Whether each row under its label is as likely under the generator as nearly all rows that it had not seen."""
    generator = SeedGenerator(bench, case.task, (), folder / "generator", Silence())
    generator.make([Cell(purpose="prevalence", count=1, answer=case.seeds[0].answer)], case.seeds, seed)
    assert generator.learned
    limit = float(np.quantile(generator.learned.real, BAND, method="higher"))
    documents, place = generator.documents, generator.learned.folder
    spelled = documents.marked(documents.of(rows, case.seeds, seed), whole=False)
    texts = [Rendered(tokens=tuple(row.tokens), learned=tuple(row.learned), pieces=()) for row in spelled]
    with bench.wearing_adapter(place) if place else nullcontext(bench.base) as base:
        losses = [-float(one.mean()) for one in target_logprobs(base, texts)]
    return [loss <= limit for loss in losses]


# Rules ----------------------------------------------------------------------------------------------------------------


def verdicts(rule: Rule, runs: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(kept, could tell) of every row of all runs, with what burnish does where nobody can tell: made rows stay."""
    kept, told = [], []
    for run in runs:
        keeps = judge_of(rule, run["people"], run["labels"])
        for row in run["rows"]:
            votes = {name: row["votes"][name] for name in rule.voters if name in row["votes"]}
            kept.append(float(keeps(votes, row["label"]) if votes else row["kind"] == "made"))
            told.append(bool(votes))
    return np.array(kept), np.array(told)


def judge_of(
    rule: Rule, people: Sequence[Mapping[str, float]], labels: Sequence[str]
) -> Callable[[Mapping[str, float], str], bool]:
    """What the rule says of votes on a label, its limits set on people's rows."""
    own = [{name: votes[name] for name in rule.voters if name in votes} for votes in people]
    if rule.need == "mean":
        found = limits_of(own, [label if rule.apart else "" for label in labels], LEAST_KEPT)
        return lambda votes, label: agrees(votes, label if rule.apart else "", found)
    each = limits_of_each(rule, own)
    return lambda votes, label: enough(rule, votes, each)


def enough(rule: Rule, votes: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether enough voters are at or above their limits; one that has none must believe in the label by half."""
    agreeing = sum(vote >= limits.get(name, 0.5) for name, vote in votes.items())
    return agreeing == len(votes) if rule.need == "all" else 2 * agreeing > len(votes)


def limits_of_each(rule: Rule, people: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """For each voter the same quantile of people's rows, the strictest at which the rule keeps LEAST_KEPT of them."""
    told = [votes for votes in people if votes]
    names = sorted({name for votes in told for name in votes})
    for share in np.arange(0.4, 0, -0.02):
        limits = {name: float(np.quantile([one[name] for one in told if name in one], share)) for name in names}
        if sum(enough(rule, votes, limits) for votes in told) >= LEAST_KEPT * len(told):
            return limits
    return dict.fromkeys(names, 0.0)


class Shares:
    """Means over rows with 95% intervals; whatever is asked of one of these is drawn from the same resamples."""

    def __init__(self, texts: Sequence[str]) -> None:
        names = {name: at for at, name in enumerate(sorted(set(texts)))}
        self.places = np.array([names[name] for name in texts])
        self.drawn = np.random.default_rng(0).integers(0, len(names), size=(DRAWS, len(names)))
        self.size = len(names)

    def samples(self, values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The mean over the rows of the mask, and the same of every resample behind it."""
        sums = np.bincount(self.places[mask], weights=values[mask], minlength=self.size)
        counts = np.bincount(self.places[mask], minlength=self.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([[sums.sum() / counts.sum()], sums[self.drawn].sum(1) / counts[self.drawn].sum(1)])


def interval(samples: NDArray[np.float64]) -> list[float] | None:
    """Value, low and high; None where there was no row."""
    if np.isnan(samples[0]):
        return None
    return [float(samples[0]), *map(float, np.nanpercentile(samples[1:], [2.5, 97.5]))]


def summary(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By rule, what is kept of right rows and caught of wrong ones, of frequent and of rare labels apart."""
    rows = [row for run in runs for row in run["rows"]]
    shares = Shares([f"{run['set']} {row['text']}" for run in runs for row in run["rows"]])
    kind, wrong = np.array([row["kind"] for row in rows]), np.array([row["wrong"] for row in rows])
    rare = np.array([row["is_rare"] for row in rows])
    fresh, made = kind == "fresh", kind == "made"
    found: dict[str, Any] = {"name": "verify", "set": name, "seeds": len(runs), "rules": {}}
    for key in ("num_seeds", "num_mislabelled", "seconds"):
        found[key] = [run[key] for run in runs]
    base_kept = {}
    for title, rule in RULES.items():
        if not any(voter in row["votes"] for row in rows for voter in rule.voters[-1:]):
            continue
        kept, told = verdicts(rule, runs)
        base_kept[title] = kept
        ask, gone = partial(shares.samples, kept), partial(shares.samples, 1 - kept)
        found["rules"][title] = {
            "tells": interval(shares.samples(told.astype(float), fresh & (wrong == ""))),
            "tells_rare": interval(shares.samples(told.astype(float), fresh & (wrong == "") & rare)),
            "kept_frequent": interval(ask(fresh & (wrong == "") & ~rare)),
            "kept_rare": interval(ask(fresh & (wrong == "") & rare)),
            "caught_random": interval(gone(fresh & (wrong == RANDOM))),
            "caught_alike": interval(gone(fresh & (wrong == ALIKE))),
            "caught_rare": interval(gone(fresh & (wrong != "") & rare)),
            "precision": interval(precision(ask, fresh, wrong)),
            "precision_rare": interval(precision(ask, fresh & rare, wrong)),
            "made_kept_frequent": interval(ask(made & (wrong == "") & ~rare)),
            "made_kept_rare": interval(ask(made & (wrong == "") & rare)),
            "made_caught": interval(gone(made & (wrong == PARENT))),
        }
    found["counts"] = {
        "fresh": int((fresh & (wrong == "")).sum()),
        "fresh_rare": int((fresh & (wrong == "") & rare).sum()),
        "made": int((made & (wrong == "")).sum()),
        "made_rare": int((made & (wrong == "") & rare).sum()),
        "made_wrong": int((made & (wrong == PARENT)).sum()),
    }
    found["against"] = {
        f"{one} - {other}": {
            "kept": interval(shares.samples(base_kept[one] - base_kept[other], fresh & (wrong == ""))),
            "caught": interval(shares.samples(base_kept[other] - base_kept[one], fresh & (wrong != ""))),
            "made_caught": interval(shares.samples(base_kept[other] - base_kept[one], made & (wrong == PARENT))),
        }
        for one, other in AGAINST
        if one in base_kept and other in base_kept
    }
    return found


def precision(ask: Any, rows: NDArray[np.bool_], wrong: NDArray[np.str_]) -> NDArray[np.float64]:
    """The share of right ones among kept rows, of which WRONG_SHARE came in wrong, half of each kind."""
    right = (1 - WRONG_SHARE) * ask(rows & (wrong == ""))
    lies = WRONG_SHARE / 2 * (ask(rows & (wrong == RANDOM)) + ask(rows & (wrong == ALIKE)))
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = right / (right + lies)
    return found


# Showing --------------------------------------------------------------------------------------------------------------

COLUMNS = {
    "can tell, rare": "tells_rare",
    "kept, frequent": "kept_frequent",
    "kept, rare": "kept_rare",
    "caught, random": "caught_random",
    "caught, alike": "caught_alike",
    "right of kept": "precision",
    "right of kept, rare": "precision_rare",
    "made: kept, frequent": "made_kept_frequent",
    "made: kept, rare": "made_kept_rare",
    "made: caught": "made_caught",
}


def shown(found: Mapping[str, Any]) -> str:
    """The findings of a set as a Markdown table, in percent."""
    counts = found["counts"]
    lines = [
        f"{found['set']}, {found['seeds']} runs, {sum(found['seconds']):.0f} s; "
        f"{counts['fresh']} fresh rows ({counts['fresh_rare']} of rare labels), each also under 2 wrong labels; made: "
        f"{counts['made']} right ({counts['made_rare']} rare), {counts['made_wrong']} wrong",
        "",
        f"| rule | {' | '.join(COLUMNS)} |",
        f"|---|{'--:|' * len(COLUMNS)}",
    ]
    for title, told in found["rules"].items():
        lines.append(f"| {title} | {' | '.join(_percent(told[key]) for key in COLUMNS.values())} |")
    lines += ["", "| points | kept | caught | made: caught |", "|---|--:|--:|--:|"]
    for title, told in found["against"].items():
        lines.append(
            f"| {title} | {' | '.join(_percent(told[key], '+') for key in ('kept', 'caught', 'made_caught'))} |"
        )
    return "\n".join(lines)


def _percent(found: Sequence[float] | None, sign: str = "") -> str:
    return "" if found is None else "{:{s}.0f} [{:{s}.0f}, {:{s}.0f}]".format(*(100 * one for one in found), s=sign)


def main() -> None:
    """Prints a table, or a line of JSON, for each set and for all of them together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--sets", default="clinc_banking,clinc_cards,hwu64,sms_spam")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", type=int, default=240, help="seeds, about")
    parser.add_argument("--wrong", type=float, default=0.1, help="share of the seeds with another's label")
    parser.add_argument("--bare", action="store_true", help="words and neighbours alone: nothing is trained")
    parser.add_argument("--band", action="store_true", help="train a generator, too, for the likelihood band")
    parser.add_argument("--votes", default="", help="folder: what voters said is kept there; killed runs go on")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    every = []
    for name in options.sets.split(","):
        runs = [run_of(name, seed, options) for seed in map(int, options.seeds.split(","))]
        every += runs
        found = summary(name, runs)
        tell(found, as_json=options.json, text=shown(found) + "\n")
    found = summary("all sets", every)
    tell(found, as_json=options.json, text=shown(found))


def run_of(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run, from the folder of votes where it is there, and otherwise from where a killed one was."""
    file = Path(options.votes) / f"{name}-{seed}.json" if options.votes else None
    if file and file.exists():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return kept
    rows = [row for splits in SPLITS for row in read(Path(options.data), name, splits)]
    case = case_of(rows, seed=seed, size=options.size, wrong_share=options.wrong)
    folder = file.with_suffix("") if file else None
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        Path(place).mkdir(parents=True, exist_ok=True)
        found = measured(case, seed=seed, folder=Path(place), with_adapters=not options.bare, with_band=options.band)
    found = {"set": name, **found}
    if file and folder:
        file.write_text(json.dumps(found), encoding="utf-8")
        shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    main()
