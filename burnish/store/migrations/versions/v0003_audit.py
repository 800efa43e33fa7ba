"""Audits of synthetic batches, append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table, and the triggers that keep it append-only."""
    op.create_table(
        "batch_audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER batch_audit_refuses_{verb.lower()} BEFORE {verb} ON batch_audit "
            "BEGIN SELECT RAISE(ABORT, 'batch_audit is append-only'); END"
        )
