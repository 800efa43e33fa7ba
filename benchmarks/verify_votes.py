"""What voters say of rows under labels: words and neighbours, adapters, and a generator's likelihood band."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.verify_cases import Asked, Case, asked_of
from burnish.config import Settings
from burnish.data.conversation import conversation
from burnish.data.dedup import prompt_text
from burnish.loop.generating import SeedGenerator
from burnish.loop.project import settings_with
from burnish.loop.workbench import Workbench
from burnish.model.chat import Rendered
from burnish.model.choose import score
from burnish.model.generate import target_logprobs
from burnish.records import Cell, Example, Task
from burnish.synthesize.generator import BAND
from burnish.synthesize.votes import FEWEST as FEWEST_SEEN
from burnish.synthesize.votes import Voters, folds
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.search import candidates, token_dropout

CHAMPION, CROSSED, BAND_VOTE = "champion", "cross-fitted", "band"
BELIEF = " (belief)"


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
