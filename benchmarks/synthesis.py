"""Rare labels with known truth: what synthetic rows bring there, against doing nothing and against the real rows.

    python -m benchmarks.synthesis --data FOLDER --sets clinc_banking,clinc_cards --seeds 0,1,2

A third of the labels of a set (of sms_spam the spam) is cut to 3 to 8 training rows, in dev_b in the same proportion.
Arms differ in the rows alone: nothing added, rare rows repeated, easy augmentation of rare rows, our rows by rule
untargeted, targeted by scarcity, targeted and verified, the same with people's rows again where filters left too few,
the same with a generator beside the rules (only where --arms names it: it is trained first), the real rows put back.
All arms of a seed train in one bank by one recipe, for the same number of training tokens up to a whole epoch; each
keeps the weights of its lowest loss on dev_b. They answer the untouched test rows. With --runs FOLDER a seed that was
measured stays there, and the same command goes on after it.
"""

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.line import tell
from burnish.config import Settings
from burnish.data.provenance import PROVENANCE, SYNTHETIC
from burnish.fingerprint import fingerprint
from burnish.loop.generating import SeedGenerator
from burnish.loop.making import RULES, make_rows
from burnish.loop.project import settings_with
from burnish.loop.workbench import Workbench
from burnish.records import Candidate, Cell, Example, Message, ModelVersion, Task
from burnish.synthesize.decontaminate import Decontaminator
from burnish.synthesize.ensemble import verify_labels
from burnish.synthesize.generator import MOVE
from burnish.synthesize.guards import guard
from burnish.synthesize.made import Made
from burnish.synthesize.moves import MOVES
from burnish.synthesize.plan import PlanLimits, plan_cells
from burnish.synthesize.repeats import top_up
from burnish.talk import Silence
from burnish.train.job import TrainJob, rows_of
from burnish.train.run import train
from burnish.tune.search import candidates, token_dropout

FOLDERS = {
    "clinc_banking": "clinc_banking_oos",
    "clinc_cards": "clinc_credit_cards_oos",
    "hwu64": "hwu64",
    "sms_spam": "sms_spam",
    "snips": "snips",
}
"""snips is for trying things out: what is reported was not chosen on its own rows."""
PER_LABEL, TEST_PER_LABEL, DEV_PER_LABEL = 40, 50, 20
FEWEST, MOST = 3, 8
RARE_SHARE = 1 / 3
SEED_ONLY, ORACLE = "seed only", "oracle"
GENERATED = "generator + verified"
TOPPED_UP = "targeted + verified + topped up"
"""What is lacking in a cell made up for by people's rows again, as a round does."""
ARMS = (SEED_ONLY, "upsampled", "easy augmentation", "untargeted", "targeted", "targeted + verified", TOPPED_UP, ORACLE)
DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A set with some labels made rare."""

    train: tuple[Example, ...]
    put_back: tuple[Example, ...]
    """The real rows that were taken out."""
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    rare: frozenset[str]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of the set."""
        return tuple(sorted({row.answer for row in self.train}))


def cut(train_rows: Sequence[Example], dev: Sequence[Example], test: Sequence[Example], *, seed: int) -> Cut:
    """A third of the labels with 3 to 8 training rows, as a hash of seed and label says, and dev rows in proportion."""
    labels = sorted({row.answer for row in train_rows})
    random = Random(fingerprint(["rare", seed, labels]))
    rare = (
        {"spam"}
        if set(labels) == {"ham", "spam"}
        else set(random.sample(labels, max(1, round(RARE_SHARE * len(labels)))))
    )
    room = {label: random.randint(FEWEST, MOST) if label in rare else PER_LABEL for label in labels}
    had = Counter(row.answer for row in train_rows)
    dev_room = {
        label: max(1, round(DEV_PER_LABEL * room[label] / had[label])) if label in rare else DEV_PER_LABEL
        for label in labels
    }
    kept, rest = _first(train_rows, room, seed)
    dev_kept, _ = _first(dev, dev_room, seed)
    return Cut(
        train=tuple(kept),
        put_back=tuple(row for row in rest if row.answer in rare),
        dev=tuple(dev_kept),
        test=tuple(test),
        rare=frozenset(rare),
    )


def _first(rows: Sequence[Example], room: Mapping[str, int], seed: int) -> tuple[list[Example], list[Example]]:
    left = dict(room)
    kept, rest = [], []
    for row in sorted(rows, key=lambda row: fingerprint([seed, row.content_hash])):
        left[row.answer] -= 1
        (kept if left[row.answer] >= 0 else rest).append(row)
    return kept, rest


