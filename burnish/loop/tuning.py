"""`burnish tune`: heats of candidates on train and dev_b until the trials or the time are used up, then a suggestion.

Nothing here looks at dev_a, at a vault or at the audit rows. A heat is a stage like any other: paid for, sealed, found
again after a kill. Large projects are searched on a stratified subset; the best settings then repeat on all rows.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from burnish.config import Settings
from burnish.data.dataset import set_hash
from burnish.data.provenance import provenance
from burnish.errors import DataError, Interrupted, UsageError
from burnish.fingerprint import fingerprint
from burnish.loop.past import next_number
from burnish.loop.project import Project, settings_with
from burnish.loop.stages import Shop, job_of, score_stage, shop_outside_rounds, train_sealed, version_of
from burnish.loop.untuned import base_version
from burnish.records import Example, Trial, as_json
from burnish.store.files import write_atomic
from burnish.store.manifest import Sealed
from burnish.talk import Talk
from burnish.train.move import update_size
from burnish.tune.kept import Scope, Tried, Values
from burnish.tune.rows import stratified
from burnish.tune.rungs import Rungs
from burnish.tune.search import prior_lr
from burnish.tune.space import Space, candidate_of, space_of
from burnish.tune.study import Heat, TuneStudy
from burnish.tune.verdict import Verdict, finalists, verdict_on

TUNE_VERSION = 2
DB_FILE = "tune.db"
RESULT_FILE = "tune.json"
SUBSET_ROWS = 1000
"""Train rows up to which a search uses all of them; larger sets are searched on this many, chosen by stratum."""
NUM_FINALISTS = 2
PRIOR_TIMES = (1.0, 2.0, 0.5, 1.5)
"""Multiples of the prior learning rate that a project's first heat tries, the most promising first."""
SEARCHED = {"lr", "search", "finalists", "epochs", "batch_size", "rank", "human_weight", "replay_share"}
"""Settings that a trial replaces: they shape the space and the first trials, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult:
    """A finished or stopped search."""

    study: str
    tried: tuple[Tried, ...]
    verdict: Verdict
    settings: dict[str, Any]
    """What to write into burnish.yaml, by full name."""
    stopped: str
    """Why the search ended: trials or time."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The stable form that `--json` prints, curves included."""
        chosen = self.verdict.chosen
        return {
            "schema_version": 1,
            "study": self.study,
            "storage": f".burnish/{DB_FILE}",
            "stopped": self.stopped,
            "seconds": self.seconds,
            "chosen": chosen.number,
            "best": self.verdict.best.number,
            "reason": self.verdict.reason,
            "settings": self.settings,
            "trials": [
                {"number": one.number, "values": dict(one.values), "move": one.move, **as_json(one.trial)}
                for one in self.tried
            ],
        }


def tune(
    project: Project,
    talk: Talk,
    *,
    trials: int,
    slots: int,
    budget_s: float | None = None,
    subset_rows: int = SUBSET_ROWS,
    should_stop: Callable[[], bool] = lambda: False,
) -> TuneResult:
    """Searches until `trials` trials have an outcome or the next heat would pass `budget_s` seconds of this call.

    Called again with the same data and settings it goes on where it was, and adds nothing when all trials are there.

    Raises:
        UsageError: no trials or slots are asked for, or the project trains all weights.
        DataError: there are no train or dev_b rows, or all have the same answer.
        Interrupted: stopped; the same call goes on.
    """
    if trials < 1:
        raise UsageError(f"{trials} trials leave nothing to choose from", hint="give --trials 1 or more")
    shop = shop_outside_rounds(project, talk, should_stop)
    train_rows, started = shop.seeds.of("train"), time.monotonic()
    _refuse_what_cannot_be_tuned(shop)
    space = space_of(project.settings, shop.bench.base, train_rows, num_labels=len(shop.seeds.task.labels))
    subset = stratified(train_rows, subset_rows, seed=project.settings.seed)
    search = _Search(shop, space, subset, started=started, budget_s=budget_s)
    try:
        search.study.note_scope(search.scope())
        stopped = search.run(trials, slots, search.opening())
        tried = search.study.tried()
        if len(subset) < len(train_rows):
            talk.say(f"repeating the best {NUM_FINALISTS} settings on all {len(train_rows):,} rows")
            search = _Search(shop, space, train_rows, started=started, budget_s=None, before=search)
            search.study.note_scope(search.scope())
            for one in finalists(tried, NUM_FINALISTS):
                search.run(search.count() + 1, 1, [one.values])
            tried = search.study.tried()
        result = _result(search, tried, stopped)
    finally:
        search.close()
    write_atomic(project.store.root / RESULT_FILE, json.dumps(result.as_json(), indent=1).encode())
    return result


