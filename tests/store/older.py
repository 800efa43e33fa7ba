"""Databases as an earlier burnish left them."""

import sqlite3
from contextlib import closing
from pathlib import Path


def as_format_5(path: Path) -> None:
    """Takes away what format 0006 added."""
    with closing(sqlite3.connect(path)) as copy:
        for table in ("chain_entry", "user_change"):
            copy.execute(f"DROP TABLE {table}")
        copy.execute("UPDATE alembic_version SET version_num = '0005'")
        copy.commit()
