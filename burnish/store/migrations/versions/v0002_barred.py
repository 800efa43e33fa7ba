"""Examples that are barred: ids, times and reasons, append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table, and the triggers that keep it append-only."""
    op.create_table(
        "barred_example",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("example", sa.Text, nullable=False, unique=True),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER barred_example_refuses_{verb.lower()} BEFORE {verb} ON barred_example "
            "BEGIN SELECT RAISE(ABORT, 'barred_example is append-only'); END"
        )