class _Search:
    """Heats over one set of train rows."""

    def __init__(
        self,
        shop: Shop,
        space: Space,
        rows: Sequence[Example],
        *,
        started: float,
        budget_s: float | None,
        before: "_Search | None" = None,
    ) -> None:
        self.shop, self.rows, self.started, self.budget_s, self.before = shop, rows, started, budget_s, before
        self.settings = shop.project.settings
        self.space = space
        self.identity = _identity(shop, rows, space)
        name = f"{self.settings.project}-{self.identity[:12]}"
        self.study = TuneStudy(shop.project.store.root / DB_FILE, name, space, seed=self.settings.seed)
        self.champion = base_version(shop.bench, self.settings)
        self.last_heat_s = 0.0

    def close(self) -> None:
        """Lets go of the storage."""
        self.study.close()
        if self.before:
            self.before.close()

    def scope(self) -> Scope:
        """What is searched on which rows, and for which round."""
        return Scope(
            round=next_number(self.shop.project),
            num_rows=len(self.rows),
            total_rows=len(self.shop.seeds.of("train")),
            repeats=self.before.study.name if self.before else "",
        )

    def count(self) -> int:
        """Trials with an outcome."""
        return len(self.study.tried())

    def opening(self) -> list[Values]:
        """What to try before Optuna has learned: the best of earlier searches here, then rates around the prior."""
        train = self.settings.train
        config: Any = self.shop.bench.base.model.config
        middle = prior_lr(config.model_type, self.shop.bench.base.hidden_size) if train.lr == "auto" else train.lr
        plain = {
            "rank": self.settings.lora.rank,
            "batch_size": min(train.batch_size, len(self.rows)),
            "epochs": train.passes(len(self.rows), len(self.shop.seeds.task.labels)),
            "human_weight": train.human_weight,
            "replay_share": train.replay_share,
        }
        rates = [{"lr": float(f"{middle * times:.3g}"), **plain} for times in PRIOR_TIMES]
        return [*self.study.choices_before()[:1], *rates]

    def run(self, trials: int, slots: int, first: Sequence[Values]) -> str:
        """Heats until there are that many trials or the time is up; returns which it was."""
        talk = self.shop.talk
        while (done := self.count()) < trials:
            used = time.monotonic() - self.started
            if self.budget_s is not None and self.last_heat_s and used + self.last_heat_s > self.budget_s:
                return f"time: another heat takes about {self.last_heat_s:.0f} s"
            if self.shop.should_stop():
                raise Interrupted(
                    f"the search stopped after {done} of {trials} trials; nothing is lost",
                    hint="run the same command again to go on",
                )
            began = time.monotonic()
            heat = self.study.next_heat(min(slots, trials - done) if slots > 0 else slots, first)
            talk.say(f"heat {heat.number}: {len(heat.proposals)} candidates, {_shown(heat)}; {done} of {trials} done")
            self._run_heat(heat)
            self.last_heat_s = time.monotonic() - began
        return f"trials: all {trials} are done"

    def _run_heat(self, heat: Heat) -> None:
        """Trains a heat as one bank, scores those that came to the end, and tells the study."""
        shop = self.shop
        sealed, trained = self._train(heat)
        for number, trial in zip(heat.proposals, trained, strict=True):
            if trial.stopped in ("outrun", "diverged"):
                self.study.tell(number, trial, None)
                continue
            version = version_of(shop, sealed, trial, self.champion)
            evaluation = score_stage(shop, version, "dev_b")
            move = update_size(shop.bench.base, sealed.path / trial.folder)
            self.study.tell(number, replace(trial, dev_score=evaluation.overall), move)

    def _train(self, heat: Heat) -> tuple[Sealed, tuple[Trial, ...]]:
        shop, settings, recipe = self.shop, self.settings, heat.recipe
        tried = [candidate_of(number, values, settings) for number, values in heat.proposals.items()]
        changes = {f"train.{name}": value for name, value in as_json(recipe).items()}
        job = job_of(settings_with(settings, changes), shop.bench.base, shop.seeds, tried, self.rows)
        referee = Rungs()
        key = {
            "heat": heat.number,
            "recipe": as_json(recipe),
            "candidates": [as_json(candidate) for candidate in tried],
            "referee": dict(referee.identity()),
        }
        inputs = {"study": self.identity}
        return train_sealed(shop, "tune", TUNE_VERSION, key, inputs, replace(job, referee=referee))


