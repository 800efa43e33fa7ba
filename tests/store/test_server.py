"""The same store on a real PostgreSQL: the queue's promises, one writer at a time, one project a database, a round."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import settings
from sqlalchemy import insert, make_url, text

from benchmarks.postgres import FAST, Unavailable, make_database, started
from burnish.budget import open_budget
from burnish.config import BudgetSettings
from burnish.data.intake import add_files
from burnish.errors import AccessError, BudgetError, ConfigError, StorageError, UsageError
from burnish.fakes import tiny_folder
from burnish.loop.project import create_project
from burnish.loop.round import run_round
from burnish.records import Cost, ModelVersion
from burnish.registry import champion, history, promote, register, rollback
from burnish.store.backup import restore_backup
from burnish.store.chain import START, broken_entries, entries
from burnish.store.claims import Wish, claim_items, decide_item
from burnish.store.reviews import add_items, review_log
from burnish.store.roles import append_roles, current_roles
from burnish.store.server import VARIABLE, server_url, told_server_error
from burnish.store.stage import stage_runs
from burnish.store.store import Store, open_store
from burnish.store.tables import APPEND_ONLY, metadata, role_change
from burnish.store.users import add_user
from burnish.talk import Silence
from tests.child import end_of, start_child
from tests.loop.conftest import small_settings, write_rows
from tests.review.test_claims import QUEUES, Queue, item
from tests.store.failed import leaves_no_trace
from tests.store.older import CANARY
from tests.store.test_deployments import moves_by_turns_and_keeps_each_outcome_once
from tests.store.test_traffic import keeps_answers_once_and_in_order

UNTUNED = ModelVersion(name="base", round=0, adapter_hash="", artifact="", base="b", base_hash="b", template_hash="t")
NAMES = (f"desk_{number}" for number in count())


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    try:
        with started(FAST) as place:
            yield place
    except Unavailable as why:
        pytest.skip(f"no PostgreSQL here, so nothing of it is tested: {why}")


@pytest.fixture
def url(server: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, which this test's projects use."""
    made = make_database(server, next(NAMES))
    monkeypatch.setenv(VARIABLE, made)
    return made


@pytest.fixture
def store(tmp_path: Path, url: str) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.db.engine.dispose()


def test_the_queue_keeps_its_promises_on_a_server_too(server):
    class ServerQueue(Queue):
        """The state machine of the queue, each of its lives in a database of its own."""

        def open(self) -> Store:
            if not hasattr(self, "url"):
                self.url = make_database(server, next(NAMES))
            os.environ[VARIABLE] = self.url
            return super().open()

        def teardown(self) -> None:
            super().teardown()
            self.store.db.engine.dispose()
            os.environ.pop(VARIABLE, None)

    ServerQueue.TestCase.settings = settings(max_examples=5, stateful_step_count=15, deadline=None)
    ServerQueue.TestCase("runTest").runTest()


def test_twenty_reviewers_at_once_lose_nothing_and_share_nothing_on_a_server(store):
    add_items(store, [item(f"i{number}", wanted=1 + number % 2) for number in range(40)])

    def work(reviewer: str) -> None:
        while claims := claim_items(store, reviewer, now_s=0, queues=QUEUES, count=2):
            for one in claims:
                decide_item(store, one.item.name, reviewer, one.turn, Wish("accept"), now_s=0, then=QUEUES)

    children = [start_child(lambda reviewer=f"r{number}": work(reviewer)) for number in range(20)]
    assert [end_of(pid) for pid in children] == [0] * 20
    log = review_log(store)
    assert len(log) == len({(one.item, one.reviewer) for one in log}) == 60
    assert sorted(one.item for one in log) == sorted(f"i{n}" for n in range(40) for _ in range(1 + n % 2))


def test_two_processes_cannot_spend_what_only_one_of_them_may(store):
    budget = open_budget(store, BudgetSettings(usd=3.0))
    children = [start_child(lambda: budget.reserve("teach", Cost(usd=1.0))) for _ in range(8)]
    assert sorted(end_of(pid) for pid in children) == [0] * 3 + [BudgetError.exit_code] * 5


def test_the_log_of_decisions_begins_with_the_database_and_is_one_chain_whoever_writes_at_once(store):
    assert [entry.kind for entry in entries(store.db)] == [START]
    children = [start_child(lambda name=f"user {number}": add_user(store, name, "reviewer")) for number in range(8)]
    assert [end_of(pid) for pid in children] == [0] * 8
    for name in ("one", "two"):
        register(store, replace(UNTUNED, name=name))
        promote(store, name, "better", "gate")
    chain = entries(store.db)
    assert [entry.seq for entry in chain] == list(range(1, 12))
    assert [entry.kind for entry in chain[-2:]] == ["promote", "promote"]
    assert broken_entries(chain) == []
    assert rollback(store, "worse").name == "one"


