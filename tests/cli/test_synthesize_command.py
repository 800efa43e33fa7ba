"""The commands `synthesize` and `audit`: a plan first, then a batch, then a sheet that decides whether it trains."""

import csv
from pathlib import Path

from tests.cli.calls import burnish


def test_a_dry_run_shows_the_plan_and_rows_and_keeps_nothing(desk: Path):
    before = burnish("audit", "--project", desk, "--json").data["batches"]
    call = burnish("synthesize", "--project", desk, "--rows", "8", "--dry-run", "--json")
    assert call.code == 0
    assert call.data["dry_run"] is True
    assert sum(cell["count"] for cell in call.data["cells"]) == call.data["num_rows"] == 8
    assert all(row["move"] and row["text"] for row in call.data["examples"])
    told = burnish("synthesize", "--project", desk, "--rows", "8", "--dry-run")
    assert "8 rows in all (limited by rows)" in told.out
    assert "nothing was kept" in told.out
    assert burnish("audit", "--project", desk, "--json").data["batches"] == before


def test_a_batch_is_made_once_judged_by_a_sheet_and_then_listed_as_accepted(desk: Path, tmp_path: Path):
    made = burnish("synthesize", "--project", desk, "--rows", "8", "--json", "--quiet").data
    assert (made["state"], made["is_new"]) == ("waiting", True)
    again = burnish("synthesize", "--project", desk, "--rows", "8", "--json", "--quiet").data
    assert (again["batch"], again["is_new"]) == (made["batch"], False)
    sheet = tmp_path / "sheet.csv"
    written = burnish("audit", made["batch"], "--project", desk, "--sheet", sheet, "--json").data
    assert written == {"schema_version": 1, "batch": made["batch"], "sheet": str(sheet), "rows": made["num_kept"]}
    fill(desk, sheet)
    call = burnish("audit", made["batch"], "--project", desk, "--judged", sheet, "--by", "ann")
    assert call.code == 0
    assert f"{made['batch']}: accepted" in call.out
    listed = burnish("audit", "--project", desk, "--json").data["batches"]
    assert [one["status"] for one in listed if one["batch"] == made["batch"]] == ["accepted"]


def fill(desk: Path, sheet: Path) -> None:
    """Answers as the topic of each text says, which is how the project's own rows are labelled."""
    from burnish.data.dataset import load_made
    from burnish.loop.project import open_project

    answers = {row.id: row.answer for _, row in load_made(open_project(desk).store)}
    rows = list(csv.DictReader(sheet.read_text(encoding="utf-8-sig").splitlines()))
    with sheet.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, ["id", "text", "answer"])
        writer.writeheader()
        writer.writerows({**row, "answer": answers[row["id"]]} for row in rows)


def test_a_sheet_cannot_be_written_and_taken_in_one_call(desk: Path, tmp_path: Path):
    call = burnish("audit", "--project", desk, "--sheet", tmp_path / "a.csv", "--judged", tmp_path / "b.csv")
    assert call.code == 2
    assert "hint:" in call.err


def test_an_unknown_batch_is_named_with_those_that_are_there(desk: Path):
    call = burnish("audit", "no-such-batch", "--project", desk)
    assert call.code == 2
    assert "synthetic" in call.err
