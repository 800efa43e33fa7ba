"""Canaries: their moves, what came of conversations under them, and what a shadow would have answered; append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = ("deployment", "canary_outcome", "shadow_answer")


def upgrade() -> None:
    """Makes the tables, and the triggers that keep them append-only."""
    op.create_table(
        "deployment",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("canary", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("challenger", sa.Text, sa.ForeignKey("model_version.name"), nullable=False),
        sa.Column("against", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("feedback", sa.Integer, nullable=False),
        sa.Column("pairs", sa.Integer, nullable=False),
        sa.Column("harm", sa.Float, nullable=False),
        sa.Column("benefit", sa.Float, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("canary", "turn"),
    )
    op.create_table(
        "canary_outcome",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("canary", sa.Integer, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("is_challenger", sa.Integer, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("feedback", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("canary", "conversation"),
    )
    op.create_table(
        "shadow_answer",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("canary", sa.Integer, nullable=False),
        sa.Column("response_id", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("beside", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("canary", "response_id"),
    )
    for table in TABLES:
        _keep(table)


def _keep(table: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        for verb, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{each.lower()} BEFORE {verb} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION burnish_refuses()"
            )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
