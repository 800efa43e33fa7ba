"""The command `data forget`: what it prints, what it leaves out, and how it refuses."""

from pathlib import Path

from tests.cli.calls import burnish


def first_of_train(desk: Path) -> str:
    shown = burnish("data", "show", "--project", desk, "--role", "train", "--limit", "1", "--json")
    return str(shown.data["examples"][0]["id"])


def ids(desk: Path) -> set[str]:
    shown = burnish("data", "show", "--project", desk, "--limit", "1000", "--json").data["examples"]
    return {row["id"] for row in shown}


def test_a_dry_run_tells_rounds_models_and_plan_and_leaves_the_row_in_place(desk: Path):
    row = first_of_train(desk)
    call = burnish("data", "forget", row, "--project", desk, "--dry-run", "--json")
    assert call.code == 0
    assert call.data["schema_version"] == 1
    assert (call.data["example"], call.data["is_new"], call.data["dry_run"]) == (row, True, True)
    assert [trace["round"] for trace in call.data["rounds"]] == [1]
    assert [model["use"] for model in call.data["models"]] == ["learned"]
    assert call.data["plan"]
    assert row in ids(desk)


def test_a_forgotten_row_is_shown_no_more_and_a_second_call_says_so(desk: Path):
    row = first_of_train(desk)
    call = burnish("data", "forget", row, "--project", desk, "--reason", "asked in writing")
    assert call.code == 0
    assert f"{row} is barred since" in call.out
    assert "what to do" in call.out
    assert "sealed" in call.out
    assert row not in ids(desk)
    again = burnish("data", "forget", row, "--project", desk, "--json")
    assert (again.code, again.data["is_new"], again.data["reason"]) == (0, False, "asked in writing")


def test_the_next_round_is_a_new_one(desk: Path):
    burnish("data", "forget", first_of_train(desk), "--project", desk)
    call = burnish("round", "--project", desk, "--json", "--quiet")
    assert (call.data["round"], call.data["unchanged"]) == (2, False)


def test_an_unknown_id_is_a_usage_error_with_a_hint(desk: Path):
    call = burnish("data", "forget", "no-such-row", "--project", desk)
    assert call.code == 2
    assert "there is no example 'no-such-row'" in call.err
    assert "hint:" in call.err
