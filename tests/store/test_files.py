"""Files are whole or absent, and no name leaves its folder."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from burnish.errors import AccessError, StorageError, UsageError
from burnish.store.artifacts import Artifacts
from burnish.store.files import require_space, safe_join, safe_name, write_atomic
from tests.child import in_child
from tests.disk import small_disk

ROOT = Path("/project")


@pytest.mark.parametrize("name", ["a", "claims-2", "round_1.b", "0", "x" * 64])
def test_plain_names_are_taken_as_they_are(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "/etc",
            "%2e%2e",
            "a/b",
            "a\\b",
            "a\0",
            "~",
            "con",
            "nul.txt",
            "com1",
            "x" * 65,
            "-a",
            "A",
            "é",
        ),
        *("e\u0301", "a ", "a\n", "a.", ".hidden", "\u202ea", "aux.tar.gz", "C:"),
    ],
)
def test_names_that_could_leave_the_folder_or_have_a_twin_are_refused(name):
    with pytest.raises(UsageError, match="cannot be used as a name"):
        safe_name(name)


@given(st.text(max_size=80))
@example("..")
@example("a\n")
def test_any_text_is_refused_or_names_a_direct_child_that_any_file_system_can_hold(text):
    try:
        path = safe_join(ROOT, text)
    except UsageError:
        return
    assert path.parent == ROOT
    assert path.name == text == text.lower()
    assert text.isascii()


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="leads out of"):
        safe_join(tmp_path / "root", "link", "burnish")


def test_writing_replaces_the_whole_file_and_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"one")
        write_atomic(tmp_path / "a", b"two")
    finally:
        os.umask(old)
    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["file.write", "file.fsync", "file.rename"])
@pytest.mark.parametrize("fault", ["enospc", "eio"])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(name, fault, tmp_path, monkeypatch):
    write_atomic(tmp_path / "a", b"old")
    monkeypatch.setenv("BURNISH_FAILPOINTS", f"{name}={fault}")
    with pytest.raises(StorageError):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_told_with_free_and_needed_space(tmp_path, monkeypatch):
    monkeypatch.setenv("BURNISH_FAILPOINTS", "file.write=enospc")
    with pytest.raises(StorageError, match=r"no space left .* while writing a: .*B free, 5\.0 MB needed"):
        write_atomic(tmp_path / "a", bytes(5_000_000))


def test_a_folder_without_permission_is_told_as_such():
    closed = Path(tempfile.mkdtemp())  # Not tmp_path: another user could not reach it.
    closed.chmod(0o555)

    def write() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        write_atomic(closed / "a", b"")

    assert in_child(write) == AccessError.exit_code
    closed.rmdir()


def test_a_disk_that_fills_while_sealing_gives_a_storage_error_and_keeps_what_was_sealed(tmp_path):
    with small_disk(tmp_path / "disk", 1000) as disk:
        artifacts = Artifacts(disk)
        (artifacts.work_folder("small", "a" * 64) / "x").write_bytes(bytes(100_000))
        artifacts.seal("small", "a" * 64, {})
        folder = artifacts.work_folder("large", "b" * 64)
        with pytest.raises(StorageError, match="no space left"):
            write_atomic(folder / "y", bytes(2_000_000))
        rest = shutil.disk_usage(disk).free
        (folder / "y").write_bytes(bytes(rest - 4096))
        with pytest.raises(StorageError, match="no space left"):
            artifacts.seal("large", "b" * 64, {"n": "x" * 100_000})
        assert artifacts.find("large", "b" * 64) is None
        assert artifacts.find("small", "a" * 64) is not None


def test_space_that_is_not_there_is_told_before_the_work_and_what_is_written_already_counts(tmp_path):  # P4
    free = shutil.disk_usage(tmp_path).free
    require_space(tmp_path / "not" / "there" / "yet", 1000, "training")
    with pytest.raises(StorageError, match=r"training needs about \d.* on the disk of .*: .* free") as caught:
        require_space(tmp_path / "not" / "there" / "yet", 1000 * free, "training")
    assert caught.value.exit_code == 73
    with small_disk(tmp_path / "disk", 100) as disk:
        (disk / "checkpoint").write_bytes(bytes(60_000))
        with pytest.raises(StorageError):
            require_space(disk, 110_000, "training")
        require_space(disk, 90_000, "training")
