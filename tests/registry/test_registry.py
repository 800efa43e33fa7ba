"""Models are written once; the champion is one pointer whose every move is kept."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from burnish.errors import DamagedError, StorageError, UsageError
from burnish.records import Interval, ModelVersion
from burnish.registry import champion, folder_of, get, history, models, promote, register, rollback
from burnish.store.stage import run_stage
from burnish.store.store import open_store
from tests.child import KILLED, in_child


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def made(store, name: str, **more) -> ModelVersion:
    """A version with an adapter folder inside a sealed artifact."""

    def work(folder):
        (folder / "slot-0").mkdir()
        (folder / "slot-0" / "adapter_model.safetensors").write_text(name)
        return {}

    sealed = run_stage(store, stage="train", version=1, settings=name, inputs={}, seed=0, work=work, libraries=())
    return ModelVersion(
        name=name,
        round=1,
        adapter_hash="hash of " + name,
        artifact=store.relative(sealed.path / "slot-0"),
        base="builtin:english-10m",
        base_hash="b",
        template_hash="t",
        parents=("base",),
        data={"seed": "d"},
        scores={"accuracy": Interval(value=0.5, low=0.4, high=None, n=10)},
        **more,
    )


def test_a_registered_version_comes_back_as_it_was(store):
    version = made(store, "round-1", created_at="2026-01-01T00:00:00+00:00")
    assert register(store, version) == version
    assert get(store, "round-1") == version
    assert models(store) == [version]
    assert folder_of(store, version) == store.root / version.artifact


def test_a_version_gets_its_time_and_the_same_again_changes_nothing(store):
    first = register(store, made(store, "round-1"))
    assert first.created_at
    assert register(store, made(store, "round-1")) == first
    assert models(store) == [first]


def test_a_name_is_never_given_to_another_version(store):
    register(store, made(store, "round-1"))
    with pytest.raises(UsageError, match="there is another model round-1"):
        register(store, replace(made(store, "round-1"), adapter_hash="other"))


@pytest.mark.parametrize("name", ["../x", "Round", "", "champion", "base"])
def test_names_that_are_unsafe_or_mean_something_else_are_refused(name, store):
    with pytest.raises(UsageError):
        register(store, replace(made(store, "round-1"), name=name))


def test_the_untuned_base_can_be_registered_without_an_adapter(store):
    base = register(store, replace(made(store, "x"), name="base", artifact=""))
    assert folder_of(store, base) is None
    assert promote(store, "base", "start", "user") == base


def test_an_adapter_that_was_never_sealed_or_was_changed_is_not_registered_or_promoted(store):
    (store.root / "work" / "adapter").mkdir()
    with pytest.raises(DamagedError, match="never sealed"):
        register(store, replace(made(store, "round-1"), artifact="work/adapter"))
    with pytest.raises(StorageError, match="outside"):
        register(store, replace(made(store, "round-1"), artifact="../.."))
    version = register(store, made(store, "round-1"))
    (store.root / version.artifact / "adapter_model.safetensors").write_text("round-2")
    for act in (lambda: promote(store, "round-1", "proven", "gate"), lambda: folder_of(store, version)):
        with pytest.raises(DamagedError, match="its bytes differ"):
            act()
    assert champion(store) is None


def test_an_unknown_name_is_answered_with_near_ones(store):
    with pytest.raises(UsageError, match="there is no model 'round-1'") as caught:
        get(store, "round-1")
    assert "burnish round" in caught.value.hint
    for name in ("round-1", "round-2", "other"):
        register(store, made(store, name))
    with pytest.raises(UsageError) as caught:
        get(store, "rnd-1")
    assert caught.value.hint.startswith("did you mean round-1")
    with pytest.raises(UsageError, match="no champion yet"):
        get(store, "champion")


def test_promotion_and_rollback_move_the_pointer_and_keep_every_move(store):
    for name in ("a", "b", "c"):
        register(store, made(store, name))
        promote(store, name, f"{name} is better", "gate")
    assert promote(store, "c", "again", "user") == get(store, "champion")
    assert rollback(store, "c was wrong").name == "b"
    assert rollback(store, "b too").name == "a"
    assert champion(store).name == "a"
    promote(store, "c", "mended", "user")
    assert rollback(store, "no").name == "a"
    moves = [(move.before, move.after, move.kind, move.by) for move in history(store)]
    assert moves == [
        ("", "a", "promote", "gate"),
        ("a", "b", "promote", "gate"),
        ("b", "c", "promote", "gate"),
        ("c", "b", "rollback", "user"),
        ("b", "a", "rollback", "user"),
        ("a", "c", "promote", "user"),
        ("c", "a", "rollback", "user"),
    ]
    assert history(store)[3].reason == "c was wrong"


def test_there_is_nothing_to_roll_back_to_before_the_second_champion(store):
    with pytest.raises(UsageError, match="no earlier champion"):
        rollback(store, "x")
    register(store, made(store, "a"))
    promote(store, "a", "first", "gate")
    with pytest.raises(UsageError, match="no earlier champion"):
        rollback(store, "x")


def test_a_move_without_a_reason_is_refused(store):
    for name in ("a", "b"):
        register(store, made(store, name))
    with pytest.raises(UsageError, match="a promote needs a reason"):
        promote(store, "a", " ", "user")
    promote(store, "a", "first", "gate")
    promote(store, "b", "better", "gate")
    with pytest.raises(UsageError, match="a rollback needs a reason"):
        rollback(store, "")
    assert champion(store).name == "b"


@pytest.mark.parametrize(
    ("point", "name"), [("promote.history", "a"), ("promote.pointer", "a"), ("db.commit", "a"), ("db.committed", "b")]
)
def test_a_kill_while_promoting_leaves_the_old_champion_or_the_new_one_with_its_history(point, name, store):
    for each in ("a", "b"):
        register(store, made(store, each))
    promote(store, "a", "first", "gate")
    assert in_child(lambda: promote(store, "b", "better", "gate"), f"{point}=kill") == KILLED
    assert champion(store).name == name
    assert history(store)[-1].after == name


def test_a_record_in_the_database_cannot_be_rewritten(store):
    register(store, made(store, "a"))
    with pytest.raises(StorageError, match="model_version is append-only"), store.db.write() as connection:
        connection.execute(text("UPDATE model_version SET record = :record"), {"record": json.dumps({})})
