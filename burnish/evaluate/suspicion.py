"""Smells in an evaluation: scores and outputs that more often mean a bug than a bad model.

A smell becomes a warning with three samples and the likely cause; only where a number would mislead is it an error.
"""

from collections import Counter
from collections.abc import Sequence

from burnish.errors import EvaluationError
from burnish.records import Evaluation, RowResult, Task

MIN_ROWS = 8
"""Below this many scored rows nothing is called suspicious; eight of eight is rare by chance."""

LENGTH_SHARE = 0.9
"""Share of outputs at the length limit from which the stop token is doubted."""

NUM_SAMPLES = 3

LIKELY_BUGS = frozenset({"zero", "length", "no-label"})
"""First words of the warnings that are said aloud in a round; all of them stand in its report."""


def likely_bugs(evaluation: Evaluation) -> tuple[str, ...]:
    """Those warnings of an evaluation that are more often a bug than a bad model, with the model's name before them."""
    return tuple(
        f"{evaluation.model}: likely a bug: {warning}"
        for warning in evaluation.warnings
        if warning.split(":")[0] in LIKELY_BUGS
    )


def suspicions(rows: Sequence[RowResult], task: Task) -> tuple[str, ...]:
    """Warnings about these rows, worst first, each starting with a stable word and a colon."""
    missing = _missing(rows)
    scored = [row for row in rows if row.score is not None]
    if len(scored) < MIN_ROWS:
        return missing
    at_limit = [row for row in scored if row.stop_reason == "length"]
    found = [_zero(scored) if all(row.score == 0.0 for row in scored) else ""]
    found += [_length(at_limit, scored, task), _no_label(scored, task), _identical(scored)]
    found += [_ceiling(scored), _chance(scored, task)]
    return (*(warning for warning in found if warning), *missing)


def demand_measurement(evaluation: Evaluation) -> None:
    """Refuses a score of 0 that says nothing. In a round it is a warning: training may be what mends it.

    Raises:
        EvaluationError: every scored row is 0 and every output ran into the length limit.
    """
    scored = [row for row in evaluation.rows if row.score is not None]
    if len(scored) < MIN_ROWS or any(row.score != 0.0 or row.stop_reason != "length" for row in scored):
        return
    raise EvaluationError(
        f"all {len(scored)} rows score 0 and every output ran into the length limit; that is no measurement. "
        f"{samples(scored)}",
        hint="likely a chat template or an end-of-turn token that this model does not know; look at one row with "
        "`burnish data render`, or raise task.max_new_tokens",
    )


def samples(rows: Sequence[RowResult]) -> str:
    """Three outputs with what was expected, short enough for a line each."""
    shown = [f"{row.example}: {_short(row.output)} (expected {_short(row.expected)})" for row in rows[:NUM_SAMPLES]]
    return "Samples: " + "; ".join(shown)


def _zero(scored: Sequence[RowResult]) -> str:
    return (
        f"zero: all {len(scored)} rows score exactly 0, which is more often a bug (template, stop token, form of the "
        f"answers) than a bad model. {samples(scored)}"
    )


def _length(at_limit: Sequence[RowResult], scored: Sequence[RowResult], task: Task) -> str:
    if len(at_limit) < LENGTH_SHARE * len(scored):
        return ""
    return (
        f"length: {len(at_limit)} of {len(scored)} outputs ran into the limit of {task.max_new_tokens} tokens; the "
        f"model may not know its end-of-turn token, or the limit is too low. {samples(at_limit)}"
    )


def _no_label(scored: Sequence[RowResult], task: Task) -> str:
    strange = [row for row in scored if row.output not in task.labels] if task.kind == "label" else []
    if len(strange) < len(scored) or not strange:
        return ""
    return f"no-label: none of {len(scored)} outputs is one of the task's labels. {samples(strange)}"


def _identical(scored: Sequence[RowResult]) -> str:
    if len({row.output for row in scored}) > 1 or len({row.expected for row in scored}) == 1:
        return ""
    return (
        f"identical: all {len(scored)} outputs are {_short(scored[0].output)}, whatever the prompt; the model ignores "
        f"it, or never sees it. {samples(scored)}"
    )


def _ceiling(scored: Sequence[RowResult]) -> str:
    if any(row.score != 1.0 for row in scored):
        return ""
    return (
        f"ceiling: all {len(scored)} rows are right, so this set can show no gain; if that surprises, look for rows "
        f"that were also trained on (`burnish data check`). {samples(scored)}"
    )


def _chance(scored: Sequence[RowResult], task: Task) -> str:
    """A label task that does no better than always giving the most frequent answer."""
    if task.kind != "label":
        return ""
    (answer, count), *_ = Counter(row.expected for row in scored).most_common()
    right = sum(row.score or 0.0 for row in scored)
    if right > count or count == len(scored):
        return ""
    return (
        f"chance: {right / len(scored):.1%} is no better than always answering {_short(answer)} "
        f"({count / len(scored):.1%} of these rows)"
    )


def _missing(rows: Sequence[RowResult]) -> tuple[str, ...]:
    reasons = Counter(row.why_missing.split(":")[0] for row in rows if row.score is None)
    first = {row.why_missing.split(":")[0]: row for row in reversed(rows) if row.score is None}
    return tuple(
        f"not-scored: {count} of {len(rows)} rows ({first[reason].example}: {first[reason].why_missing})"
        for reason, count in reasons.most_common()
    )


def _short(text: str, limit: int = 60) -> str:
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= limit else one_line[: limit - 1] + "…")
