"""What people's decisions are worth, with simulated reviewers on the example's claims whose wrong answers are planted.

    python -m benchmarks.review [--parts reviewers,selection,preferences] [--seeds 10] [--json]

reviewers    three people of known accuracy, speed and trust in drafts work the real queue of a project: who is found to
             trust too much, and what the corrections come to.
selection    labels until half of the wrong answers among the rows are right, in the order of our queue and in random
             order: the ratio with its interval over splits, and what a classifier gains from so many labels.
preferences  an adapter of the built-in base, then DPO on simulated corrections of its own drafts; both on rows that
             neither saw, beside an adapter that learned the corrected rows as examples instead.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.line import tell
from benchmarks.machine import progress
from burnish.config import LoraSettings, Settings, TrainSettings
from burnish.data.intake import add_files
from burnish.diagnose.gold import check_gold
from burnish.evaluate.compare import compare
from burnish.evaluate.run import evaluate
from burnish.loop.asked import review_status
from burnish.loop.decided import rows_of_decisions
from burnish.loop.demo import example_file
from burnish.loop.project import Project, create_project, settings_with
from burnish.loop.reviewing import claim, plan_reviews
from burnish.loop.seeds import gather
from burnish.loop.workbench import Workbench
from burnish.model.base import Base
from burnish.records import Candidate, Evaluation, Example, Message, Preference, Task, Trial, as_json
from burnish.review.queue import is_misled
from burnish.store.claims import Claim, Wish, decide_item
from burnish.talk import Silence
from burnish.train.job import TrainJob, pair_rows, rows_of
from burnish.train.run import train
from burnish.tune.search import PREFERENCE_SHARE, prior_lr

WRONG_SHARE = 0.08
"""Of the answers on file, planted."""
TEST_SHARE = 0.2


class Reviewer(NamedTuple):
    """A simulated person."""

    name: str
    accuracy: float
    """Chance of the right label where no draft is shown, or the draft is not trusted."""
    trust: float
    """Chance that a wrong draft is taken over unread."""
    seconds: float
    """The median of an answer; times are log-normal."""


PEOPLE = (
    Reviewer("careful", 0.95, 0.05, 25.0),
    Reviewer("hurried", 0.85, 0.20, 8.0),
    Reviewer("trusting", 0.90, 0.70, 12.0),
)


def label_by(one: Reviewer, truth: str, labels: Sequence[str], random: Random, draft: str = "") -> str:
    """The label that a person gives."""
    if draft and draft != truth and random.random() < one.trust:
        return draft
    return truth if random.random() < one.accuracy else random.choice([name for name in labels if name != truth])


class Claims(NamedTuple):
    """The example's rows with the right answers, and the wrong ones planted in them."""

    rows: tuple[dict[str, str], ...]
    wrong: Mapping[str, str]
    """Row to the answer on file, where it is not the right one."""

    @property
    def labels(self) -> list[str]:
        """All intents."""
        return sorted({row["intent"] for row in self.rows})

    def on_file(self, row: Mapping[str, str]) -> str:
        """The answer that the file has."""
        return self.wrong.get(row["id"], row["intent"])


def claims(seed: int) -> Claims:
    """The example, 8% of its answers replaced by another label."""
    lines = example_file().read_text(encoding="utf-8").splitlines()
    rows = tuple({name: json.loads(line)[name] for name in ("id", "text", "intent", "group")} for line in lines)
    random, names = Random(seed), sorted({row["intent"] for row in rows})
    chosen = random.sample(rows, round(WRONG_SHARE * len(rows)))
    wrong = {row["id"]: random.choice([name for name in names if name != row["intent"]]) for row in chosen}
    return Claims(rows, wrong)


# Reviewers ------------------------------------------------------------------------------------------------------------


