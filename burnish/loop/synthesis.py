"""What a synthesis came to: its sealed batch, and what the report of a round says of it."""

from dataclasses import dataclass
from typing import Any

from burnish.data.dedup import prompt_text
from burnish.loop.stages import Shop
from burnish.loop.trusted import ACCEPTED, REJECTED, UNAUDITED, WAITING
from burnish.records import Interval, as_json
from burnish.report.record import MadeRow, SynthesisReport
from burnish.synthesize.batch import SyntheticBatch
from burnish.synthesize.collapse import Alarm
from burnish.synthesize.plan import CellPlan

NUM_SHOWN = 5
STATES_SAID = {
    ACCEPTED: "it passed its audit and trains",
    UNAUDITED: "nobody judged it; it trains all the same, as synthesize.take_unaudited says",
    WAITING: "it trains nothing before its audit",
    REJECTED: "it failed its audit and trains nothing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A sealed batch of synthetic rows."""

    plan: CellPlan
    batch: SyntheticBatch
    notes: tuple[str, ...]
    """What was planned and could not be made."""
    verified: dict[str, Any]
    """What the verifiers' own quality on rows of people is, and how they judged; empty: none was there."""
    alarms: tuple[Alarm, ...]
    """Signs that rounds of synthesis narrow down."""
    state: str
    """accepted, unaudited (it trains all the same), waiting, or rejected."""
    is_new: bool

    @property
    def name(self) -> str:
        """Of the data batch."""
        return self.batch.report.batch

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, without the rows."""
        return {
            **as_json(self.batch.report),
            "state": self.state,
            "is_new": self.is_new,
            "notes": list(self.notes),
            "verified": self.verified,
            "alarms": [alarm.message for alarm in self.alarms],
            "num_human": self.plan.num_human,
            "human_share": self.plan.human_share,
        }

    def as_text(self) -> str:
        """Some lines for people."""
        report = self.batch.report
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in report.by_reason.items())
        lines = [
            f"{report.batch}: {report.num_kept:,} rows kept of {report.num_made:,} made"
            + (f" (dropped: {dropped})" if dropped else "")
        ]
        if found := report.coverage:
            lines.append(
                f"against dev_a: variety {found.vendi_ratio:.2f}, covered {_percent(found.recall)}, told apart (AUC) "
                + ("-" if found.auc is None or found.auc.value is None else f"{found.auc.value:.2f}")
            )
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"alarm: {alarm.message}" for alarm in self.alarms]
        return "\n".join([*lines, STATES_SAID[self.state]])


def synthesis_report(shop: Shop, made: Synthesis | None) -> SynthesisReport | None:
    """What a report says of the rows that a round made and of the synthetic ones that it trained on."""
    trusted = shop.seeds.trusted
    used = trusted.weighed
    if made is None and not used:
        return None
    found = made.batch if made else None
    shown = list(zip(found.rows, found.provenance, strict=True))[:NUM_SHOWN] if found else []
    return SynthesisReport(
        batch=found.report if found else None,
        state=made.state if made else "",
        num_people=len(shop.seeds.of("train")),
        num_synthetic=len(used),
        unaudited=tuple(sorted(name for name in trusted.unaudited if trusted.weights.get(name, 1.0))),
        waiting=trusted.waiting,
        rejected=trusted.rejected,
        verified=made.verified if made else {},
        alarms=tuple(alarm.message for alarm in made.alarms) if made else (),
        notes=(*(made.notes if made else ()), *_repeated(shop)),
        shown=tuple(
            MadeRow(text=prompt_text(row), answer=row.answer, move=origin.move, parents=origin.parents)
            for row, origin in shown
        ),
    )


def _repeated(shop: Shop) -> tuple[str, ...]:
    count = len(shop.seeds.repeats)
    return (f"{count:,} rows of people trained again, where the batch trains fewer than were planned",) if count else ()


def _percent(share: Interval) -> str:
    return "-" if share.value is None else f"{share.value:.0%}"
