"""One process works on a project; the others are told who it is; a dead holder blocks nobody."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from burnish.errors import BusyError
from burnish.store.lock import NETWORK_FILE_SYSTEMS, Holder, exclusive, file_system_of
from burnish.store.store import open_store
from tests.child import BUG, KILLED, end_of, in_child, start_child


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def hold(store, signal_path, seconds=20.0):
    with store.lock():
        signal_path.write_text("held")
        time.sleep(seconds)


@pytest.fixture
def holding_child(store, tmp_path):
    """A child that holds the project until it is killed."""
    pid = start_child(lambda: hold(store, tmp_path / "held"))
    while not (tmp_path / "held").exists():
        time.sleep(0.005)
    yield pid
    os.kill(pid, signal.SIGKILL)
    assert end_of(pid) == KILLED


def test_a_second_process_is_told_host_pid_start_and_command_of_the_holder(store, holding_child):
    with pytest.raises(BusyError) as caught, store.lock():
        pytest.fail("two processes hold the project")
    assert caught.value.exit_code == 75
    assert re.search(rf"process {holding_child} on {os.uname().nodename} since 20\d\d-.*\+00:00: .+", str(caught.value))
    holder = store.holder()
    assert holder is not None
    assert holder.pid == holding_child


def test_who_only_looks_takes_nothing_and_keeps_nobody_out(store, tmp_path):
    with store.lock():
        pass
    pid = start_child(store.holder, "lock.looked=sleep:60")
    try:
        opened = Path(f"/proc/{pid}/fd")
        while not any(os.path.realpath(fd) == str(store.root / "lock") for fd in opened.iterdir()):
            time.sleep(0.005)
        with store.lock():
            assert store.holder().pid == os.getpid()
            assert in_child(lambda: check(store.holder().pid == os.getppid())) == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        assert end_of(pid) == KILLED


def check(is_so: bool) -> None:
    assert is_so


def test_the_lock_of_a_killed_process_is_free_at_once(store, tmp_path):
    assert in_child(lambda: hold(store, tmp_path / "held"), "lock.taken=kill") == KILLED
    assert (store.root / "lock").stat().st_size > 0
    assert store.holder() is None
    with store.lock():
        assert store.holder().pid == os.getpid()
    assert store.holder() is None


def test_a_lock_file_that_names_a_living_process_but_is_not_locked_is_stale(store):
    (store.root / "lock").write_text(f'{{"host": "here", "pid": {os.getpid()}}}')
    with store.lock():
        assert isinstance(store.holder(), Holder)


def test_a_process_may_enter_its_own_lock_again(store):
    with store.lock(), store.lock():
        assert in_child(lambda: store.lock().__enter__()) == BusyError.exit_code
    assert in_child(lambda: store.lock().__enter__()) == 0


def test_two_stores_of_one_process_on_one_project_share_the_lock(store):
    with store.lock(), open_store(store.project).lock():
        assert store.holder() is not None


def test_a_lock_that_fails_to_be_taken_is_not_held(store, monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "lock.taken=eio")
    with pytest.raises(Exception, match="taking the lock failed"), store.lock():
        pytest.fail("held")
    assert store.holder() is None


def test_waiting_for_a_moment_ends_with_a_busy_error(tmp_path):
    with exclusive(tmp_path / "x", timeout_s=1), pytest.raises(BusyError), exclusive(tmp_path / "x", timeout_s=0.05):
        pytest.fail("both hold it")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/me/p", "nfs4"), ("/home/menu", "ext4"), ("/mnt/a b/p", "cifs"), ("/x", "ext4"), ("/home/me", "nfs4")],
)
def test_the_file_system_of_a_folder_is_the_one_of_the_longest_mount_point(folder, kind, tmp_path):
    mounts = "dev / ext4 rw 0 0\nhost:/me /home/me nfs4 rw 0 0\n//s/a /mnt/a\\040b cifs rw 0 0\nbad line"
    assert file_system_of(Path(folder), mounts) == kind
    assert (kind in NETWORK_FILE_SYSTEMS) == (kind != "ext4")
    assert file_system_of(tmp_path) != ""


def test_a_child_that_breaks_is_not_taken_for_one_that_works():
    assert in_child(lambda: 1 / 0) == BUG
