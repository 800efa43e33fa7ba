"""Which review items want an answer still, as a table that claims read; whose database this is, on a server."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ROOM = (
    "UPDATE review_state SET room = CASE "
    "WHEN EXISTS (SELECT 1 FROM review_withdrawal w WHERE w.item = review_state.item) THEN 0 "
    "ELSE (SELECT i.wanted FROM review_item i WHERE i.seq = review_state.item) "
    "- (SELECT coalesce(sum(d.counts), 0) FROM review_decision d WHERE d.item = review_state.item) END"
)


def upgrade() -> None:
    """Makes the tables and indexes, and fills the state from the log."""
    op.create_table(
        "review_state",
        sa.Column("item", sa.Integer, sa.ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("room", sa.Integer, nullable=False),
        sa.Column("is_check", sa.Integer, nullable=False),
        sa.Column("not_by", sa.Text, nullable=False),
    )
    op.create_table("project_identity", sa.Column("id", sa.Text, primary_key=True))
    _fill()
    wants_more = sa.text("room > 0")
    op.create_index(
        "review_state_open",
        "review_state",
        ["queue", "value", "item"],
        sqlite_where=wants_more,
        postgresql_where=wants_more,
    )
    is_kept = sa.text("not_by != ''")
    op.create_index("review_state_kept", "review_state", ["item"], sqlite_where=is_kept, postgresql_where=is_kept)
    op.create_index("review_decision_by_reviewer", "review_decision", ["reviewer", "seq"])
    op.create_index("review_lease_by_reviewer", "review_lease", ["reviewer"])
    op.drop_index("review_item_by_value", "review_item")


def _fill() -> None:
    connection = op.get_bind()
    rows = []
    for seq, queue, value, record in connection.execute(sa.text("SELECT seq, queue, value, record FROM review_item")):
        item = json.loads(record)
        others = "".join(f"{name}\n" for name in item.get("not_by", ()))
        rows.append(
            {
                "item": seq,
                "queue": queue,
                "value": value,
                "room": 0,
                "is_check": int(item.get("is_check", False)),
                "not_by": f"\n{others}" if others else "",
            }
        )
    if rows:
        names = ", ".join(rows[0])
        values = ", ".join(f":{name}" for name in rows[0])
        connection.execute(sa.text(f"INSERT INTO review_state ({names}) VALUES ({values})"), rows)
    connection.execute(sa.text(ROOM))
