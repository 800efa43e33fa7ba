"""What the server was asked and answered, for a while, and what its users say about the answers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Makes the tables. Rows leave them when their time is over, so no trigger keeps them."""
    op.create_table(
        "traffic",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("response_id", sa.Text, nullable=False, unique=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("adapter_hash", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("num_prompt", sa.Integer),
        sa.Column("num_answer", sa.Integer),
        sa.Column("seconds", sa.Float),
        sa.Column("first_token_s", sa.Float),
        sa.Column("finish_reason", sa.Text, nullable=False),
        sa.Column("logprob", sa.Float),
        sa.Column("probability", sa.Float),
        sa.Column("expires_at", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("traffic_by_end", "traffic", ["expires_at"])
    op.create_table(
        "traffic_feedback",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("response_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("traffic_feedback_by_answer", "traffic_feedback", ["response_id"])
