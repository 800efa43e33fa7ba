"""Databases as an earlier burnish left them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

CANARY = ("deployment", "canary_outcome", "shadow_answer")
"""Tables of format 0009."""
OF_7 = (
    "DROP INDEX review_decision_by_reviewer",
    "DROP INDEX review_lease_by_reviewer",
    "CREATE INDEX review_item_by_value ON review_item (queue, value)",
)
"""What format 0007 did beside its tables, undone."""


def as_format_5(path: Path) -> None:
    """Takes away what formats 0009 to 0006 added."""
    as_format_6(path)
    _go_back(path, "0005", ("chain_entry", "user_change"))


def as_format_6(path: Path) -> None:
    """Takes away what formats 0009 to 0007 added."""
    as_format_7(path)
    _go_back(path, "0006", ("review_state", "project_identity"), OF_7)


def as_format_7(path: Path) -> None:
    """Takes away what formats 0009 and 0008 added."""
    as_format_8(path)
    _go_back(path, "0007", ("traffic", "traffic_feedback"))


def as_format_8(path: Path) -> None:
    """Takes away what format 0009 added."""
    _go_back(path, "0008", CANARY)


def _go_back(path: Path, version: str, tables: Sequence[str], more: Sequence[str] = ()) -> None:
    with closing(sqlite3.connect(path)) as copy:
        for statement in (*(f"DROP TABLE {table}" for table in tables), *more):
            copy.execute(statement)
        copy.execute("UPDATE alembic_version SET version_num = ?", (version,))
        copy.commit()
