"""What a judge or people make of both versions' answers to one conversation under a canary; append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TABLE = "canary_comparison"


def upgrade() -> None:
    """Makes the table, and the triggers that keep it append-only."""
    op.create_table(
        TABLE,
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("canary", sa.Integer, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("is_challenger", sa.Integer, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("after", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("canary", "conversation", "by"),
    )
    if op.get_context().dialect.name == "postgresql":
        for verb, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {TABLE}_refuses_{each.lower()} BEFORE {verb} ON {TABLE} "
                f"FOR EACH {each} EXECUTE FUNCTION burnish_refuses()"
            )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {TABLE}_refuses_{verb.lower()} BEFORE {verb} ON {TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
        )