def reviewers(seed: int, count: int) -> dict[str, Any]:
    """Three people work a project's queue to its end; what burnish finds of them, and what their answers come to."""
    told = claims(seed)
    with tempfile.TemporaryDirectory() as place:
        project = _project(Path(place), told, seed)
        planned = plan_reviews(project, count=count)
        people = {one.name: _work(project, told, one, seed) for one in PEOPLE}
        for _ in range(count):
            if not sum(next(work, False) for work in people.values()):
                break
        found = rows_of_decisions(project)
        status = review_status(project)
        truth = {row["id"]: row["intent"] for row in told.rows}
        wrong = {row.id for row in gather(project).of("train")} & told.wrong.keys()
    checks = {name: dict(zip(("caught", "shown"), pair, strict=True)) for name, pair in status.catches.items()}
    return {
        "num_asked": len(planned.items),
        "people": [
            {**one._asdict(), **checks.get(one.name, {}), "is_found": is_misled(*status.catches.get(one.name, (0, 0)))}
            for one in PEOPLE
        ],
        "minutes_an_item": {queue.queue: queue.minutes for queue in status.queues},
        "num_wrong_in_train": len(wrong),
        "num_corrected": sum(truth[name] == answer for name, answer in found.corrections.items() if name in wrong),
        "num_spoilt": sum(truth[name] != answer for name, answer in found.corrections.items()),
    }


def _project(place: Path, told: Claims, seed: int) -> Project:
    made = create_project(place / "claims", settings_with(Settings(), {"seed": seed, "data.answer": "label"}))
    lines = [
        json.dumps({"id": row["id"], "text": row["text"], "label": told.on_file(row), "group": row["group"]})
        for row in told.rows
    ]
    file = place / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    add_files(made.store, made.settings, [file], Silence(), skip_bad=False)
    gather(made)
    return made


def _work(project: Project, told: Claims, one: Reviewer, seed: int) -> Iterator[bool]:
    """Answers one item after the other; ends where there is none."""
    random, truth = Random(f"{seed} {one.name}"), {row["id"]: row["intent"] for row in told.rows}
    while held := claim(project, one.name, now_s=0.0):
        (got,) = held
        wish = _wish(got, label_by(one, truth[got.item.example], told.labels, random, got.item.draft))
        wish = wish._replace(seconds=one.seconds * math.exp(random.gauss(0.0, 0.5)))
        decide_item(project.store, got.item.name, one.name, got.turn, wish, now_s=0.0)
        yield True


def _wish(got: Claim, label: str) -> Wish:
    if got.item.queue == "blind":
        return Wish("label", label)
    return Wish("accept") if label == got.item.draft else Wish("edit", label)


# Selection ------------------------------------------------------------------------------------------------------------


def selection(seeds: int) -> dict[str, Any]:
    """Labels to the target in our order over those in random order, and accuracies, with 95% intervals over splits."""
    runs = [_selection(seed) for seed in range(seeds)]
    ratio = _interval([math.log(run["ours"] / run["random"]) for run in runs])
    gains = {
        name: _interval([run[f"accuracy_{name}"] - run["accuracy_on_file"] for run in runs])
        for name in ("ours", "random", "all_right")
    }
    return {
        "splits": seeds,
        "ours": float(np.mean([run["ours"] for run in runs])),
        "random": float(np.mean([run["random"] for run in runs])),
        "ratio": [math.exp(one) for one in ratio],
        "accuracy_on_file": float(np.mean([run["accuracy_on_file"] for run in runs])),
        "accuracy_gains": gains,
    }