def arms_of(
    data: Cut, task: Task, *, seed: int, growth: float, generator: SeedGenerator | None = None
) -> dict[str, list[Example]]:
    """The training rows of each arm; synthetic arms get as many rows as are planned, those that filters leave.

    With a generator there is the arm of its rows beside those by rule, too.
    """
    seeds = list(data.train)
    limits = PlanLimits(growth=growth)
    targeted = plan_cells([], seeds, task, limits).cells
    total = sum(one.count for one in targeted)
    moves = RULES["label"]
    made = make_rows(targeted, seeds, moves, {}, seed=seed).made
    plain = _untargeted(seeds, total)
    rows = _filtered(data, made, task)
    verified = _verified(rows, seeds, made)
    generated = {GENERATED: [*seeds, *_generated(data, targeted, task, generator, seed)]} if generator else {}
    return {
        **generated,
        SEED_ONLY: seeds,
        "upsampled": [*seeds, *_repeated(seeds, targeted)],
        "easy augmentation": [
            *seeds,
            *_filtered(data, make_rows(targeted, seeds, ("augment",), {}, seed=seed).made, task),
        ],
        "untargeted": [*seeds, *_filtered(data, make_rows(plain, seeds, moves, {}, seed=seed).made, task)],
        "targeted": [*seeds, *rows],
        "targeted + verified": [*seeds, *verified],
        TOPPED_UP: [*seeds, *verified, *top_up(targeted, verified, seeds)],
        ORACLE: [*seeds, *data.put_back],
    }


def _untargeted(seeds: Sequence[Example], total: int) -> list[Cell]:
    counts = Counter(row.answer for row in seeds)
    return [
        Cell(purpose="prevalence", count=max(1, round(total * count / len(seeds))), answer=label)
        for label, count in sorted(counts.items())
    ]


def _repeated(seeds: Sequence[Example], cells: Sequence[Cell]) -> list[Example]:
    """Rows of people again, of each label as many as the cells ask for."""
    wanted = Counter({cell.answer: 0 for cell in cells})
    for cell in cells:
        wanted[cell.answer] += cell.count
    copies = []
    for label, count in sorted(wanted.items()):
        own = [row for row in seeds if row.answer == label] or list(seeds)
        copies += [replace(own[at % len(own)], id=f"{own[at % len(own)].id}-again{at}") for at in range(count)]
    return copies


def _filtered(data: Cut, made: Sequence[Made], task: Task) -> list[Example]:
    kept = guard([one.example for one in made], data.train, task).kept
    texts = [row.prompt[-1].content for row in (*data.dev, *data.test)]
    judge = Decontaminator(texts, key=b"benchmark", most_rows=10_000_000)
    is_clean = judge.keep([row.prompt[-1].content for row in kept]) if kept else ()
    return [row for row, is_kept in zip(kept, is_clean, strict=True) if is_kept]


def _generated(data: Cut, cells: Sequence[Cell], task: Task, generator: SeedGenerator, seed: int) -> Sequence[Example]:
    """Rows by a generator and by rule as a round would keep them; says what became of the generator's."""
    moves = (MOVE, *RULES["label"])
    made = make_rows(cells, data.train, moves, {MOVE: generator.make}, seed=seed).made
    odd = {drop.example for drop in generator.unlikely([one.example for one in made])}
    rows = _filtered(data, [one for one in made if one.example.id not in odd], task)
    kept = _verified(rows, data.train, made)
    own = {one.example.id for one in made if one.provenance.move == MOVE}
    left, passed = [row for row in rows if row.id in own], [row for row in kept if row.id in own]
    num_rare = sum(row.answer in data.rare for row in passed)
    print(*generator.notes(), file=sys.stderr)
    print(
        f"generator: {len(own)} rows, {len(odd)} unlikely, {len(left)} after filters, {len(passed)} verified, "
        f"{num_rare} of them of rare labels",
        file=sys.stderr,
    )
    return kept


def _verified(rows: Sequence[Example], seeds: Sequence[Example], made: Sequence[Made]) -> list[Example]:
    """Rows that the verifiers like; those by rule stay also where nobody can tell."""
    parents = {one.example.id: one.provenance.parents for one in made}
    ruled = [one.example.id for one in made if one.provenance.move in MOVES]
    gone = {drop.example for drop in verify_labels(rows, seeds, parents=parents, keep_unjudged=ruled).drops}
    return [row for row in rows if row.id not in gone]


def equal_epochs(tokens: Mapping[str, int], epochs: int) -> dict[str, int]:
    """Whole epochs of each arm so that all see about as many tokens as the largest in `epochs` epochs."""
    budget = epochs * max(tokens.values())
    return {arm: max(1, round(budget / count)) for arm, count in tokens.items()}


