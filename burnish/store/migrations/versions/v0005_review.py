"""The review queue: items, decisions and withdrawals, append-only, and leases, which come and go."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the tables, and the triggers that keep all but the leases append-only."""
    op.create_table(
        "review_item",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_index("review_item_by_value", "review_item", ["queue", "value"])
    op.create_table(
        "review_decision",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("item", sa.Integer, sa.ForeignKey("review_item.seq"), nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("counts", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("edit_distance", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("item", "reviewer", "turn"),
    )
    op.create_table(
        "review_withdrawal",
        sa.Column("item", sa.Integer, sa.ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "review_lease",
        sa.Column("item", sa.Integer, sa.ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
        sa.Column("reviewer", sa.Text, primary_key=True),
        sa.Column("given_s", sa.Float, nullable=False),
        sa.Column("until_s", sa.Float, nullable=False),
    )
    for table in ("review_item", "review_decision", "review_withdrawal"):
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
