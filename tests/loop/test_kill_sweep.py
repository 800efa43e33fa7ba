"""Kill -9 at every failpoint of a round, then the same command again: the result is that of the undisturbed round."""

import re
from pathlib import Path

import pytest

from burnish.loop.past import results
from burnish.loop.project import create_project, open_project, settings_with
from burnish.loop.round import run_round
from burnish.registry import champion, models
from burnish.store import failpoints
from burnish.store.looks import looks
from burnish.store.roles import current_roles
from burnish.store.stage import stage_runs
from burnish.talk import Silence
from tests.child import KILLED, in_child
from tests.loop.conftest import PROMOTES, small_settings, write_rows
from tests.loop.test_approval import PLACES as APPROVING
from tests.loop.test_canary import PLACES as DEPLOYING
from tests.loop.test_exporting import PLACES as EXPORTING
from tests.loop.test_forget import PLACES as FORGETTING
from tests.loop.test_watching import PLACES as WATCHING
from tests.store.test_sweep import NAMES as SWEPT_IN_THE_STORE

SOURCE = Path(__file__).parent.parent.parent / "burnish"
NAMES = sorted({n for file in SOURCE.rglob("*.py") for n in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())})
NOT_IN_A_ROUND = {
    "store.folder",
    "backup",
    "restore",
    "barred",
    "forget",
    "audit",
    "teacher",
    "review",
    "users",
    "approval",
    "lock.looked",
    "traffic",
    "canary",
    "watch",
    "deliver",
    "export",
}
"""Beginnings of names that others cover: opening, backing up and restoring a database; judging a batch;
asking a teacher; people's decisions; users; what was served (tests/store/test_sweep.py); approving (test_approval.py);
canaries (test_canary.py); exporting (test_exporting.py); forgetting (test_forget.py); looking who works on a project; a
look of the monitor (test_watching.py)."""
IN_A_ROUND = {name for name in NAMES if not name.startswith(tuple(NOT_IN_A_ROUND))}
NUM_LIVES = 4
"""Projects among which the failpoints are dealt out."""


def live(folder: Path, base: Path) -> None:
    """Make a project, add data, run a round; every call may be given again."""
    from burnish.data.intake import add_files
    from burnish.store.batches import batches

    if not (folder / "burnish.yaml").exists():
        create_project(folder, settings_with(small_settings(base), PROMOTES))
    project = open_project(folder)
    rows = write_rows(folder / "rows.jsonl", 120)
    if not batches(project.store):
        add_files(project.store, project.settings, [rows], Silence(), skip_bad=False)
    run_round(project, Silence())


def state(folder: Path) -> dict[str, object]:
    """What a user has in the end."""
    project = open_project(folder)
    best = champion(project.store)
    return {
        "challenger": [(one.challenger, one.challenger_hash, one.decision, one.gain) for one in results(project)],
        "champion": best.name if best else None,
        "models": [version.name for version in models(project.store)],
        "roles": current_roles(project.store),
        "looks": [(look.attempt, look.vault_hash) for look in looks(project.store)],
        "sealed": [(run.stage, run.content_hash) for run in stage_runs(project.store)],
        "reports": sorted(path.name for path in (folder / ".burnish" / "rounds" / "001").iterdir()),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, small_base):
    """The state after a round that nothing disturbs, and the failpoints that it passes, in their order."""
    folder = tmp_path_factory.mktemp("undisturbed") / "desk"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(failpoints.VARIABLE, ",".join(f"{name}=sleep:0" for name in NAMES))
        failpoints.forget_hits()
        live(folder, small_base)
        passed = [name for _, name in failpoints._hits if name in IN_A_ROUND]
        failpoints.forget_hits()
    return state(folder), passed


def test_there_are_failpoints_in_every_part_that_writes():
    parts = {name.split(".")[0] for name in NAMES}
    assert {"artifact", "stage", "train", "round", "look", "promote", "register", "data"} <= parts, parts


def test_every_failpoint_of_the_source_is_swept():
    """A name not written out in its call would be missed; the few outside of a round have a sweep of their own."""
    calls = sum(len(re.findall(r"(?<!def )\bfailpoint\(", file.read_text())) for file in SOURCE.rglob("*.py"))
    named = sum(len(re.findall(r'failpoint\("[^"]+"\)', file.read_text())) for file in SOURCE.rglob("*.py"))
    assert calls == named
    swept = {*SWEPT_IN_THE_STORE, *FORGETTING, *APPROVING, *DEPLOYING, *EXPORTING, *WATCHING}
    assert {name for name in NAMES if name.startswith(tuple(NOT_IN_A_ROUND))} <= swept


def test_the_undisturbed_round_promotes_and_passes_every_failpoint_of_a_round(undisturbed):
    end, passed = undisturbed
    assert end["champion"] != "base"
    assert set(passed) == IN_A_ROUND


@pytest.mark.slow
@pytest.mark.parametrize("life", range(NUM_LIVES))
def test_a_round_that_is_killed_at_each_failpoint_in_turn_ends_as_the_undisturbed_one(
    life, undisturbed, small_base, tmp_path
):
    """In the order in which a round comes to them, so that none lies in what an earlier life has finished."""
    end, passed = undisturbed
    folder = tmp_path / "desk"
    for name in passed[life::NUM_LIVES]:
        assert in_child(lambda: live(folder, small_base), f"{name}=kill") == KILLED, f"{name} was not reached"
    assert in_child(lambda: live(folder, small_base)) == 0
    assert state(folder) == end


@pytest.mark.slow
def test_a_round_that_is_killed_again_and_again_ends_as_the_undisturbed_one(undisturbed, small_base, tmp_path):
    """Each life ends a few failpoints after the one before would have: every life must leave something behind."""
    folder = tmp_path / "desk"
    codes = []
    for limit in (20, 60, 90, 130, 170, 220, 270, 330):
        codes.append(in_child(lambda: live(folder, small_base), f"*=kill@{limit}"))
    assert codes[:3] == [KILLED] * 3
    assert set(codes) <= {KILLED, 0}
    assert in_child(lambda: live(folder, small_base)) == 0
    assert state(folder) == undisturbed[0]