def gap_closed(
    scores: Mapping[str, Sequence[float]], arm: str, groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float] | None:
    """The share of the gap between seed only and oracle that an arm closes, with a 95% percentile bootstrap interval.

    None where these rows do not show that there is a gap: a share of what may be nothing says nothing.
    Test rows are drawn whole, with all arms and seeds of theirs: `groups` names the test row of each score.
    """
    names = sorted(set(groups))
    at = {name: place for place, name in enumerate(names)}
    places = np.array([at[name] for name in groups])
    sums = {
        one: np.bincount(places, weights=np.asarray(scores[one]), minlength=len(names))
        for one in (SEED_ONLY, arm, ORACLE)
    }
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(names), size=(draws, len(names)))
    low, middle, high = (sums[one][drawn].sum(axis=1) for one in (SEED_ONLY, arm, ORACLE))
    if np.percentile(high - low, 2.5) <= 0:
        return None
    with np.errstate(divide="ignore"):
        shares = (middle - low) / (high - low)
    found = (sums[arm].sum() - sums[SEED_ONLY].sum()) / (sums[ORACLE].sum() - sums[SEED_ONLY].sum())
    bounds = np.percentile(shares, [2.5, 97.5])
    return float(found), float(bounds[0]), float(bounds[1])


def load(data: Path, name: str) -> tuple[list[Example], list[Example], list[Example]]:
    """Train, validation and test rows of a set, at most so many of each label."""
    parts = []
    for splits, most in ((("train",), PER_LABEL), (("valid", "val"), 10 * DEV_PER_LABEL), (("test",), TEST_PER_LABEL)):
        examples = read(data, name, splits)
        labels = {row.answer for row in examples}
        parts.append(_first(examples, dict.fromkeys(labels, most), 0)[0])
    known = {row.answer for row in parts[0]}
    train_rows, dev, test = ([row for row in part if row.answer in known] for part in parts)
    return train_rows, dev, test


def read(data: Path, name: str, splits: Sequence[str]) -> list[Example]:
    """All rows of these splits of a set; a split that is not there has none."""
    rows = []
    for split in splits:
        if (file := data / FOLDERS[name] / f"{split}.jsonl.gz").exists():
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                rows += [json.loads(line) for line in lines]
    return [_example(f"{name}-{splits[0]}-{at}", row["text"], row["label"]) for at, row in enumerate(rows)]


def _example(name: str, text: str, label: str) -> Example:
    return Example(
        id=name, group=name, messages=(Message(role="user", content=text), Message(role="assistant", content=label))
    )


def measured(
    data: Cut, *, seed: int, epochs: int, growth: float, folder: Path, names: Sequence[str] = ARMS
) -> dict[str, Any]:
    """Scores of the named arms on the test rows of one cut set, with rows, tokens and seconds."""
    settings = settings_with(Settings(), {"seed": seed, "train.search": [1.0], "train.patience": 1000})
    task = Task(kind="label", labels=data.labels)
    bench = Workbench(settings, folder, Silence())
    generator = SeedGenerator(bench, task, (), folder / "generator", Silence()) if GENERATED in names else None
    found = arms_of(data, task, seed=seed, growth=growth, generator=generator)
    arms = {arm: found[arm] for arm in names}
    union = {row.id: row for rows in arms.values() for row in rows}
    rendered = rows_of(bench.base, task, list(union.values()))
    size = {row.id: len(row.tokens) for row in rendered}
    tokens = {arm: sum(size[row.id] for row in rows) for arm, rows in arms.items()}
    planned = equal_epochs(tokens, epochs)
    (recipe,) = candidates(settings, bench.base)
    began = time.monotonic()
    trials = train(
        TrainJob(
            base=bench.base,
            rows=rendered,
            dev=rows_of(bench.base, task, data.dev),
            candidates=[_slot(recipe, at, arm, planned[arm]) for at, arm in enumerate(names)],
            subsets={f"arm{at}": [row.id for row in arms[arm]] for at, arm in enumerate(names)},
            train=settings.train,
            lora=settings.lora,
            seed=seed,
            folder=folder / "trained",
            token_dropout=token_dropout(settings, task, bench.base),
        )
    )
    seconds = time.monotonic() - began
    scores = {}
    for arm, trial in zip(names, trials, strict=True):
        model = ModelVersion(
            name=trial.candidate.name,
            round=1,
            adapter_hash=trial.adapter_hash,
            artifact=f"trained/{trial.folder}",
            base=bench.base.name,
            base_hash=bench.base.base_hash,
            template_hash=bench.base.chat.template_hash,
        )
        scores[arm] = [row.score or 0.0 for row in bench.score(model, task, data.test).rows]
    made = {arm: sum(row.slices.get(PROVENANCE) == SYNTHETIC for row in rows) for arm, rows in arms.items()}
    return {
        "scores": scores,
        "rows": {arm: len(rows) for arm, rows in arms.items()},
        "made": made,
        "tokens": {arm: planned[arm] * tokens[arm] for arm in names},
        "seconds": seconds,
    }


