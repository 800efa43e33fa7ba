"""The commands users, approve and verify: what they print, and the exit codes that scripts rely on."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.calls import burnish
from tests.cli.golden import check, shape


def pin(name: str, data: dict[str, object]) -> None:
    check(f"json/{name}.json", json.dumps(shape(data), indent=1) + "\n")


def test_a_user_is_added_with_a_token_that_is_shown_once_listed_and_removed(desk: Path):
    added = burnish("users", "add", "Ann  Lee", "--role", "approver", "--project", desk, "--json").data
    pin("users-add", added)
    assert (added["name"], len(added["token"]) >= 43) == ("Ann Lee", True)
    listed = burnish("users", "list", "--project", desk, "--json")
    pin("users-list", listed.data)
    assert added["token"] not in listed.out
    assert "Ann Lee" in burnish("users", "list", "--project", desk).out
    for words, told in (
        (("add", "ann lee", "--role", "reviewer"), "there is a user Ann Lee already"),
        (("add", "bob", "--role", "king"), "reviewer, engineer, approver"),
        (("add", "\u202e", "--role", "reviewer"), "is no name"),
        (("remove", "bob"), "there are: Ann Lee"),
    ):
        call = burnish("users", *words, "--project", desk)
        assert (call.code, told in call.err) == (2, True), call.err
    call = burnish("users", "add", "bob", "--role", "reviewer", "--project", desk)
    assert (call.code, len(call.out.strip()) >= 43) == (0, True)
    assert call.out.strip() not in call.err
    assert burnish("users", "remove", "bob", "--project", desk).out == "removed: bob, reviewer\n"
    assert burnish("users", "remove", "Ann Lee", "--project", desk, "--json").data["role"] == "approver"
    assert burnish("users", "list", "--project", desk, "--json").data["users"] == []


def test_the_log_of_a_promoted_round_holds_and_a_changed_one_ends_with_73(promoted, tmp_path: Path):
    folder = Path(shutil.copytree(promoted[0], tmp_path / "desk"))
    call = burnish("verify", "--project", folder, "--json")
    assert (call.code, call.data["breaks"], call.data["num_entries"]) == (0, [], 4)
    assert burnish("verify", "--project", folder, "--head", call.data["head"]).code == 0
    assert burnish("verify", "--project", folder, "--head", "0" * 64).code == 73
    with closing(sqlite3.connect(folder / ".burnish" / "burnish.db")) as connection:
        connection.execute("DROP TRIGGER chain_entry_refuses_update")
        connection.execute("UPDATE chain_entry SET record = replace(record, 'PROMOTE', 'HOLD') WHERE seq = 3")
        connection.commit()
    broken = burnish("verify", "--project", folder, "--json")
    pin("verify", broken.data)
    assert (broken.code, broken.data["breaks"][0]["entry"]) == (73, 3)
    assert "entry 3 (round 1 verdict) differs from what was sealed" in burnish("verify", "--project", folder).out


def test_what_does_not_wait_cannot_be_approved_and_says_so(promoted):
    call = burnish("approve", "1", "--by", "ann", "--reason", "x", "--project", promoted[0], "--json")
    assert (call.code, call.out) == (2, "")
    assert "round 1 does not wait for an approval: the gate said PROMOTE" in call.err
