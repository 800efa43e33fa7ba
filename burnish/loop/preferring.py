"""What people preferred, learned on top of examples: the round's best adapter goes on from where it is, by DPO or KTO.

What comes of it stands beside the adapter that it started from, and dev_b chooses between them as between any others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from burnish.config import TrainSettings
from burnish.data.conversation import conversation
from burnish.data.dataset import set_hash
from burnish.errors import ConfigError
from burnish.fingerprint import fingerprint
from burnish.loop.choose import Choice
from burnish.loop.stages import Shop, score_stage, train_sealed, version_of
from burnish.model.generate import target_logprobs
from burnish.records import Candidate, ModelVersion, Preference, Thumb, Trial, as_json
from burnish.store.manifest import Sealed
from burnish.train.batch import Row, hash_rows
from burnish.train.job import TrainJob, pair_rows, thumb_rows
from burnish.train.preference import balanced
from burnish.tune.search import PREFERENCE_SHARE, pick, tries_of

PREFER_VERSION = 1
LIKELIHOOD_VERSION = 1
FEWEST = 60
"""Pairs or thumbs below which nothing is learned from them: a fifth is held out to stop by, which is 12 of 60 and tells
little already. Others advise 300; this is low, since dev_b and the gate judge what comes of it."""
FEWEST_OF_A_KIND = 10
"""Good and bad thumbs that kto needs of each."""
HELD_SHARE = 5
"""One group in so many is held out to stop by."""
Judged = TypeVar("Judged", Preference, Thumb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """The round's choice after people's preferences, and what was learned from them in a sentence; empty: not asked."""

    choice: Choice
    note: str = ""


def preference_stage(shop: Shop, choice: Choice, champion: ModelVersion) -> Preferred:
    """The best of the round's adapter and of those that went on from it on pairs or thumbs, by the score on dev_b.

    Of those within one standard error of the best the one with the lowest loss on the examples of dev_b is taken, so
    that a preference cannot win by forgetting them. With too few preferences the choice stays and the note says so.
    """
    objective = shop.project.settings.train.objective
    if objective == "sft":
        return Preferred(choice=choice)
    if shop.project.settings.train.method != "lora":
        raise ConfigError(
            f"train.objective {objective} goes on from an adapter, and train.method full makes none",
            hint="set train.method to lora, or train.objective to sft",
        )
    rows, held, why_not = _rows(shop, objective)
    if why_not:
        shop.talk.say(f"prefer: {why_not}; the round goes on with what examples taught")
        return Preferred(choice=choice, note=f"{why_not[:1].upper()}{why_not[1:]}, so examples alone were learned.")
    shop.talk.say(f"prefer: {len(rows):,} {_named(objective)} to learn from, {len(held):,} to stop by")
    found = _chosen(shop, choice, champion, *_train(shop, choice, rows, held))
    kept = found.trial.candidate.name
    told = f"{len(rows):,} {_named(objective)} of people were learned, {len(held):,} others told when to stop; "
    told += f"dev_b chose {kept}" + ("" if kept != choice.trial.candidate.name else ", which learned examples alone")
    return Preferred(choice=found, note=f"{told}.")


def _named(objective: str) -> str:
    return {"dpo": "pairs", "kto": "thumbs"}[objective]


def _rows(shop: Shop, objective: str) -> tuple[Sequence[Row], Sequence[Row], str]:
    """(rows to learn from, rows to stop by, why nothing can be learned)."""
    decided, seed = shop.seeds.decided, shop.project.settings.seed
    base, task, longest = shop.bench.base, shop.seeds.task, shop.project.settings.data.max_tokens
    if objective == "dpo":
        learned, held = _split(decided.pairs, seed)
        made = [_short(pair_rows(base, task, part), longest) for part in (learned, held)]
    else:
        good = sum(thumb.is_good for thumb in decided.judged)
        if min(good, len(decided.judged) - good) < FEWEST_OF_A_KIND:
            few = f"{good} good and {len(decided.judged) - good} bad answers are too few: kto needs {FEWEST_OF_A_KIND}"
            return (), (), f"{few} of each, and {FEWEST} together"
        learned_thumbs, held_thumbs = _split(decided.judged, seed)
        made = [_short(thumb_rows(base, task, balanced(part)), longest) for part in (learned_thumbs, held_thumbs)]
    total = sum(map(len, made))
    if total < FEWEST or not all(made):
        return (), (), f"{total} {_named(objective)} are too few: {objective} needs {FEWEST}"
    return made[0], made[1], ""


def _split(judged: Sequence[Judged], seed: int) -> tuple[list[Judged], list[Judged]]:
    """To learn from and to stop by; an example's own stay together."""
    is_held = [int(fingerprint([seed, "held", one.group])[:8], 16) % HELD_SHARE == 0 for one in judged]
    sides = [[one for one, held in zip(judged, is_held, strict=True) if held == side] for side in (False, True)]
    return sides[0], sides[1]