def _refuse_what_cannot_be_tuned(shop: Shop) -> None:
    if shop.project.settings.train.method != "lora":
        raise UsageError("tune searches the settings of adapters", hint="set train.method to lora")
    if not shop.seeds.of("dev_b"):
        raise DataError(
            "no row has the role dev_b, so there is nothing to choose by",
            hint="add data, or raise roles.dev_b for the rows that are still to come",
        )


def _identity(shop: Shop, rows: Sequence[Example], space: Space) -> str:
    """What one search is about: data, base, space, and the settings that every trial keeps."""
    settings, base = shop.project.settings, shop.bench.base
    known = sorted([example.content_hash, provenance(example), example.weight] for example in rows)
    fixed = settings.train.model_dump(mode="json", exclude={"checkpoint_every_s", *SEARCHED})
    return fingerprint(
        {
            "version": TUNE_VERSION,
            "train": known,
            "dev_b": set_hash(shop.seeds.of("dev_b")),
            "base": base.base_hash,
            "precision": base.precision,
            "template": base.chat.template_hash,
            "task": as_json(shop.seeds.task),
            "fixed": fixed,
            "lora": settings.lora.model_dump(mode="json", exclude=SEARCHED),
            "space": as_json(space),
            "seed": settings.seed,
        }
    )


def _result(search: _Search, tried: Sequence[Tried], stopped: str) -> TuneResult:
    verdict = verdict_on(tried)
    search.study.note_choice(verdict.chosen.number)
    return TuneResult(
        study=search.study.name,
        tried=tuple(tried),
        verdict=verdict,
        settings=suggested(verdict.chosen.values, search.settings),
        stopped=stopped,
        seconds=time.monotonic() - search.started,
    )


def suggested(values: Values, settings: Settings) -> dict[str, Any]:
    """The settings that a round needs to train as this trial did, by full name; those that differ from now."""
    wanted = {
        "lora.rank": values["rank"],
        "train.epochs": values["epochs"],
        "train.batch_size": values["batch_size"],
        "train.human_weight": values["human_weight"],
        "train.replay_share": values["replay_share"],
        "train.lr": float(f"{values['lr']:.3g}"),
        "train.search": [1.0],
    }
    now = settings.model_dump(mode="json")
    return {name: value for name, value in wanted.items() if now[name.split(".")[0]][name.split(".")[1]] != value}


def _shown(heat: Heat) -> str:
    recipe = heat.recipe
    extra = f", human weight {recipe.human_weight:g}" if recipe.human_weight != 1 else ""
    extra += f", replay {recipe.replay_share:.3g}" if recipe.replay_share else ""
    return f"batch {recipe.batch_size}, {recipe.epochs} epochs{extra}"
