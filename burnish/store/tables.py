"""The database's tables. History is append-only: triggers made by the migrations refuse UPDATE and DELETE on it.

A change here needs a migration in migrations/versions; a test compares the two.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

metadata = MetaData()

stage_run = Table(
    "stage_run",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("stage", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("note", Text, nullable=False),
)

spend = Table(
    "spend",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("settles", Integer, ForeignKey("spend.seq"), unique=True),
    Column("usd", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("joules", Float),
    Column("reviewer_minutes", Float, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Text, nullable=False),
)

gate_look = Table(
    "gate_look",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("vault_hash", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("challenger_hash", Text, nullable=False),
    Column("alpha", Float, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("vault_hash", "attempt"),
    UniqueConstraint("vault_hash", "challenger_hash"),
)

gate_answer = Table(
    "gate_answer",
    metadata,
    Column("look", Integer, ForeignKey("gate_look.seq"), primary_key=True, autoincrement=False),
    Column("decision", Text, nullable=False),
    Column("at", Text, nullable=False),
)

model_version = Table(
    "model_version",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("record", Text, nullable=False),
    Column("at", Text, nullable=False),
)

pointer = Table(
    "pointer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("model", Text, ForeignKey("model_version.name"), nullable=False),
)

pointer_move = Table(
    "pointer_move",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("pointer", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
)

role_change = Table(
    "role_change",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("example", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)

data_batch = Table(
    "data_batch",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("artifact", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("num_rows", Integer, nullable=False),
    Column("num_rejects", Integer, nullable=False),
    Column("sources", Text, nullable=False),
    Column("at", Text, nullable=False),
)

barred_example = Table(
    "barred_example",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("example", Text, nullable=False, unique=True),
    Column("batch", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)

batch_audit = Table(
    "batch_audit",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("batch", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
)

teacher_reply = Table(
    "teacher_reply",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("asked", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("fault", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("num_input", Integer, nullable=False),
    Column("num_output", Integer, nullable=False),
    Column("usd", Float, nullable=False),
    Column("at", Text, nullable=False),
)

review_item = Table(
    "review_item",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("record", Text, nullable=False),
    Column("at", Text, nullable=False),
)

review_decision = Table(
    "review_decision",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("item", Integer, ForeignKey("review_item.seq"), nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("counts", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("edit_distance", Integer, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("item", "reviewer", "turn"),
    Index("review_decision_by_reviewer", "reviewer", "seq"),
)

review_withdrawal = Table(
    "review_withdrawal",
    metadata,
    Column("item", Integer, ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)

review_lease = Table(
    "review_lease",
    metadata,
    Column("item", Integer, ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
    Column("reviewer", Text, primary_key=True),
    Column("given_s", Float, nullable=False),
    Column("until_s", Float, nullable=False),
    Index("review_lease_by_reviewer", "reviewer"),
)
"""Who holds which item until when. It changes; losing it loses no decision."""

review_state = Table(
    "review_state",
    metadata,
    Column("item", Integer, ForeignKey("review_item.seq"), primary_key=True, autoincrement=False),
    Column("queue", Text, nullable=False),
    Column("value", Float, nullable=False),
    Column("room", Integer, nullable=False),
    Column("is_check", Integer, nullable=False),
    Column("not_by", Text, nullable=False),
)
"""What follows from items, decisions and withdrawals, so that a claim reads little; `rebuild_state` makes it anew.
`room`: answers that an item still wants; `not_by`: names, each between line ends. Who changes an item locks its row."""

WANTS_MORE = review_state.c.room > literal_column("0")
"""A literal, as a parameter would keep both databases from using the partial index."""
Index(
    "review_state_open",
    review_state.c.queue,
    review_state.c.value,
    review_state.c.item,
    sqlite_where=WANTS_MORE,
    postgresql_where=WANTS_MORE,
)

IS_KEPT = review_state.c.not_by != literal_column("''")
Index("review_state_kept", review_state.c.item, sqlite_where=IS_KEPT, postgresql_where=IS_KEPT)

project_identity = Table("project_identity", metadata, Column("id", Text, primary_key=True))
"""The project that a database on a server belongs to; empty in a project's own file."""

user_change = Table(
    "user_change",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Text, nullable=False),
)

chain_entry = Table(
    "chain_entry",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("subject", Text, nullable=False, unique=True),
    Column("record", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

traffic = Table(
    "traffic",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("response_id", Text, nullable=False, unique=True),
    Column("at", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("adapter_hash", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("num_prompt", Integer),
    Column("num_answer", Integer),
    Column("seconds", Float),
    Column("first_token_s", Float),
    Column("finish_reason", Text, nullable=False),
    Column("logprob", Float),
    Column("probability", Float),
    Column("expires_at", Text, nullable=False),
    Index("traffic_by_end", "expires_at"),
    sqlite_autoincrement=True,
)
"""Rows leave when their time is over; a number is never given twice, so whoever reads on from one misses none."""

traffic_feedback = Table(
    "traffic_feedback",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at", Text, nullable=False),
    Index("traffic_feedback_by_answer", "response_id"),
    sqlite_autoincrement=True,
)

deployment = Table(
    "deployment",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("canary", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("challenger", Text, ForeignKey("model_version.name"), nullable=False),
    Column("against", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("feedback", Integer, nullable=False),
    Column("pairs", Integer, nullable=False),
    Column("harm", Float, nullable=False),
    Column("benefit", Float, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("canary", "turn"),
)

canary_outcome = Table(
    "canary_outcome",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("canary", Integer, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("is_challenger", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("feedback", Integer, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("canary", "conversation"),
)

shadow_answer = Table(
    "shadow_answer",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("canary", Integer, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("beside", Text, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("canary", "response_id"),
)

canary_comparison = Table(
    "canary_comparison",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("canary", Integer, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("is_challenger", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("after", Integer, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("canary", "conversation", "by"),
)

APPEND_ONLY = (
    "spend",
    "gate_look",
    "gate_answer",
    "model_version",
    "pointer_move",
    "role_change",
    "data_batch",
    "barred_example",
    "batch_audit",
    "teacher_reply",
    "review_item",
    "review_decision",
    "review_withdrawal",
    "user_change",
    "chain_entry",
    "deployment",
    "canary_outcome",
    "shadow_answer",
    "canary_comparison",
)

WITH_AN_END = ("traffic", "traffic_feedback")
"""Tables whose rows a person may take away and time takes away; a restored database gets back what was in them."""
