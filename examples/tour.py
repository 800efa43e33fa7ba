"""The whole wheel on the example help desk: serve, a new kind of inquiry, alarm, slice, people, round, canary.

    make tour

Every step is a command that is printed before it runs, against a real server with the real `openai` client. What is
simulated are people: users who ask, half of whom give a thumb, and an expert who answers the questions of the review,
also which of two versions answers better where users said nothing. The desk has never seen an appeal when the tour
begins; appeals come with the traffic. Nothing is arranged so that a step succeeds: what the gate, the monitor and the
canary say is printed as they say it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import openai

from burnish.config import Settings
from burnish.data.redact import redact
from burnish.fingerprint import fingerprint
from burnish.loop.project import create_project, settings_with

NEW_KIND = "appeal"
SEED_SHARE = 0.6
"""Of the groups of rows, in what the desk starts with; the others are asked by users."""
NEW_SHARE = 0.4
"""Of the later traffic."""
WINDOWS = 2
WINDOW = 200
SAID_SHARE = 0.5
"""Of the users, who give a thumb."""
QUESTIONS = 240
COMPARED = 60
"""Conversations that the expert compares after each round of them."""
MOST_CANARY = 8
"""Times that so many conversations are held before the canary is stopped by hand."""
CONVERSATIONS = 150
MAY_FAIL = (3, 4, 5, 6)
"""Exit codes that are results: the gate held, people have to act, the monitor raised an alarm, the gate cannot tell."""
OVER = (2,)
"""Exit code of what wants a canary when the server, which looks every minute, has just ended it."""
SETTINGS = {
    "project": "desk",
    "train.epochs": 8,
    "train.search": [1.0],
    "synthesize.rows": 0,
    "serve.traffic.keep": True,
    "canary.shares": [0.5],
    "watch.window": WINDOW,
}


class Message(NamedTuple):
    """What a user writes, and what would be right."""

    text: str
    label: str


class Users(NamedTuple):
    """Those who write while the canary runs."""

    usual: Sequence[Message]
    new: Sequence[Message]
    random: Random


class Desk(NamedTuple):
    """The project and how it is worked with."""

    folder: Path

    def burnish(self, *words: str, says: str = "", may_fail: Sequence[int] = MAY_FAIL) -> dict[str, Any]:
        """Runs a command, shown before, and gives what it tells; ends the tour where it fails otherwise."""
        print(f"\n{says}\n$ burnish {' '.join(words)}" if says else f"$ burnish {' '.join(words)}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "burnish.cli.main", *words, "--project", str(self.folder), "--json"],
            stdout=subprocess.PIPE,
            check=False,
            text=True,
        )
        if done.returncode and done.returncode not in may_fail:
            raise SystemExit(f"burnish {' '.join(words)} ended with {done.returncode}")
        lines = done.stdout.strip().splitlines()
        return {**(json.loads(lines[-1]) if lines else {}), "exit_code": done.returncode}

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of a running server."""
        print("\n$ burnish serve &", flush=True)
        command = [sys.executable, "-m", "burnish.cli.main", "serve", "--project", str(self.folder), "--port", "0"]
        with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                yield json.loads(server.stdout.readline())["url"]
            finally:
                server.terminate()


