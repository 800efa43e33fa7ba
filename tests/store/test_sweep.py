"""A project's life, killed or refused the disk at every failpoint: the same commands then end in the same state."""

import re
from datetime import date
from pathlib import Path

import alembic.operations  # noqa: F401 - loaded before the forks, so that each child need not load it
import pytest

from burnish.budget import open_budget
from burnish.config import BudgetSettings
from burnish.records import Cost, ModelVersion
from burnish.registry import champion, history, promote, register
from burnish.store.audits import append_audit, audits
from burnish.store.backup import restore_backup
from burnish.store.barred import bar, barred
from burnish.store.batches import add_batch, batches
from burnish.store.chain import broken_entries, entries
from burnish.store.claims import Wish, claim_items, decide_item, undo_decision
from burnish.store.delivery import deliver, drafted
from burnish.store.deployments import Evidence, Plan, canaries, end_canary, ramp_canary, running_canary, start_canary
from burnish.store.looks import append_look, attempt_of, finish_look, looks
from burnish.store.manifest import verify
from burnish.store.outcomes import CanaryOutcome, add_outcomes, add_shadow, canary_outcomes, shadow_answers
from burnish.store.replies import Reply, keep_reply, newest_replies
from burnish.store.reviews import ReviewItem, add_items, review_log, withdraw_items
from burnish.store.roles import append_roles, current_roles
from burnish.store.stage import run_stage, stage_runs
from burnish.store.store import Store, open_store
from burnish.store.traffic import (
    Remark,
    Spoken,
    append_feedback,
    append_traffic,
    drop_expired,
    feedback_since,
    traffic_since,
)
from burnish.store.users import add_user, users
from tests.child import KILLED, in_child

SOURCE = Path(__file__).parent.parent.parent / "burnish"
FILES = [*(SOURCE / "store").rglob("*.py"), SOURCE / "budget.py", SOURCE / "registry.py"]
NAMES = sorted({name for file in FILES for name in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())})
REPLY = Reply(key="k", asked="m", model="m-1", text="fine", fault="", raw="{}", num_input=3, num_output=2, usd=0.01)


def live(project: Path) -> None:
    """Everything that writes, once; every command may be given again."""
    open_store(project, today=date(2026, 1, 1))
    store = open_store(project, today=date(2026, 1, 2))
    budget = open_budget(store, BudgetSettings())
    with budget.measured("data", Cost(seconds=1)):
        data = stage(store, "data", {})
    add_batch(store, name="seed", artifact=store.relative(data.path), content_hash=data.content_hash, num_rows=2)
    append_roles(store, {"a": "train", "b": "vault_1"}, "split")
    adapter = stage(store, "train", {"data": data.content_hash})
    register(store, version("round-1", store.relative(adapter.path / "inner")))
    attempt = attempt_of(store, "vault", "challenger")
    look = append_look(store, "vault", attempt, "challenger", 0.03)
    finish_look(store, look, "PROMOTE")
    promote(store, "round-1", "proven", "gate")
    bar(store, {"a": "seed"}, asked="a", reason="asked for")
    append_audit(store, "seed", {"status": "accepted"}, by="ann")
    keep_reply(store, REPLY)
    review(store)
    talk_with_users(store)
    try_out(store)
    if not users(store):
        add_user(store, "ann", "approver")
    store.holder()
    hand_over(project / "out")
    restore_backup(project)


def hand_over(place: Path) -> None:
    """A folder for others, then another in its place."""
    for key in ("first", "second"):
        with drafted(place, "export", force=False) as draft:
            (draft / "weights").write_text(key)
            deliver(draft, place, stage="export", key=key, record={})


def review(store: Store) -> None:
    """A reviewer decides, thinks again, and decides anew; what is left is withdrawn."""
    items = [
        ReviewItem(name=name, queue="correction", purpose="gold", example=name, role="train", messages=())
        for name in ("first", "second")
    ]
    add_items(store, items)
    claim_items(store, "ann", now_s=0.0, queues=("correction",))
    decide_item(store, "second", "ann", 1, Wish("accept"), now_s=1.0)
    undo_decision(store, "second", "ann", 1, now_s=2.0)
    decide_item(store, "second", "ann", 3, Wish("edit", "better"), now_s=3.0)
    withdraw_items(store, ["first"], "another model")


def talk_with_users(store: Store) -> None:
    """Two answers and what a user says of one; the other's time is over."""
    ends = {"one": "2999-01-01T00:00:00+00:00", "two": "2026-01-01T00:00:00+00:00"}
    append_traffic(store, [Spoken(response_id=name, at="", model="m", expires_at=end) for name, end in ends.items()])
    append_feedback(store, "one", [Remark("down"), Remark("text", "no")])
    drop_expired(store)


