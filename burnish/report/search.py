"""A search for settings in words: what was tried, which trial was taken and why, and the rows of its table."""

from collections.abc import Sequence
from typing import NamedTuple

from burnish.records import Interval
from burnish.report import words
from burnish.report.record import RoundReport, SearchReport, SearchTrial

MOST_TRIALS = 12
"""Trials in the table, the best ones; the others are counted, and are in the JSON."""
ENDS = {
    "done": "at the end",
    "early": "stopped falling",
    "outrun": "left behind",
    "diverged": "diverged",
}


class SearchRow(NamedTuple):
    """A trial as the table shows it."""

    number: int
    is_chosen: bool
    settings: str
    rungs: str
    loss: str
    score: Interval | None
    move: str
    ended: str


class SearchWords(NamedTuple):
    """One search, ready for a template."""

    title: str
    """Empty when there is no other search to tell it from."""
    lead: str
    verdict: str
    is_chosen: bool
    """Whether one of its trials was chosen, and so stands out in the plot."""
    rows: tuple[SearchRow, ...]
    more: int
    """Trials that the table leaves out."""


def search_words(report: RoundReport) -> tuple[SearchWords, ...]:
    """What the report says about each part of the search, first to last."""
    return tuple(_words(part, report.search) for part in report.search)


def _words(part: SearchReport, parts: Sequence[SearchReport]) -> SearchWords:
    rows = _best(part)
    return SearchWords(
        title=_title(part) if len(parts) > 1 else "",
        lead=_lead(part),
        verdict=_verdict(part, is_last=part is parts[-1], is_ended=parts[-1].chosen is not None),
        is_chosen=part.chosen is not None,
        rows=tuple(_row(one, part.chosen) for one in rows),
        more=len(part.trials) - len(rows),
    )


def _title(part: SearchReport) -> str:
    if part.num_rows < part.total_rows:
        return f"On {words.count(part.num_rows)} of {words.count(part.total_rows)} rows"
    return f"The best again, on all {words.count(part.num_rows)} rows"


def _lead(part: SearchReport) -> str:
    ends = [one.trial.stopped for one in part.trials]
    left, wild = ends.count("outrun"), ends.count("diverged")
    told = {"came to an end of their own": len(ends) - left - wild, "left behind on the way": left, "diverged": wild}
    shares = ", ".join(f"{number} {what}" for what, number in told.items() if number)
    rows = words.count(part.num_rows)
    return f"Before this round a search tried {len(ends)} settings on {rows} training rows: {shares}."


def _verdict(part: SearchReport, *, is_last: bool, is_ended: bool) -> str:
    if not is_ended:
        return "The search had not ended when this round began, so nothing was chosen."
    chosen = f"Trial {part.chosen} was chosen: {part.reason}."
    if not is_last:
        return chosen if part.chosen is not None else ""
    rule = "Of all trials within one standard error of the best score the rule takes the one that moves the base least."
    used = (
        "This round trained with its settings."
        if part.is_used
        else "This round did not train with its settings; burnish tune --apply writes them into burnish.yaml."
    )
    return f"{chosen} {rule} {used}"


def _best(part: SearchReport) -> list[SearchTrial]:
    """The trials of the table: scored ones by score, then those that came furthest; the chosen one is among them."""
    ordered = sorted(part.trials, key=_rank)
    kept = ordered[:MOST_TRIALS]
    chosen = [one for one in ordered[MOST_TRIALS:] if one.number == part.chosen]
    return [*kept[: MOST_TRIALS - len(chosen)], *chosen]


def _rank(one: SearchTrial) -> tuple[float, int, float, int]:
    score = one.trial.dev_score.value if one.trial.dev_score else None
    loss = float("inf") if one.trial.dev_loss is None else one.trial.dev_loss
    return (1.0 if score is None else -score, -one.rungs, loss, one.number)


def _row(one: SearchTrial, chosen: int | None) -> SearchRow:
    trial = one.trial
    return SearchRow(
        number=one.number,
        is_chosen=one.number == chosen,
        settings=_settings(one),
        rungs=f"{one.rungs} of {one.num_rungs}",
        loss="n/a" if trial.dev_loss is None else f"{trial.dev_loss:.3f}",
        score=trial.dev_score,
        move="n/a" if one.move is None else f"{100 * one.move:.2f}%",
        ended=ENDS.get(trial.stopped, trial.stopped),
    )


def _settings(one: SearchTrial) -> str:
    """The values of a trial; those of the rows only where they differ from what a project starts with."""
    values = one.values
    human, replay = values.get("human_weight", 1.0), values.get("replay_share", 0.0)
    parts = [
        f"lr {one.trial.candidate.lr:.3g}",
        f"rank {one.trial.candidate.rank}",
        *([f"batch {values['batch_size']}"] if "batch_size" in values else []),
        *([f"{values['epochs']} epochs"] if "epochs" in values else []),
        *([f"human weight {human:g}"] if human != 1 else []),
        *([f"replay {100 * replay:.3g}%"] if replay else []),
    ]
    return ", ".join(parts)
