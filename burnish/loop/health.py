"""How synthesis fares from batch to batch, and the alarms that it narrows down."""

from burnish.data.dataset import is_made
from burnish.loop.project import Project
from burnish.loop.trusted import latest_audits
from burnish.store.batches import batches
from burnish.synthesize.audit import Audit
from burnish.synthesize.batch import BatchReport, read_batch
from burnish.synthesize.collapse import Alarm, RoundHealth, collapse_alarms


def synthetic_reports(project: Project) -> list[BatchReport]:
    """What is known of each batch that burnish made, oldest first."""
    store = project.store
    return [read_batch(store.path_of(one.artifact)).report for one in batches(store) if is_made(store, one)]


def alarms_of(project: Project) -> tuple[Alarm, ...]:
    """The alarms that the newest batch raises against the first and the one before it."""
    known = latest_audits(project)
    reports = synthetic_reports(project)
    history = [_health(at, report, known.get(report.batch)) for at, report in enumerate(reports, start=1)]
    return collapse_alarms(history)


def _health(number: int, report: BatchReport, audit: Audit | None) -> RoundHealth:
    found = report.coverage
    return RoundHealth(
        round=number,
        vendi_ratio=found.vendi_ratio if found else None,
        vendi_rare_ratio=found.vendi_rare_ratio if found else None,
        recall=found.recall_equal if found else None,
        seen=report.num_made,
        accepted=report.num_kept,
        audited=audit.n if audit else 0,
        correct=audit.correct if audit else 0,
    )
