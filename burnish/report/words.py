"""The sentences and numbers of a report, the same in every format; and texts of rows made safe to show."""

import unicodedata
from collections.abc import Sequence

from burnish.records import Candidate, Cost, Interval
from burnish.report.record import PastRound, RoundReport

METRICS = {"accuracy": "Right answers", "field_accuracy": "Right fields", "token_f1": "Word overlap (F1)"}
DECISIONS = {"PROMOTE": "Promoted", "HOLD": "Held back", "INCONCLUSIVE": "Inconclusive"}
ANSWERS = {
    "waiting": "Passed, waits for approval",
    "refused": "Passed, and refused",
    "withheld": "Passed, and withheld",
}
SAID = {"waiting": "waits for approval", "approved": "approved", "refused": "refused", "withheld": "withheld"}
MINUS = "\N{MINUS SIGN}"
LONGEST_TEXT = 900
"""Characters of a row's text on the page; the rows themselves stay whole in the evaluation."""


def metric_name(metric: str) -> str:
    """A metric as people say it: "Right answers"; an unknown one under its own name."""
    return METRICS.get(metric, metric)


def percent(share: float | None) -> str:
    """A share as "81.0%"; "n/a" where there is none."""
    return "n/a" if share is None else f"{100 * share:.1f}%"


def points(gain: float | None) -> str:
    """A gain in points with its sign, "+68.6"; a proper minus; "n/a" where there is none."""
    return "n/a" if gain is None else f"{100 * gain:+.1f}".replace("-", MINUS)


def span(interval: Interval, *, signed: bool = False) -> str:
    """The bounds in points, "[61.2, 75.1]"; says so where n supports none."""
    if interval.low is None or interval.high is None:
        return "[too few rows]"
    low, high = 100 * interval.low, 100 * interval.high
    text = f"[{low:+.1f}, {high:+.1f}]" if signed else f"[{low:.1f}, {high:.1f}]"
    return text.replace("-", MINUS)


def rates(candidates: Sequence[Candidate]) -> str:
    """Learning rates as "0.0021, 0.001"; with alpha where not all have the same: "0.0021 (alpha 32), ..."."""
    several = len({one.alpha for one in candidates}) > 1
    return ", ".join(f"{one.lr:.2g} (alpha {one.alpha:g})" if several else f"{one.lr:.2g}" for one in candidates)


def duration(seconds: float) -> str:
    """Seconds as people say them: "0.4 s", "43 s", "2 min 14 s", "3 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{THIN SPACE}")


def p_value(p: float) -> str:
    """A p-value with three decimals; "<0.001" below that."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def total_cost(report: RoundReport) -> Cost:
    """The sum over the stages; joules are None unless a stage measured them."""
    parts = [stage.cost for stage in report.costs]
    joules = [part.joules for part in parts if part.joules is not None]
    return Cost(
        usd=sum(part.usd for part in parts),
        seconds=sum(part.seconds for part in parts),
        tokens=sum(part.tokens for part in parts),
        joules=sum(joules) if joules else None,
        reviewer_minutes=sum(part.reviewer_minutes for part in parts),
    )


def money(usd: float) -> str:
    """US dollars, "$0.00"; amounts under a cent that are not zero keep two digits."""
    return f"${usd:.2f}" if usd == 0 or usd >= 0.01 else f"${usd:.2g}"


def priced(cost: Cost | None) -> str:
    """Money where some was paid, time, and reviewers' minutes; a dash where nobody knows."""
    if cost is None:
        return "-"
    shown = [money(cost.usd)] if cost.usd else []
    shown += [duration(cost.seconds)] if cost.seconds else []
    shown += [f"{cost.reviewer_minutes:.0f} reviewer minutes"] if cost.reviewer_minutes else []
    return ", ".join(shown) or "nothing"