def _interval(values: Sequence[float]) -> list[float]:
    """Mean and Student's 95% interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return [float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)]


def _selection(seed: int) -> dict[str, float]:
    told, random = claims(seed), Random(seed)
    groups = sorted({row["group"] for row in told.rows})
    held = set(random.sample(groups, round(TEST_SHARE * len(groups))))
    rows, tests = ([row for row in told.rows if (row["group"] in held) == side] for side in (False, True))
    on_file = {row["id"]: told.on_file(row) for row in rows}
    texts, kept = [row["text"] for row in rows], [row["group"] for row in rows]
    check = check_gold(list(on_file), texts, list(on_file.values()), kept, seed=seed)
    suspects = [one.example for one in check.suspects]
    rest = [name for name in on_file if name not in set(suspects)]
    orders = {"ours": [*suspects, *random.sample(rest, len(rest))], "random": random.sample(list(on_file), len(rows))}
    truth = {row["id"]: row["intent"] for row in rows}
    given = {name: label_by(PEOPLE[0], truth[name], told.labels, random, on_file[name]) for name in on_file}
    needed = {name: _needed(order, truth, on_file, given) for name, order in orders.items()}
    accuracy = _classifier(rows, tests)
    asked = {name: set(order[: needed["ours"]]) for name, order in orders.items()}
    progress(f"split {seed}: {needed}")
    return {
        **needed,
        "accuracy_on_file": accuracy(on_file),
        "accuracy_all_right": accuracy(truth),
        **{
            f"accuracy_{name}": accuracy(on_file | {one: given[one] for one in chosen})
            for name, chosen in asked.items()
        },
    }


def _needed(
    order: Sequence[str], truth: Mapping[str, str], on_file: Mapping[str, str], given: Mapping[str, str]
) -> int:
    """Labels after which half of the wrong answers are right; all where that is never so."""
    left = sum(truth[name] != on_file[name] for name in order) / 2
    for count, name in enumerate(order, start=1):
        left -= on_file[name] != truth[name] == given[name]
        if left <= 0:
            return count
    return len(order)


def _classifier(
    rows: Sequence[Mapping[str, str]], tests: Sequence[Mapping[str, str]]
) -> Callable[[Mapping[str, str]], float]:
    """The accuracy on the tests' right answers of a classifier that learns these answers of the rows."""
    reader = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    learnt = reader.fit_transform([row["text"] for row in rows])
    asked, truth = reader.transform([row["text"] for row in tests]), np.array([row["intent"] for row in tests])

    def accuracy(answers: Mapping[str, str]) -> float:
        fitted = LogisticRegression(C=10.0, max_iter=100, tol=1e-3).fit(learnt, [answers[row["id"]] for row in rows])
        return float((fitted.predict(asked) == truth).mean())

    return accuracy


# Preferences ----------------------------------------------------------------------------------------------------------


def preferences(seed: int, num_train: int, num_pool: int, num_test: int) -> dict[str, Any]:
    """Three adapters on rows that none saw: of examples, then DPO on corrections, or corrected rows as examples."""
    told, task = claims(seed), Task(labels=tuple(claims(seed).labels))
    with tempfile.TemporaryDirectory() as place:
        bench = Workbench(Settings(), Path(place), Silence())
        base = bench.base
        places = {group: Random(f"{seed} {group}").random() for group in {row["group"] for row in told.rows}}
        rows = [_example(row) for row in sorted(told.rows, key=lambda row: (places[row["group"]], row["id"]))]
        train_rows, pool = rows[:num_train], rows[num_train : num_train + num_pool]
        seen = {row.group for row in (*train_rows, *pool)}
        tests = [row for row in rows[num_train + num_pool :] if row.group not in seen][:num_test]
        folders = [Path(place) / name for name in ("examples", "dpo", "both")]
        for folder in folders:
            folder.mkdir()
        lr = prior_lr("llama", base.hidden_size)
        first = _learn(_job(base, rows_of(base, task, train_rows), folders[0], lr, seed))
        progress("examples learned")
        drafts = _score(bench, task, pool, folders[0] / first.folder)
        pairs, corrected = _corrections(told, pool, drafts, seed)
        job = _job(base, pair_rows(base, task, pairs), folders[1], lr * PREFERENCE_SHARE, seed, objective="dpo")
        second = _learn(replace(job, starts={"a": folders[0] / first.folder}))
        progress(f"{len(pairs)} pairs learned")
        third = _learn(_job(base, rows_of(base, task, [*train_rows, *corrected]), folders[2], lr, seed))
        found = [
            _score(bench, task, tests, folder / trial.folder)
            for folder, trial in zip(folders, (first, second, third), strict=True)
        ]
    gains = {"dpo": compare(found[0], found[1]).overall, "corrected_rows": compare(found[0], found[2]).overall}
    return {
        "num_train": len(train_rows),
        "num_pairs": len(pairs),
        "num_test": len(tests),
        "moved": sum(one.output != two.output for one, two in zip(found[0].rows, found[1].rows, strict=True)),
        "examples": as_json(found[0].overall),
        **{name: {"after": as_json(one.after), "gain": as_json(one.gain)} for name, one in gains.items()},
    }


