"""The first format: stages, spend, gate looks, models, pointers, roles and data batches."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

APPEND_ONLY = ("spend", "gate_look", "gate_answer", "model_version", "pointer_move", "role_change", "data_batch")


def upgrade() -> None:
    """Makes every table, and the triggers that keep history append-only."""
    _make_work_tables()
    _make_gate_tables()
    _make_model_tables()
    _make_data_tables()
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer, primary_key=True)


def _make_work_tables() -> None:
    op.create_table(
        "stage_run",
        _seq(),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        _text("stage"),
        _whole("version"),
        _text("status"),
        _whole("attempts"),
        _text("started"),
        _number("seconds"),
        _text("content_hash"),
        _text("note"),
    )
    op.create_table(
        "spend",
        _seq(),
        _text("stage"),
        sa.Column("settles", sa.Integer, sa.ForeignKey("spend.seq"), unique=True),
        _number("usd"),
        _number("seconds"),
        _whole("tokens"),
        sa.Column("joules", sa.Float),
        _number("reviewer_minutes"),
        _text("note"),
        _text("at"),
    )


def _make_gate_tables() -> None:
    op.create_table(
        "gate_look",
        _seq(),
        _text("vault_hash"),
        _whole("attempt"),
        _text("challenger_hash"),
        _number("alpha"),
        _text("at"),
        sa.UniqueConstraint("vault_hash", "attempt"),
        sa.UniqueConstraint("vault_hash", "challenger_hash"),
    )
    op.create_table(
        "gate_answer",
        sa.Column("look", sa.Integer, sa.ForeignKey("gate_look.seq"), primary_key=True, autoincrement=False),
        _text("decision"),
        _text("at"),
    )


def _make_model_tables() -> None:
    op.create_table(
        "model_version",
        _seq(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        _text("record"),
        _text("at"),
    )
    op.create_table(
        "pointer",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, sa.ForeignKey("model_version.name"), nullable=False),
    )
    op.create_table(
        "pointer_move",
        _seq(),
        _text("pointer"),
        _text("before"),
        _text("after"),
        _text("kind"),
        _text("reason"),
        _text("by"),
        _text("at"),
    )


def _make_data_tables() -> None:
    op.create_table("role_change", _seq(), _text("example"), _text("role"), _text("reason"), _text("at"))
    op.create_table(
        "data_batch",
        _seq(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        _text("artifact"),
        _text("content_hash"),
        _whole("num_rows"),
        _whole("num_rejects"),
        _text("sources"),
        _text("at"),
    )