def headline(report: RoundReport) -> str:
    """The round in one line: "Right answers: 12.4% -> 81.0%, gain +68.6 points [61.2, 75.1], promoted"."""
    arrow = f"{percent(report.before.value)} \N{RIGHTWARDS ARROW} {percent(report.after.value)}"
    gain = f"gain {points(report.gain.value)} points {span(report.gain)}"
    return f"{metric_name(report.metric)}: {arrow}, {gain}, {decided(report).lower()}"


def decided(report: RoundReport) -> str:
    """What came of the round in two or three words, the answer of people included."""
    return outcome(report.decision, report.approval)


def outcome(decision: str, approval: str = "") -> str:
    """The same of any round, by the gate's verdict and people's answer to it: "Passed, waits for approval"."""
    return ANSWERS.get(approval, DECISIONS[decision])


def verdict(decision: str, approval: str = "") -> str:
    """The gate's own word with people's answer, as a terminal shows it: "PROMOTE, waits for approval"."""
    return ", ".join(filter(None, (decision, SAID.get(approval, ""))))


def is_in_use(one: RoundReport | PastRound) -> bool:
    """Whether a round put its challenger into use."""
    return one.decision == "PROMOTE" and one.approval in ("", "approved")


def plain_verdict(report: RoundReport) -> str:
    """What happened and what it means, in two or three sentences for somebody who does no statistics."""
    if report.decision == "PROMOTE":
        rows = f" on {report.verdict.num_rows} sealed rows" if report.verdict else ""
        return (
            f"{_out_of_hundred(report)} The gate tested it{rows} that nobody had looked at and found it better, and "
            f"worse nowhere it checked. {_put_to_use(report)}"
        )
    if report.decision == "HOLD":
        against = "The new model was not put into use, because the evidence speaks against it."
        return f"{against}{_seen(report)} {report.champion} stays."
    needed = report.verdict.rows_needed if report.verdict else None
    more = f" About {needed} test rows would settle it." if needed else ""
    unproven = "It is not proven that the new model is better: the evidence does not reach that far."
    return f"{unproven}{_seen(report)} {report.champion} stays in use.{more}"


def _put_to_use(report: RoundReport) -> str:
    if report.approval == "waiting":
        return f"{report.challenger} is put into use when somebody approves it; until then {report.champion} stays."
    if report.approval == "refused":
        return f"Somebody refused it all the same, so {report.champion} stays in use."
    if report.approval == "withheld":
        return f"A row that it learned from was forgotten before it was in use, so {report.champion} stays in use."
    return f"{report.challenger} is now in use."


def _seen(report: RoundReport) -> str:
    nothing = difference(report.gain) == "no difference seen"
    return f" No difference was seen on the {report.gain.n} {report.measured_on}." if nothing else ""


def _out_of_hundred(report: RoundReport) -> str:
    before, after = report.before.value, report.after.value
    if report.metric != "accuracy" or before is None or after is None:
        return "The new model does better than the one before."
    return f"Of 100 questions the new model gets {100 * after:.0f} right; before, it was {100 * before:.0f}."


def difference(gain: Interval) -> str:
    """What a paired gain shows: "better", "worse", "no difference seen" or "too few rows"."""
    if gain.low is None or gain.high is None:
        return "too few rows"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "no difference seen"


def visible(text: str) -> str:
    """Text that shows what it holds: control, bidirectional and lone surrogate characters become a replacement mark."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # nearly every text: 30 times as fast as looking at each character
    kept = []
    for char in text.replace("\r\n", "\n"):
        hidden = unicodedata.category(char) in ("Cc", "Cs", "Cn") and char not in "\n\t"
        turns = char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        kept.append("\N{REPLACEMENT CHARACTER}" if hidden or turns else char)
    return "".join(kept)


def excerpt(text: str, longest: int = LONGEST_TEXT) -> str:
    """A row's text for showing: visible, and cut in its middle when longer than `longest` characters."""
    shown = visible(text)
    if len(shown) <= longest:
        return shown
    half = longest // 2
    return f"{shown[:half]}\n\N{HORIZONTAL ELLIPSIS} {count(len(shown) - longest)} characters left out\n{shown[-half:]}"
