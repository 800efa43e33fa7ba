"""Whether a synthetic batch may train anything: a blind random sample, judged, and a lower bound that must be high.

No audit is no acceptance: a batch that nobody judged is barred until someone says otherwise, aloud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from burnish.errors import DataError
from burnish.fingerprint import fingerprint
from burnish.records import Example
from burnish.stats.rates import clopper_pearson

SAMPLE = 60
"""Rows of an audit: 60 of 60 right prove 0.951, 59 prove 0.924, 58 prove 0.899 and fail."""
NEEDED = 0.9
LEVEL = 0.05
"""One-sided: one batch in twenty that is just bad enough passes."""
LARGE_SAMPLE = 0.1
"""Share of a batch from which its being finite counts."""

Status = Literal["accepted", "rejected", "not audited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The outcome of an audit."""

    batch: str
    size: int
    """Rows of the batch."""
    n: int
    """Rows that were judged; 0: not audited."""
    correct: int
    lower: float | None
    """Lower bound, at 95%, of the share of right rows in this batch; None: not audited."""
    status: Status
    by: str = ""
    """people, or the held gold that the rows were judged by."""
    note: str = ""
    wrong: tuple[str, ...] = ()
    """Ids of the rows that were not right, to be looked at."""


def draw_audit(rows: Sequence[Example], *, n: int = SAMPLE, seed: int = 0) -> tuple[Example, ...]:
    """A blind random sample of a batch, without replacement, in random order; all rows of a smaller batch.

    Blind: nothing but id and conversation is left, so nobody sees which move or slice a row is from. Whoever labels
    should be shown `prompt` only. The sample is drawn from the content: a batch with one changed row gets another.
    """
    if n < 1:
        raise DataError(f"an audit of {n} rows judges nothing", hint=f"take {SAMPLE}, or at least 29")
    random = Random(fingerprint([seed, sorted(row.content_hash for row in rows)]))
    ordered = sorted(rows, key=lambda row: (row.content_hash, row.id))
    sample = random.sample(ordered, min(n, len(ordered)))
    return tuple(replace(row, group=row.id, slices={}, source="", weight=1.0) for row in sample)


def judge_audit(
    batch: str,
    size: int,
    sample: Sequence[Example],
    results: Mapping[str, bool | None],
    *,
    by: str,
    needed: float = NEEDED,
) -> Audit:
    """The audit of a batch of `size` rows from the verdicts by row id: accepted when the lower bound reaches `needed`.

    None ("cannot tell") counts as not right. The bound is Clopper and Pearson's, one-sided 95%; for a sample of a tenth
    of the batch or more the exact one for a finite batch, and of a batch judged whole its share. The draw makes it
    valid whatever rows have in common. Raises DataError while a row of the sample has no verdict.
    """
    missing = [row.id for row in sample if row.id not in results]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(sample)} rows of the audit of {batch} have no verdict yet",
            hint="judge them all: leaving out the hard ones would make the bound too high",
        )
    assert len(sample) <= size, f"{len(sample)} rows drawn from a batch of {size}"
    if not sample:
        return not_audited(batch, size, note="the batch is empty")
    wrong = tuple(row.id for row in sample if not results[row.id])
    correct = len(sample) - len(wrong)
    lower = lower_bound(correct, len(sample), size)
    return Audit(
        batch=batch,
        size=size,
        n=len(sample),
        correct=correct,
        lower=lower,
        status="accepted" if lower >= needed else "rejected",
        by=by,
        note=_note(len(sample), size, needed),
        wrong=wrong,
    )


def judge_by_gold(
    batch: str, size: int, sample: Sequence[Example], gold: Mapping[str, str], *, needed: float = NEEDED
) -> Audit:
    """The audit by answers that are known without having been shown to any generator, by row id."""
    results = {row.id: row.answer == gold[row.id] for row in sample if row.id in gold}
    return judge_audit(batch, size, sample, results, by="held gold", needed=needed)


def not_audited(batch: str, size: int, *, note: str = "") -> Audit:
    """The record of a batch that nobody judged."""
    return Audit(batch=batch, size=size, n=0, correct=0, lower=None, status="not audited", note=note)


def may_train(audit: Audit, *, take_unaudited: bool = False) -> bool:
    """Whether a batch may train: accepted ones, and with `take_unaudited` those that nobody judged. Never a rejected
    one."""
    return audit.status == "accepted" or (take_unaudited and audit.status == "not audited")


def lower_bound(correct: int, n: int, size: int) -> float:
    """Lower bound, one-sided 95%, of the share of right rows in a batch of `size`, from n drawn without replacement."""
    assert 0 <= correct <= n <= size, f"{correct} right of {n}, drawn from {size}"
    if n < LARGE_SAMPLE * size:
        found = clopper_pearson(correct, n, 2 * LEVEL).low
        assert found is not None, f"no bound for {correct} of {n}"
        return found
    from scipy.stats import hypergeom

    # The fewest right rows in the batch under which so many right ones in the sample are no surprise.
    possible = range(correct, size - n + correct + 1)
    return next(right for right in possible if hypergeom.sf(correct - 1, size, right, n) > LEVEL) / size


def _note(n: int, size: int, needed: float) -> str:
    if n == size:
        return "every row was judged, so the share is known and is no estimate"
    told = (
        "" if n < LARGE_SAMPLE * size else f"{n} of {size} rows is a large part, so the bound is that of a finite batch"
    )
    if lower_bound(n, n, size) < needed:
        return f"{told}{'; ' if told else ''}{n} rows cannot prove {needed:.2f} even if all are right"
    return told
