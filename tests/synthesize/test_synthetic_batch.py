"""A batch on disk comes back as it was, byte for byte the same each time, and nothing without its origin gets in."""

from dataclasses import replace

import pytest

from burnish.errors import DamagedError, DataError
from burnish.records import Cell, Example, Message, Provenance
from burnish.synthesize.batch import BatchReport, read_batch, write_batch
from burnish.synthesize.guards import Drop

REPORT = BatchReport(
    batch="round-2",
    num_made=4,
    num_kept=3,
    by_reason={"near-duplicate": 1},
    cells=(Cell(purpose="weakness", count=4, answer="pay", terms=("late",)),),
    usd=0.25,
)
DROPS = [Drop("s3", "near-duplicate")]


def row(name):
    turns = (Message(role="user", content=f"naïve {name} ✓"), Message(role="assistant", content="pay"))
    return Example(id=name, messages=turns, group="g", slices={"state": "ohio", "provenance": "human"})


def origin(name, *parents):
    return Provenance(example=name, move="noise", generator="", parents=parents)


ROWS = [row(f"s{at}") for at in range(3)]
ORIGINS = [origin(f"s{at}", f"seed{at}") for at in range(3)]


def test_a_batch_comes_back_marked_with_its_name(tmp_path):
    told = write_batch(tmp_path, ROWS, ORIGINS, REPORT, DROPS)
    assert told == {"batch": "round-2", "num_rows": 3, "num_rejects": 1, "by_reason": {"near-duplicate": 1}}
    back = read_batch(tmp_path)
    assert [one.messages for one in back.rows] == [one.messages for one in ROWS]
    assert all(one.slices == {"state": "ohio", "provenance": "synthetic", "batch": "round-2"} for one in back.rows)
    assert (back.provenance, back.report) == (tuple(ORIGINS), REPORT)


def test_the_same_batch_is_the_same_bytes(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_batch(folder, ROWS, ORIGINS, REPORT, DROPS)
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]
    assert set(files[0]) == {"rows.jsonl", "rejects.jsonl", "provenance.jsonl", "report.json"}


@pytest.mark.parametrize(
    ("rows", "origins", "fault"),
    [
        (ROWS[:2], ORIGINS, "rows and provenance differ"),
        (ROWS, [*ORIGINS[:2], origin("s2")], "a row has no parent"),
        (ROWS, [*ORIGINS[:2], origin("s2", "s0")], "a synthetic row is a parent"),
        ([*ROWS, ROWS[0]], [*ORIGINS, ORIGINS[0]], "two rows have one id"),
        (ROWS[:2], ORIGINS[:2], "the counts do not add up"),
        (
            [*ROWS[:2], replace(ROWS[2], messages=(Message(role="user", content="\ud800"),))],
            ORIGINS,
            "half a character",
        ),
    ],
)
def test_a_batch_that_does_not_hold_together_is_not_written(tmp_path, rows, origins, fault):
    with pytest.raises(DataError, match=fault):
        write_batch(tmp_path, rows, origins, REPORT, DROPS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rows.jsonl", "provenance.jsonl", "report.json"])
def test_a_missing_or_cut_file_is_named_damage(tmp_path, name):
    write_batch(tmp_path, ROWS, ORIGINS, REPORT, DROPS)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match=r"synthetic batch|do not belong together"):
        read_batch(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DamagedError, match="is no synthetic batch"):
        read_batch(tmp_path)