def _slot(recipe: Candidate, at: int, arm: str, epochs: int) -> Candidate:
    return replace(recipe, name=f"arm{at}", subset=f"arm{at}", epochs=epochs)


def summary(name: str, cuts: Sequence[Cut], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy on rare labels and on the others by arm, and the share of the gap closed, over all seeds."""
    found: dict[str, Any] = {"name": "synthesis", "set": name, "seeds": len(runs), "arms": {}}
    names = list(runs[0]["scores"])
    for part in ("rare", "others"):
        picked = [[(row.answer in one.rare) == (part == "rare") for row in one.test] for one in cuts]
        groups = [
            row.id
            for one, mask in zip(cuts, picked, strict=True)
            for row, is_in in zip(one.test, mask, strict=True)
            if is_in
        ]
        scores = {
            arm: [
                s
                for run, mask in zip(runs, picked, strict=True)
                for s, is_in in zip(run["scores"][arm], mask, strict=True)
                if is_in
            ]
            for arm in names
        }
        for arm in names:
            told = found["arms"].setdefault(arm, {})
            told[part] = float(np.mean(scores[arm]))
            told[f"{part}_by_seed"] = [
                float(np.mean([s for s, is_in in zip(run["scores"][arm], mask, strict=True) if is_in]))
                for run, mask in zip(runs, picked, strict=True)
            ]
            told["rows"] = [run["rows"][arm] for run in runs]
            told["tokens"] = [run["tokens"][arm] for run in runs]
            told[f"{part}_gain"] = _gain(scores[arm], scores[SEED_ONLY], groups)
            if part == "rare" and arm not in (SEED_ONLY, ORACLE):
                told["gap_closed"] = gap_closed(scores, arm, groups)
    found["seconds"] = [run["seconds"] for run in runs]
    return found


def _gain(after: Sequence[float], before: Sequence[float], groups: Sequence[str]) -> tuple[float, float, float]:
    """Mean gain over seed only with a 95% percentile bootstrap interval over test rows."""
    names = {name: at for at, name in enumerate(sorted(set(groups)))}
    places = np.array([names[name] for name in groups])
    sums = np.bincount(places, weights=np.asarray(after) - np.asarray(before), minlength=len(names))
    counts = np.bincount(places, minlength=len(names))
    drawn = np.random.default_rng(0).integers(0, len(names), size=(DRAWS, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(sums.sum() / counts.sum()), float(low), float(high)


def shown(found: Mapping[str, Any]) -> str:
    """The findings of a set as a Markdown table."""
    lines = [
        f"{found['set']}, {found['seeds']} seeds, {sum(found['seconds']):.0f} s of training",
        "",
        "| arm | rows | rare labels | gain over seed only | gap closed | other labels | gain over seed only |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for arm, told in found["arms"].items():
        closed = told.get("gap_closed")
        lines.append(
            f"| {arm} | {np.mean(told['rows']):.0f} | {100 * told['rare']:.1f} | {_points(told['rare_gain'])} | "
            f"{'' if closed is None else '{:.2f} [{:.2f}, {:.2f}]'.format(*closed)} | {100 * told['others']:.1f} | "
            f"{_points(told['others_gain'])} |"
        )
    return "\n".join(lines)


def _points(gain: Sequence[float]) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * one for one in gain))


def run(data: Cut, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """What one seed of a set gives: measured, or read where the same was measured before and kept."""
    asked = [name, seed, options.epochs, options.growth, options.arms]
    kept = Path(options.runs) / f"{name}-{seed}-{fingerprint(asked)[:8]}.json" if options.runs else None
    if kept and kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as place:
        found = measured(
            data,
            seed=seed,
            epochs=options.epochs,
            growth=options.growth,
            folder=Path(place),
            names=options.arms.split(","),
        )
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def main() -> None:
    """Prints a table, or a line of JSON, for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""))
    parser.add_argument("--sets", default="clinc_banking,clinc_cards,hwu64,sms_spam")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=8, help="of the largest arm")
    parser.add_argument("--growth", type=float, default=0.5, help="synthetic rows, as a multiple of the training rows")
    parser.add_argument("--arms", default=",".join(ARMS), help="seed only and oracle among them")
    parser.add_argument("--runs", default="", help="folder: what each seed gave is kept there; killed runs go on")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.sets.split(","):
        seeds = [int(seed) for seed in options.seeds.split(",")]
        cuts = [cut(*load(Path(options.data), name), seed=seed) for seed in seeds]
        runs = [run(one, name, seed, options) for one, seed in zip(cuts, seeds, strict=True)]
        found = summary(name, cuts, runs)
        tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