def test_the_tables_are_those_of_the_code_and_history_cannot_be_changed(store):
    with store.db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    for name in APPEND_ONLY:
        table = metadata.tables[name]
        row = {column.name: 7 if str(column.type) != "TEXT" else "7" for column in table.columns}
        row |= {"settles": None} if name == "spend" else {}
        with store.db.write() as connection:
            connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
            connection.execute(insert(table).values(row))
        changed = next(column.name for column in table.columns if str(column.type) == "TEXT")
        for statement in (f"UPDATE {name} SET {changed} = '2'", f"DELETE FROM {name}", f"TRUNCATE {name} CASCADE"):
            with pytest.raises(StorageError, match="is append-only"), store.db.write() as connection:
                connection.execute(text(statement))


def test_a_failed_block_leaves_no_trace_and_a_read_sees_one_moment(store):
    leaves_no_trace(store)
    with store.db.read() as connection:
        before = connection.execute(role_change.select()).all()
        append_roles(store, {"b": "train"}, "split")
        assert connection.execute(role_change.select()).all() == before == []
    assert current_roles(store) == {"b": "train"}


def test_a_server_of_an_older_format_gets_the_tables_of_answers_and_canaries_and_keeps_them_alike(tmp_path, store):
    with store.db.write() as connection:
        for table in ("canary_comparison", "traffic", "traffic_feedback", *CANARY):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    keeps_answers_once_and_in_order(open_store(tmp_path))
    moves_by_turns_and_keeps_each_outcome_once(open_store(tmp_path))
    for name in CANARY:
        with pytest.raises(StorageError, match="is append-only"), store.db.write() as connection:
            connection.execute(text(f"DELETE FROM {name}"))
    with store.db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_belongs_to_one_project_and_a_project_to_one_database(tmp_path, url, server, monkeypatch):
    mine, other, local = (tmp_path / name for name in ("mine", "other", "local"))
    for folder in (mine, other, local):
        folder.mkdir()
    append_roles(open_store(mine), {"a": "train"}, "split")
    with pytest.raises(ConfigError, match="holds the history of another project"):
        open_store(other)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match="is not set") as caught:
        open_store(mine)
    assert VARIABLE in caught.value.hint
    open_store(local)
    monkeypatch.setenv(VARIABLE, make_database(server, next(NAMES)))
    with pytest.raises(ConfigError, match=r"is in .*burnish\.db"):
        open_store(local)
    shutil.copytree(mine, tmp_path / "copy")
    with pytest.raises(UsageError, match="is on a database server"):
        restore_backup(mine)
    monkeypatch.setenv(VARIABLE, url)
    assert current_roles(open_store(tmp_path / "copy")) == {"a": "train"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("mysql://u:secret@h/d", "of the kind 'mysql'"),
        ("secret", "is no address"),
        ("postgresql://u:secret@h", "names no database"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(given, told):
    with pytest.raises(ConfigError, match=told) as caught:
        server_url({VARIABLE: given})
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_server_that_is_not_there_and_a_database_that_is_not_there_are_told(tmp_path, server, monkeypatch):
    monkeypatch.setenv(VARIABLE, f"postgresql://u:secret@/d?host={tmp_path}")
    with pytest.raises(StorageError, match="does not answer") as caught:
        open_store(tmp_path)
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    monkeypatch.setenv(VARIABLE, make_database(server, next(NAMES)).replace("/desk", "/none"))
    with pytest.raises(ConfigError, match="there is no database") as caught:
        open_store(tmp_path)
    assert "createdb" in caught.value.hint


def test_what_a_server_says_becomes_an_error_of_ours_without_the_password():
    url = make_url("postgresql+psycopg://ann:secret@host/desk")
    error = told_server_error(None, 'FATAL: password authentication failed for "ann" (secret)', url)
    assert isinstance(error, AccessError)
    assert "secret" not in error.message
    assert isinstance(told_server_error("53100", "disk full", url), StorageError)
    assert told_server_error("55P03", "canceling", url).exit_code == 75


def test_a_round_from_rows_to_champion_runs_on_a_server(tmp_path, url, tmp_path_factory):
    base = tiny_folder(tmp_path_factory.mktemp("base") / "tiny", "llama", seed=0)
    project = create_project(tmp_path / "desk", small_settings(base))
    rows = write_rows(tmp_path / "rows.jsonl", 90)
    add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    result, _ = run_round(project, Silence())
    assert result.decision in ("PROMOTE", "HOLD", "INCONCLUSIVE")
    assert {run.status for run in stage_runs(project.store)} == {"done"}
    assert (champion(project.store) is None) == (history(project.store) == [])
    assert not (project.store.root / "burnish.db").exists()
    project.store.db.engine.dispose()
