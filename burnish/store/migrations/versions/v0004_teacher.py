"""Replies of teachers, append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the table, and the triggers that keep it append-only."""
    op.create_table(
        "teacher_reply",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("num_input", sa.Integer, nullable=False),
        sa.Column("num_output", sa.Integer, nullable=False),
        sa.Column("usd", sa.Float, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER teacher_reply_refuses_{verb.lower()} BEFORE {verb} ON teacher_reply "
            "BEGIN SELECT RAISE(ABORT, 'teacher_reply is append-only'); END"
        )
