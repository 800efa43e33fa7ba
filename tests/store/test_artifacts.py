"""An artifact is absent, or whole and verified; the same work has the same hash."""

import os
from pathlib import Path

import pytest

from burnish.errors import DamagedError, StorageError
from burnish.store.artifacts import Artifacts
from burnish.store.manifest import sealed_around, verify
from tests.heard import Heard

KEY = "0123456789abcdef" * 4


def fill(folder: Path) -> None:
    (folder / "adapter").mkdir()
    (folder / "adapter" / "weights").write_bytes(b"\x01\x02\x03\x04" * 8)
    (folder / "rows.jsonl").write_text('{"a": 1}\n')
    (folder / "scratch" / "checkpoint").write_text("half")


def sealed_in(root: Path, record=None, meta=None, stage="train"):
    artifacts = Artifacts(root)
    fill(artifacts.work_folder(stage, KEY))
    return artifacts.seal(stage, KEY, {"loss": 0.5} if record is None else record, meta)


def test_a_sealed_artifact_is_found_with_its_record_and_without_scratch(tmp_path):
    sealed = sealed_in(tmp_path, {"names": ("a", "b")}, {"host": "here"})
    found = Artifacts(tmp_path).find("train", KEY)
    assert found == sealed
    assert found.record == {"names": ["a", "b"]}
    assert found.meta == {"host": "here"}
    assert sorted(p.name for p in found.path.iterdir()) == ["adapter", "manifest.json", "rows.jsonl"]
    assert not any((tmp_path / "work").iterdir())


def test_the_content_hash_depends_on_files_and_record_and_on_nothing_else(tmp_path):
    first = sealed_in(tmp_path / "a", meta={"at": "now"})
    assert sealed_in(tmp_path / "b", meta={"at": "later"}, stage="again").content_hash == first.content_hash
    assert sealed_in(tmp_path / "c", record={"loss": 0.6}).content_hash != first.content_hash
    artifacts = Artifacts(tmp_path / "d")
    fill(artifacts.work_folder("train", KEY))
    (tmp_path / "d" / "work" / f"train-{KEY[:12]}" / "rows.jsonl").write_text('{"a": 2}\n')
    assert artifacts.seal("train", KEY, {"loss": 0.5}).content_hash != first.content_hash


def test_any_flipped_bit_in_any_file_is_detected(tmp_path):
    sealed = sealed_in(tmp_path)
    for path in [p for p in sealed.path.rglob("*") if p.is_file()]:
        whole = path.read_bytes()
        step = max(1, len(whole) // 40)
        for index in range(0, len(whole), step):
            path.write_bytes(whole[:index] + bytes([whole[index] ^ 1 << index % 8]) + whole[index + 1 :])
            with pytest.raises(DamagedError, match=r"manifest\.json|its bytes differ|weights|rows"):
                verify(sealed.path, key=KEY)
        path.write_bytes(whole)
    assert verify(sealed.path, key=KEY).content_hash == sealed.content_hash


@pytest.mark.parametrize("cut", [0, 1, 50])
def test_a_cut_manifest_is_detected(cut, tmp_path):
    manifest = sealed_in(tmp_path).path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:cut])
    with pytest.raises(DamagedError, match="unreadable"):
        verify(manifest.parent)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: (path / "rows.jsonl").unlink(), r"rows\.jsonl: missing"),
        (lambda path: (path / "more").write_text(""), "more: not in the manifest"),
        (lambda path: (path / "rows.jsonl").write_text(""), "0 bytes, sealed with 9"),
        (lambda path: (path / "manifest.json").unlink(), r"manifest\.json: missing"),
        (lambda path: (path / "link").symlink_to("/etc/passwd"), "link: not a plain file"),
    ],
)
def test_a_damaged_artifact_counts_as_absent_is_kept_aside_and_told(spoil, reason, tmp_path):
    spoil(sealed_in(tmp_path).path)
    listener = Heard()
    assert Artifacts(tmp_path).find("train", KEY, listener) is None
    (warning,) = listener.warned
    assert f"Moved to damaged/train-{KEY[:12]}-1" in warning
    with pytest.raises(DamagedError, match=reason):
        verify(tmp_path / "damaged" / f"train-{KEY[:12]}-1")
    assert sealed_in(tmp_path).path.is_dir()


def test_an_artifact_of_another_key_in_its_place_is_not_believed(tmp_path):
    sealed = sealed_in(tmp_path)
    with pytest.raises(DamagedError, match="it belongs to key"):
        verify(sealed.path, key=KEY[:12] + "f" * 52)


def test_a_manifest_of_a_later_format_is_not_called_damaged(tmp_path):
    from burnish.fingerprint import fingerprint

    body = {"format": 2}
    (tmp_path / "manifest.json").write_text(f'{{"format": 2, "seal": "{fingerprint(body)}"}}')
    with pytest.raises(StorageError, match="format 2") as caught:
        verify(tmp_path)
    assert not isinstance(caught.value, DamagedError)


def test_sealed_files_can_be_read_by_whom_the_umask_allows_even_if_their_writer_hid_them(tmp_path):
    old = os.umask(0o022)
    try:
        artifacts = Artifacts(tmp_path)
        folder = artifacts.work_folder("train", KEY)
        (folder / "inner").mkdir(mode=0o700)
        (folder / "inner" / "weights").write_bytes(b"1")
        (folder / "inner" / "weights").chmod(0o600)
        sealed = artifacts.seal("train", KEY, {})
    finally:
        os.umask(old)
    assert (sealed.path / "inner").stat().st_mode & 0o777 == 0o755
    assert (sealed.path / "inner" / "weights").stat().st_mode & 0o777 == 0o644


def test_a_record_that_is_not_plain_json_is_refused_before_anything_is_sealed(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        sealed_in(tmp_path, {"loss": float("nan")})
    assert Artifacts(tmp_path).find("train", KEY) is None


def test_the_artifact_around_an_adapter_folder_is_found_and_nothing_outside_counts(tmp_path):
    sealed = sealed_in(tmp_path)
    assert sealed_around(sealed.path / "adapter", tmp_path).path == sealed.path
    with pytest.raises(DamagedError, match="never sealed"):
        sealed_around(tmp_path / "work", tmp_path)


def test_what_a_killed_run_left_outside_scratch_does_not_slip_into_the_artifact(tmp_path):
    artifacts = Artifacts(tmp_path)
    fill(artifacts.work_folder("train", KEY))
    folder = artifacts.restart_work("train", KEY)
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("*")] == ["scratch", "scratch/checkpoint"]