def main() -> None:
    """Runs the tour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("tour"))
    folder = parser.parse_args().dir
    if folder.exists():
        raise SystemExit(f"{folder} is there already: give another --dir, or remove it")
    began = time.monotonic()
    tour(Desk(folder), Random(0))
    print(f"\n{time.monotonic() - began:.0f} s. `burnish ui --project {folder}` shows all of it.")


def tour(desk: Desk, random: Random) -> None:
    """All steps."""
    rows = [json.loads(line) for line in example_file().read_text(encoding="utf-8").splitlines()]
    seeds, usual, new = portions(rows)
    begin(desk, seeds)
    half = len(new) // 2
    with desk.served() as url:
        ask(url, drawn(usual, (), WINDOWS * WINDOW, random), "usual messages", random)
        watch(desk, says="What users write may differ from the seeds already; the monitor says so or not.")
        desk.burnish("watch", "--accept", says="Somebody has read them: this is what is normal here.")
        ask(
            url,
            drawn(usual, new[:half], WINDOWS * WINDOW, random),
            f"messages, {NEW_SHARE:.0%} of them appeals",
            random,
        )
        watch(desk, says="Has anything changed?")
        accept_slices(desk)
        gold = {redact(one.text): one.label for one in (*usual, *new)}
        challenger = learn(desk, gold)
        try_out(desk, url, challenger, Users(usual, new[half:], random), gold)


def begin(desk: Desk, seeds: Sequence[Mapping[str, Any]]) -> None:
    """A project, its seeds and its first champion."""
    create_project(desk.folder, settings_with(Settings(), SETTINGS))
    file = desk.folder / "seeds.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in seeds), encoding="utf-8")
    desk.burnish("data", "add", str(file), says=f"{len(seeds)} seeds, not one {NEW_KIND} among them")
    first = desk.burnish("round")
    print(f"{first['decision']}: {first['reason']}")
    if first["decision"] != "PROMOTE":
        raise SystemExit("there is no champion to serve")


def watch(desk: Desk, *, says: str) -> None:
    """What the monitor says."""
    found = desk.burnish("watch", says=says)
    for alarm in found["alarms"]:
        print(f"  alarm, {alarm['reading']['signal']}: {alarm['reading']['what']}")
        print(f"  such as: {'; '.join(', '.join(cluster['terms']) for cluster in alarm['clusters'])}")
    if not found["alarms"]:
        print("  no alarm")


def accept_slices(desk: Desk) -> None:
    """A person accepts what the alarms suggest as slices."""
    for one in desk.burnish("slices", "list", says="What the alarms suggest as slices")["slices"]:
        print(
            f"  {one['name']}: texts with one of {', '.join(one['terms'])}, {one['share']['value']:.0%} of the window"
        )
        desk.burnish("slices", "accept", one["name"], "--by", "expert", "--reason", "users ask this now")


def learn(desk: Desk, gold: Mapping[str, str]) -> str:
    """People answer questions about what was served, and a round learns from it; the challenger's name.

    `gold` is right answers by texts as they are kept, without personal data.
    """
    desk.burnish("review", "plan", "--from-traffic", str(QUESTIONS), says="Served answers become questions to people.")
    expert_answers(desk, gold, QUESTIONS)
    second = desk.burnish("round", "--set", "approval.required=true", says="A round learns what they said.")
    print(f"{second['decision']}: {second['reason']}")
    return str(second["challenger"])


def expert_answers(desk: Desk, gold: Mapping[str, str], most: int) -> None:
    """The expert takes questions offline and brings answers back: the right label, or which of two is right."""
    sheet = desk.folder / "sheet.jsonl"
    desk.burnish("review", "export", str(sheet), "--by", "expert", "--count", str(most))
    asked = [json.loads(line) for line in sheet.read_text(encoding="utf-8").splitlines()]
    for row in asked:
        right = gold[row["text"].removeprefix("user: ")]
        if row["queue"] == "preference":
            better = (row["draft"] == right) - (row["other"] == right)
            row["decision"] = {1: "prefer-a", -1: "prefer-b", 0: "tie"}[better]
        else:
            row["answer"] = right
    sheet.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    print(f"  an expert answers {len(asked)} questions")
    if asked:
        desk.burnish("review", "import", str(sheet), "--by", "expert")


def try_out(desk: Desk, url: str, challenger: str, users: Users, gold: Mapping[str, str]) -> None:
    """The challenger proves itself on real conversations, or does not."""
    why = ("--by", "head of the desk", "--reason", "the vault has no appeals, users have", "--force")
    desk.burnish("deploy", challenger, "--canary", *why, says="Half of the conversations go to the challenger.")
    for _ in range(MOST_CANARY):
        ask(url, drawn(users.usual, users.new, CONVERSATIONS, users.random), "conversations", users.random)
        planned = desk.burnish("deploy", "ask", "--count", str(COMPARED), may_fail=OVER)
        if not planned["exit_code"]:
            expert_answers(desk, gold, COMPARED)
        done = desk.burnish("deploy", "step")
        if done["act"] != "kept":
            break
        if gain := done["gain"]:
            print(
                f"  gain so far {gain['value']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}], of 1 for a right answer"
            )
    else:
        why = ("--by", "head of the desk", "--reason", "nothing is proven either way")
        desk.burnish("deploy", "stop", *why, may_fail=OVER)
    ended = desk.burnish("deploy", "status")["canaries"][-1]
    print(f"  {ended['outcome']}: {ended['reason']}")
    for one in desk.burnish("slices", "list")["slices"]:
        known, later = ("is" if one["is_confirmed"] else "is not"), one["later"]
        print(f"  {one['name']} {known} proven to be more common than it was: {later['value']:.1%} of {later['n']}")
    status = desk.burnish("models")
    print(f"champion: {status['champion']}")


def ask(url: str, messages: Sequence[Message], what: str, random: Random) -> None:
    """Users ask; some of them say with a thumb whether the answer was right."""
    client = openai.OpenAI(base_url=url, api_key="none")
    right = 0
    for message in messages:
        said = client.chat.completions.create(
            model="desk",
            messages=[{"role": "user", "content": message.text}],
            extra_headers={"x-conversation-id": f"{random.getrandbits(64):x}"},
        )
        is_right = said.choices[0].message.content == message.label
        right += is_right
        if random.random() < SAID_SHARE:
            thumb = {"response_id": said.id, "thumb": "up" if is_right else "down"}
            client.post("/feedback", body=thumb, cast_to=object)
    print(f"  {len(messages)} {what}, {right / len(messages):.0%} answered right", flush=True)


def drawn(usual: Sequence[Message], new: Sequence[Message], count: int, random: Random) -> list[Message]:
    """So many messages, some of the new kind where there are any."""
    return [random.choice(new if new and random.random() < NEW_SHARE else usual) for _ in range(count)]


def portions(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[Message], list[Message]]:
    """Seeds, usual messages of users, and messages of the new kind; no group in two of them."""
    seeds: list[dict[str, Any]] = []
    usual: list[Message] = []
    new: list[Message] = []
    for row in rows:
        if row["intent"] == NEW_KIND:
            new.append(Message(row["text"], row["action"]))
        elif int(fingerprint(row["group"])[:8], 16) < SEED_SHARE * 2**32:
            seeds.append({"label": row["action"], **{name: row[name] for name in ("id", "text", "intent", "group")}})
        else:
            usual.append(Message(row["text"], row["action"]))
    return seeds, usual, new


def example_file() -> Path:
    """The example messages."""
    return Path(__file__).parent / "claims" / "claims.jsonl"


if __name__ == "__main__":
    main()