def _example(row: Mapping[str, str]) -> Example:
    turns = (Message(role="user", content=row["text"]), Message(role="assistant", content=row["intent"]))
    return Example(id=row["id"], messages=turns, group=row["group"])


def _job(base: Base, rows: Any, folder: Path, lr: float, seed: int, objective: str = "sft") -> TrainJob:
    settings = TrainSettings(objective=objective, epochs=4, search=(1.0,))
    candidate = Candidate(name="a", rank=16, alpha=32.0, lr=lr, seed=seed)
    return TrainJob(
        base=base,
        rows=rows,
        dev=(),
        candidates=[candidate],
        train=settings,
        lora=LoraSettings(),
        seed=seed,
        folder=folder,
    )


def _learn(job: TrainJob) -> Trial:
    (trial,) = train(job)
    return trial


def _score(bench: Workbench, task: Task, rows: Sequence[Example], folder: Path) -> Evaluation:
    with bench.wearing_adapter(folder) as worn:
        return evaluate(worn, task, rows, model_name=folder.parent.name, model_hash=folder.parent.name, talk=Silence())


def _corrections(
    told: Claims, pool: Sequence[Example], drafts: Evaluation, seed: int
) -> tuple[list[Preference], list[Example]]:
    """What a careful reviewer makes of the drafts: pairs of the edited ones, and every row with the label given."""
    random, pairs, rows = Random(seed), [], []
    said = {row.example: row.output.strip() for row in drafts.rows}
    for row in pool:
        label = label_by(PEOPLE[0], row.answer, told.labels, random, said[row.id])
        rows.append(replace(row, messages=(*row.prompt, Message(role="assistant", content=label))))
        if label != said[row.id]:
            pairs.append(Preference(id=row.id, group=row.group, prompt=row.prompt, chosen=label, rejected=said[row.id]))
    return pairs, rows


def shown(found: Mapping[str, Any]) -> str:
    """The findings as Markdown."""
    lines: list[str] = []
    if told := found.get("reviewers"):
        lines.append(
            f"{told['num_asked']} questions: of {told['num_wrong_in_train']} wrong answers in train "
            f"{told['num_corrected']} were put right, {told['num_spoilt']} answers made wrong"
        )
        for one in told["people"]:
            lines.append(f"- {one['name']}: right {one['accuracy']:.0%}, trusts {one['trust']:.0%} of wrong drafts, ")
            lines[-1] += f"caught {one.get('caught', 0)} of {one.get('shown', 0)} hidden ones: "
            lines[-1] += "asked without drafts" if one["is_found"] else "not found to be misled"
    if told := found.get("selection"):
        middle, low, high = told["ratio"]
        lines.append(f"labels until half of the wrong answers are right: {told['ours']:.0f} in our order, ")
        lines[-1] += (
            f"{told['random']:.0f} at random; ratio {middle:.3f} [{low:.3f}, {high:.3f}], {told['splits']} splits"
        )
        lines += [f"- {name}: {_points(gain)} of a classifier" for name, gain in told["accuracy_gains"].items()]
    if told := found.get("preferences"):
        for name in ("dpo", "corrected_rows"):
            gain = told[name]["gain"]
            points = _points([gain[part] for part in ("value", "low", "high")])
            lines.append(f"{name}: {points} on {told['num_test']} untouched rows")
    return "\n".join(lines)


def _points(gain: Sequence[float]) -> str:
    value, low, high = (100 * one for one in gain)
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    """Prints the parts that are asked for, or a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="reviewers,selection,preferences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10, help="splits of the selection")
    parser.add_argument("--count", type=int, default=500, help="questions of the queue")
    parser.add_argument("--rows", default="300,300,500", help="rows learned, drafted and tested")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = [int(size) for size in options.rows.split(",")]
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "reviewers": lambda: reviewers(options.seed, options.count),
        "selection": lambda: selection(options.seeds),
        "preferences": lambda: preferences(options.seed, *sizes),
    }
    found = {"name": "review", **{name: parts[name]() for name in options.parts.split(",")}}
    tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
