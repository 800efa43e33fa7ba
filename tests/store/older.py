"""Databases as an earlier burnish left them."""

import sqlite3
from contextlib import closing
from pathlib import Path

CANARY = ("deployment", "canary_outcome", "shadow_answer")
"""Tables of format 0009."""


def as_format_5(path: Path) -> None:
    """Takes away what formats 0009 to 0006 added."""
    as_format_6(path)
    with closing(sqlite3.connect(path)) as copy:
        for table in ("chain_entry", "user_change"):
            copy.execute(f"DROP TABLE {table}")
        copy.execute("UPDATE alembic_version SET version_num = '0005'")
        copy.commit()


def as_format_6(path: Path) -> None:
    """Takes away what formats 0009 to 0007 added."""
    as_format_7(path)
    with closing(sqlite3.connect(path)) as copy:
        for table in ("review_state", "project_identity"):
            copy.execute(f"DROP TABLE {table}")
        for index in ("review_decision_by_reviewer", "review_lease_by_reviewer"):
            copy.execute(f"DROP INDEX {index}")
        copy.execute("CREATE INDEX review_item_by_value ON review_item (queue, value)")
        copy.execute("UPDATE alembic_version SET version_num = '0006'")
        copy.commit()


def as_format_7(path: Path) -> None:
    """Takes away what formats 0009 and 0008 added."""
    as_format_8(path)
    with closing(sqlite3.connect(path)) as copy:
        for table in ("traffic", "traffic_feedback"):
            copy.execute(f"DROP TABLE {table}")
        copy.execute("UPDATE alembic_version SET version_num = '0007'")
        copy.commit()


def as_format_8(path: Path) -> None:
    """Takes away what format 0009 added."""
    with closing(sqlite3.connect(path)) as copy:
        for table in CANARY:
            copy.execute(f"DROP TABLE {table}")
        copy.execute("UPDATE alembic_version SET version_num = '0008'")
        copy.commit()
