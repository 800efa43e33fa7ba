"""People's part in a round, in sentences: what they decided changed, what it cost them, and what nobody has shown."""

from burnish.report.record import ReviewReport, RoundReport
from burnish.report.words import count


def decided_words(report: RoundReport) -> tuple[str, ...]:
    """A sentence for each thing that people changed or left open; empty in reports from before this was counted."""
    told = report.review
    if told is None:
        return ()
    changes = [*_changes(told), told.preferred, *_minutes(told), *told.unproven]
    return tuple(sentence for sentence in changes if sentence)


def _changes(told: ReviewReport) -> list[str]:
    said = [
        f"People corrected {_rows(number, 'answer', 'answers')} on file of {role}; the files keep the old ones."
        for role, number in sorted(told.num_corrected.items())
    ]
    if told.num_rows:
        said.append(f"{_rows(told.num_rows, 'row', 'rows')} to learn from came out of the review.")
    if told.num_out_of_scope:
        said.append(f"{_rows(told.num_out_of_scope, 'row', 'rows')} trained nothing: people hold them out of scope.")
    return said


def _minutes(told: ReviewReport) -> list[str]:
    return [f"People spent {told.minutes:.0f} minutes on it since the round before."] if told.minutes >= 0.5 else []


def _rows(number: int, one: str, many: str) -> str:
    return f"{count(number)} {one if number == 1 else many}"
