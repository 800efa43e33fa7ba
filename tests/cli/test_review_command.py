"""The command `review`: a plan, a sheet that goes out and comes back, and where people stand."""

import csv
from pathlib import Path

from burnish.loop.project import open_project
from burnish.loop.seeds import gather
from burnish.records import Message
from burnish.store.claims import Wish, decide_item
from burnish.store.reviews import ReviewItem, add_items
from tests.cli.calls import burnish


def test_a_sheet_goes_out_is_filled_in_and_comes_back_once(desk: Path, tmp_path: Path):
    planned = burnish("review", "plan", "--project", desk, "--count", "30", "--json").data
    assert planned["num_new"] == planned["num_items"] == sum(planned["by_purpose"].values())
    assert burnish("review", "plan", "--project", desk, "--count", "30", "--json").data["num_new"] == 0
    sheet = tmp_path / "sheet.csv"
    written = burnish("review", "export", sheet, "--by", "ann", "--count", "4", "--project", desk, "--json").data
    assert written == {"schema_version": 1, "sheet": str(sheet), "rows": 4, "reviewer": "ann"}
    with sheet.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row["answer" if row["queue"] == "blind" else "decision"] = "login" if row["queue"] == "blind" else "accept"
    write(sheet, rows)
    words = ("review", "import", sheet, "--by", "ann", "--project", desk)
    assert burnish(*words, "--json").data == {
        "schema_version": 1,
        "num_new": 4,
        "num_known": 0,
        "refused": [],
        "audits": [],
    }
    assert burnish(*words, "--json").data["num_known"] == 4
    rows[0]["decision"] = "skip"
    write(sheet, rows)
    call = burnish(*words)
    assert call.code == 65
    assert "line 2 was not taken: ann has decided" in call.err
    status = burnish("review", "status", "--project", desk, "--json").data
    assert sum(one["num_waiting"] for one in status["queues"]) > 0
    assert "people have spent 0.0 minutes" in burnish("review", "status", "--project", desk).out


def test_a_correction_is_shown_beside_the_file_and_the_next_round_waits_for_people(desk: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    project = open_project(desk)
    row = gather(project).of("train")[0]
    right = "appeal" if row.answer != "appeal" else "login"
    item = ReviewItem(
        name="a",
        queue="correction",
        purpose="gold",
        example=row.id,
        role="train",
        messages=row.prompt,
        draft=row.answer,
        given=row.answer,
    )
    add_items(project.store, [item])
    decide_item(project.store, "a", "ann", 1, Wish("edit", right), now_s=0.0)
    words = ("data", "show", "--project", desk, "--role", "train", "--limit", "100")
    (shown,) = [one for one in burnish(*words, "--json").data["examples"] if one["on_file"]]
    assert (shown["id"], shown["answer"], shown["on_file"]) == (row.id, right, row.answer)
    assert f"{right} (on file: {row.answer})" in burnish(*words).out
    call = burnish("round", "--project", desk, "--set", "review.per_round=5", "--quiet", "--json")
    assert (call.code, call.out) == (4, "")
    assert "round 2 is waiting for" in call.err
    assert "burnish review export" in call.err


def write(sheet: Path, rows: list[dict[str, str]]) -> None:
    with sheet.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_agreement_is_told_from_the_log(desk: Path, tmp_path: Path):
    assert burnish("review", "agreement", "--project", desk).out == "nobody has decided anything yet\n"
    prompt = (Message(role="user", content="where is my money"),)
    fields = {"queue": "blind", "purpose": "gold", "role": "dev_a", "messages": prompt, "wanted": 2}
    items = [ReviewItem(name=f"i{at}", example=f"row{at}", **fields) for at in range(6)]
    add_items(open_project(desk).store, items)
    for person, answers in (("ann", ("login", "appeal")), ("bob", ("login", "login"))):
        sheet = tmp_path / f"{person}.csv"
        burnish("review", "export", sheet, "--by", person, "--count", "6", "--project", desk)
        with sheet.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
        write(sheet, [{**row, "answer": answers[int(row["item"][1:]) % 2]} for row in rows])
        burnish("review", "import", sheet, "--by", person, "--project", desk)
    (found,) = burnish("review", "agreement", "--project", desk, "--json").data["queues"]
    assert (found["queue"], found["num_doubled"], found["kappa_of"]) == ("blind", 6, "cohen")
    assert {one["reviewer"] for one in found["reviewers"]} == {"ann", "bob"}
    assert len(found["conflicts"]) == 3
    shown = burnish("review", "agreement", "--project", desk).out
    assert "blind labels" in shown
    assert "ann, blind labels: gives the likely answer in" in shown