def try_out(store: Store) -> None:
    """A canary that starts, hears of two conversations, goes on a stage and ends."""
    if not canaries(store):
        names = {"challenger": "round-1", "against": "round-1", "by": "ann", "reason": "new"}
        start_canary(store, plan=Plan(mode="split", shares=(0.1, 0.5), alpha=0.05, least=1), **names)
    if (canary := running_canary(store)) is not None:
        add_outcomes(store, canary, [CanaryOutcome("x", True, 1.0, 1), CanaryOutcome("y", False, 0.0, 2)])
        add_shadow(store, canary, "one", "fine", "well")
        if canary.stage == 0:
            canary = ramp_canary(store, canary, Evidence(1, 0.5, 20.0), reason="better", by="burnish")
        end_canary(store, canary, "stopped", Evidence(2, 0.5, 20.0), reason="enough", by="ann")


def stage(store: Store, name: str, inputs: dict[str, str]):
    return run_stage(store, stage=name, version=1, settings={"rank": 2}, inputs=inputs, seed=0, work=work, libraries=())


def work(folder: Path) -> dict[str, object]:
    (folder / "scratch" / "checkpoint").write_text("half of the work")
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_bytes(bytes(range(256)))
    (folder / "rows.jsonl").write_text("{}\n")
    return {"num_rows": 2, "meta": {"host": "here"}}


def version(name: str, artifact: str) -> ModelVersion:
    return ModelVersion(
        name=name, round=1, adapter_hash="h", artifact=artifact, base="b", base_hash="b", template_hash="t"
    )


def state(project: Path) -> dict[str, object]:
    """What a user has in the end."""
    store = open_store(project, today=date(2026, 1, 2))
    best = champion(store)
    assert best is not None
    return {
        "artifacts": [(run.stage, run.status, run.content_hash) for run in stage_runs(store)],
        "batches": [(batch.name, batch.content_hash) for batch in batches(store)],
        "roles": current_roles(store),
        "looks": [(look.attempt, look.decision) for look in looks(store)],
        "champion": best.name,
        "barred": [(one.example, one.batch, one.reason) for one in barred(store)],
        "audits": [(entry.batch, entry.by) for entry in audits(store)],
        "replies": newest_replies(store, 9),
        "decisions": [(one.item, one.turn, one.kind, one.text) for one in review_log(store)],
        "traffic": [row.response_id for row in traffic_since(store)],
        "feedback": [(entry.response_id, entry.kind, entry.value) for entry in feedback_since(store)],
        "canaries": [
            (
                move.turn,
                move.kind,
                move.stage,
                move.outcome,
                canary_outcomes(store, canary),
                shadow_answers(store, canary, ["one"]),
            )
            for canary in canaries(store)
            for move in canary.moves
        ],
        "users": [(user.name, user.role) for user in users(store)],
        "log": ([(entry.seq, entry.subject) for entry in entries(store.db)], broken_entries(entries(store.db))),
        "moves": [(move.before, move.after) for move in history(store)],
        "files": sorted(path.relative_to(store.root).as_posix() for path in store.root.glob("artifacts/*/*/**/*")),
        "unsealed": list((store.root / "work").iterdir()),
        "handed over": (verify(project / "out").key, sorted(path.name for path in project.glob(".out*"))),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    project = tmp_path_factory.mktemp("undisturbed")
    live(project)
    return state(project)


def test_the_undisturbed_life_leaves_two_sealed_artifacts_and_nothing_unsealed(undisturbed):
    assert [(stage, status) for stage, status, _ in undisturbed["artifacts"]] == [("data", "done"), ("train", "done")]
    assert undisturbed["champion"] == "round-1"
    assert undisturbed["looks"] == [(1, "PROMOTE")]
    assert undisturbed["unsealed"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_at_any_failpoint_is_mended_by_the_same_commands(name, tmp_path, undisturbed):
    assert in_child(lambda: live(tmp_path), f"{name}=kill") == KILLED, f"{name} was never reached"
    live(tmp_path)
    assert state(tmp_path) == undisturbed


def seal_and_look(project: Path) -> tuple[str, list[str | None]]:
    """One stage and one look, from an empty folder."""
    store = open_store(project, today=date(2026, 1, 1))
    sealed = stage(store, "data", {})
    finish_look(store, append_look(store, "vault", 1, "challenger", 0.03), "HOLD")
    return sealed.content_hash, [look.decision for look in looks(store)]


def test_no_space_at_the_nth_operation_stops_with_exit_73_and_is_mended_for_every_n(tmp_path, undisturbed):
    expected = (undisturbed["artifacts"][0][2], ["HOLD"])
    for n in range(1, 100):
        project = tmp_path / str(n)
        project.mkdir()
        code = in_child(lambda project=project: seal_and_look(project), f"*=enospc@{n}")
        if code == 0:
            assert n > 20, "the failpoints are gone"
            return
        assert code == 73, f"operation {n} ended with {code}"
        assert seal_and_look(project) == expected, f"operation {n}"
    pytest.fail("the life never ended")
