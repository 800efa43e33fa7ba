"""Alarms for a loop that feeds on itself: fewer kinds of rows, less of reality covered, verifiers that nod too easily.

Each figure of the newest round is held against the first round and the one before, so that slow decline is seen too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from burnish.records import Interval

VENDI_FALL = 0.15
"""Relative fall of a Vendi ratio that is an alarm."""
RECALL_FALL = 0.05
"""Fall of coverage recall, at equal n, that is an alarm when chance does not explain it."""
RECALL_LEVEL = 0.01
"""Level of its test: the synthetic rows are drawn too, so counts of real rows alone take it for surer than it is."""
NLL_RISE = 0.05
"""Relative rise of the loss on real rows that is an alarm: they become unlikely to the generator."""
LEVEL = 0.05
"""Level of the one-sided tests of counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundHealth:
    """What one round of synthesis showed; None and 0 of 0 where it was not measured."""

    round: int
    vendi_ratio: float | None = None
    vendi_rare_ratio: float | None = None
    recall: Interval | None = None
    """Coverage recall at equal n, `Coverage.recall_equal`."""
    seen: int = 0
    accepted: int = 0
    """Of the rows that verifiers saw."""
    audited: int = 0
    correct: int = 0
    """Of the rows that were audited."""
    compared: int = 0
    agreed: int = 0
    """Of the rows that people and verifiers both judged."""
    dev_nll: float | None = None
    """Mean loss of real dev rows under the generator, in nats per token, on the same rows in each round."""


class Alarm(NamedTuple):
    """A sign of collapse, and the figures that show it."""

    kind: str
    """variety, rare kinds, coverage, easy verifier, people disagree or likelihood."""
    message: str
    before: float
    after: float
    since: int
    """The round that it is compared with."""


Check = Callable[[RoundHealth, RoundHealth], Alarm | None]


def collapse_alarms(history: Sequence[RoundHealth]) -> tuple[Alarm, ...]:
    """The alarms of the newest round against the first and the one before it, at most one of a kind.

    The limits on Vendi ratio and loss are fixed and suppose at least 200 rows at equal n; how often rounds of fresh
    rows raise a false alarm is in `benchmarks/guards.md`. Counts are tested one-sided by Fisher's exact test, so that
    small audits raise few alarms by chance; over many rounds each test has its chance anew.
    """
    if len(history) < 2:
        return ()
    now = history[-1]
    pasts = [history[0]] if len(history) == 2 else [history[0], history[-2]]
    found: dict[str, Alarm] = {}
    for past in pasts:
        for check in CHECKS:
            alarm = check(past, now)
            if alarm:
                found.setdefault(alarm.kind, alarm)
    return tuple(found.values())


def _variety(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    return _fell(past, past.vendi_ratio, now.vendi_ratio, "variety", "the rows are less varied")


def _rare(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    return _fell(past, past.vendi_rare_ratio, now.vendi_rare_ratio, "rare kinds", "rare kinds of rows are vanishing")


def _coverage(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    """A fall beyond the limit that is no chance: 5 points of 200 rows come and go."""
    if past.recall is None or now.recall is None or past.recall.value is None or now.recall.value is None:
        return None
    before, after = past.recall.value, now.recall.value
    counts = (round(after * now.recall.n), now.recall.n, round(before * past.recall.n), past.recall.n)
    if before - after <= RECALL_FALL or not _is_less(*counts, level=RECALL_LEVEL):
        return None
    return _alarm("coverage", "less of the real rows is covered", before, after, past)


def _easy(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    """Verifiers take more while the audit finds less right."""
    is_easier = _is_less(past.accepted, past.seen, now.accepted, now.seen)
    if not is_easier or not _is_less(now.correct, now.audited, past.correct, past.audited):
        return None
    before, after = past.correct / past.audited, now.correct / now.audited
    return _alarm("easy verifier", "more rows are accepted and fewer of them are right", before, after, past)


def _people(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    if not _is_less(now.agreed, now.compared, past.agreed, past.compared):
        return None
    before, after = past.agreed / past.compared, now.agreed / now.compared
    return _alarm("people disagree", "people agree less with the verifiers", before, after, past)


def _likelihood(past: RoundHealth, now: RoundHealth) -> Alarm | None:
    if past.dev_nll is None or now.dev_nll is None or now.dev_nll <= past.dev_nll * (1 + NLL_RISE):
        return None
    return _alarm("likelihood", "real rows become unlikely to the generator", past.dev_nll, now.dev_nll, past)


CHECKS: tuple[Check, ...] = (_variety, _rare, _coverage, _easy, _people, _likelihood)


def _fell(past: RoundHealth, before: float | None, after: float | None, kind: str, what: str) -> Alarm | None:
    if before is None or after is None or after >= before * (1 - VENDI_FALL):
        return None
    return _alarm(kind, what, before, after, past)


def _alarm(kind: str, what: str, before: float, after: float, past: RoundHealth) -> Alarm:
    return Alarm(kind, f"{what}: {after:.2f}, {before:.2f} in round {past.round}", before, after, past.round)


def _is_less(few: int, of: int, many: int, among: int, level: float = LEVEL) -> bool:
    """Whether few / of is below many / among beyond chance."""
    if not of or not among:
        return False
    from scipy.stats import fisher_exact

    table = [[few, of - few], [many, among - many]]
    return float(fisher_exact(table, alternative="less").pvalue) <= level
