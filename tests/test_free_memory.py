"""Free memory is what the narrowest container around the process leaves, read from files as the kernel writes them."""

from pathlib import Path

from burnish.free_memory import free_memory, group_bounds


def group(folder: Path, **files: str) -> None:
    """A control group with these files; the dots of their names are written as two underscores."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_every_group_around_the_process_bounds_it(tmp_path: Path) -> None:
    stat = "anon 100\ninactive_file 40\n"
    group(tmp_path / "pod" / "box", memory__max="1000\n", memory__current="300\n", memory__stat=stat)
    group(tmp_path / "pod", memory__max="900\n", memory__current="800\n", memory__stat=stat)
    (tmp_path / "self").write_text("0::/pod/box\n")
    assert list(group_bounds(tmp_path, tmp_path / "self")) == [740, 140]


def test_version_one_has_other_names_and_a_folder_of_its_own(tmp_path: Path) -> None:
    files = {
        "memory__limit_in_bytes": "500",
        "memory__usage_in_bytes": "450",
        "memory__stat": "total_inactive_file 25\n",
    }
    group(tmp_path / "memory" / "box", **files)
    (tmp_path / "self").write_text("9:pids:/box\n4:memory:/box\n0::/\n")
    assert list(group_bounds(tmp_path, tmp_path / "self")) == [75]


def test_no_limit_and_no_groups_bound_nothing(tmp_path: Path) -> None:
    group(tmp_path / "box", memory__max="max\n", memory__current="300\n", memory__stat="anon 1\n")
    (tmp_path / "self").write_text("0::/box\n")
    assert list(group_bounds(tmp_path, tmp_path / "self")) == []
    assert list(group_bounds(tmp_path, tmp_path / "missing")) == []


def test_a_group_may_have_any_name(tmp_path: Path) -> None:
    group(tmp_path / "bücher", memory__max="100", memory__current="30", memory__stat="anon 1\n")
    (tmp_path / "self").write_bytes("0::/bücher\n".encode())
    assert list(group_bounds(tmp_path, tmp_path / "self")) == [70]


def test_a_group_that_is_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    group(tmp_path, memory__max="100", memory__current="300", memory__stat="anon 1\n")
    (tmp_path / "self").write_text("0::/\n")
    assert list(group_bounds(tmp_path, tmp_path / "self")) == [0]


def test_this_process_can_get_some_memory() -> None:
    assert free_memory() > 2**20
