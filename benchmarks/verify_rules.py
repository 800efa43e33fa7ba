"""Rules that keep or drop a row by its votes, and the shares that each keeps of right rows and drops of wrong ones.

Intervals are 95% bootstraps over texts (of made rows over parents), all seeds of a text drawn together.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.verify_cases import ALIKE, PARENT, RANDOM
from benchmarks.verify_votes import BAND_VOTE, BELIEF, CHAMPION, CROSSED
from burnish.synthesize.ensemble import LEAST_KEPT, agrees, limits_of
from burnish.synthesize.votes import NEIGHBOURS, WORDS

WRONG_SHARE = 0.2
"""Of the rows that come in, for the precision of what is kept: half of them wrong at random, half alike."""
DRAWS = 1000


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
