"""The command that looks after endpoints: teacher."""

from typing import Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, opened, working
from burnish.cli.terminal import print_json, print_table, print_text


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command("teacher")(show_teacher)


def show_teacher(
    project: ProjectOption = HERE,
    allow: Annotated[
        bool, typer.Option("--allow", help="Let rows and key of projects go to these endpoints, from now on.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Ask one real question, which costs a little.")] = False,
    replies: Annotated[int, typer.Option(min=0, help="Show so many of the newest replies as they came.")] = 0,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show teacher, verifier and judge: where they are, whether they may be used, what they cost so far."""
    from burnish.loop.endpoints import allow_all, newest, spent, standings, try_endpoints
    from burnish.records import as_json as data_of

    place = opened(project, changes)
    if allow:
        allow_all(place)
    found = standings(place)
    trials = []
    if check:
        with working(quiet=quiet) as (talk, _):
            trials = try_endpoints(place, talk)
    data: dict[str, Any] = {
        "endpoints": [data_of(one) for one in found],
        "spent": spent(place),
        "trials": [data_of(one) for one in trials],
        "replies": newest(place, replies),
    }
    if as_json:
        print_json({"schema_version": 1, **data})
        return
    _tell(data)


def _tell(data: dict[str, Any]) -> None:
    rows: list[list[object]] = [
        [one["name"], one["host"], one["model"], _key(one), _yes(one["is_allowed"]), _yes(one["is_priced"])]
        for one in data["endpoints"]
    ]
    print_table("", ["", "host", "model", "key", "allowed", "priced"], rows)
    print_text(f"spent so far: {data['spent']['usd']:.4f} USD, {data['spent']['tokens']:,} tokens")
    for one in data["trials"]:
        told = f"fault: {one['fault']}" if one["fault"] else one["text"]
        print_text(
            f"{one['name']}: {one['model']} answered in {one['seconds']:.1f} s for {one['usd']:.6f} USD\n"
            f"  question: {one['question'][:140]}\n  people: {one['expected'][:140]}\n  answer: {told[:300]}"
        )
    for one in data["replies"]:
        print_text(f"[{one['model']}] {one['fault'] or 'well-formed'}\n{one['raw']}")


def _key(one: dict[str, Any]) -> str:
    if not one["key_env"]:
        return "none needed"
    return f"in {one['key_env']}" if one["has_key"] else f"{one['key_env']} is not set"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