def _short(rows: Sequence[Row], longest: int) -> list[Row]:
    """Rows that fit, both answers of a pair; nothing is cut."""
    return [row for row in rows if max(len(one.tokens) for one in (row, row.rejected or row)) <= longest]


def _train(shop: Shop, choice: Choice, rows: Sequence[Row], held: Sequence[Row]) -> tuple[Sealed, tuple[Trial, ...]]:
    """One adapter for each multiple in train.search, all from the chosen one, at a twenty-fifth of its rate."""
    settings, base = shop.project.settings, shop.bench.base
    tried = _candidates(choice.trial.candidate, settings.train, [times for times, _ in tries_of(settings, base)])
    start = shop.project.store.root / choice.challenger.artifact
    job = TrainJob(
        base=base,
        rows=rows,
        dev=held,
        candidates=tried,
        train=settings.train,
        lora=settings.lora,
        seed=settings.seed,
        folder=Path(),
        starts={candidate.name: start for candidate in tried},
    )
    inputs = {
        "base": base.base_hash,
        "template": base.chat.template_hash,
        "start": choice.challenger.adapter_hash,
        "rows": hash_rows(rows),
        "held": hash_rows(held),
    }
    key = {
        "train": settings.train.model_dump(mode="json", exclude={"checkpoint_every_s"}),
        "lora": settings.lora.model_dump(mode="json"),
        "candidates": [as_json(candidate) for candidate in tried],
        "precision": base.precision,
    }
    return train_sealed(shop, "prefer", PREFER_VERSION, key, inputs, job)


def _candidates(start: Candidate, train: TrainSettings, multiples: Sequence[float]) -> tuple[Candidate, ...]:
    return tuple(
        replace(
            start,
            name=f"{start.name}-{train.objective}{place}",
            lr=float(f"{start.lr * PREFERENCE_SHARE * multiple:.3g}"),
            subset="",
            beta=train.beta,
        )
        for place, multiple in enumerate(multiples, start=1)
    )


def _chosen(shop: Shop, choice: Choice, champion: ModelVersion, sealed: Sealed, trials: Sequence[Trial]) -> Choice:
    """The choice with these trials beside its own; a later round starts from the rate of the examples."""
    alive = [trial for trial in trials if trial.stopped not in ("outrun", "diverged")]
    versions = {
        trial.candidate.name: replace(version_of(shop, sealed, trial, champion), lr=choice.challenger.lr)
        for trial in alive
    }
    scored = {name: score_stage(shop, version, "dev_b") for name, version in versions.items()}
    known = [
        replace(trial, dev_score=scored[name].overall, dev_loss=_loss(shop, versions[name]))
        if (name := trial.candidate.name) in scored
        else trial
        for trial in trials
    ]
    before = replace(choice.trial, dev_loss=_loss(shop, choice.challenger))
    best = pick([before, *(trial for trial in known if trial.candidate.name in scored)])
    everything = replace(choice, trials=(*choice.trials, *known))
    if best.candidate.name not in scored:
        return everything
    name = best.candidate.name
    return replace(everything, challenger=versions[name], trial=best, on_dev_b=scored[name])


def _loss(shop: Shop, version: ModelVersion) -> float:
    """Mean nll of the answers of dev_b's examples under an adapter, in nats per token, measured once."""
    rows, task, base = shop.seeds.of("dev_b"), shop.seeds.task, shop.bench.base

    def work(_: Path) -> dict[str, Any]:
        with shop.bench.wearing(version) as worn:
            found = target_logprobs(worn, [worn.chat.render(conversation(task, row)) for row in rows])
        return {"loss": -sum(float(one.sum()) for one in found) / max(1, sum(len(one) for one in found))}

    inputs = {
        "model": version.adapter_hash,
        "base": base.base_hash,
        "template": base.chat.template_hash,
        "examples": set_hash(rows),
    }
    sealed = shop.run("likelihood", LIKELIHOOD_VERSION, {"task": as_json(task)}, inputs, 60 * len(rows), work)
    return float(sealed.record["loss"])
