"""Commands about people: users add, list and remove; approve; and verify, which checks what was written about them."""

from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_found, print_json, print_table, print_text, tell
from burnish.errors import DamagedError

group = typer.Typer(help="Who may use the web app, and as what: add, list, remove.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.add_typer(group, name="users")
    app.command("approve")(approve_round)
    app.command("verify")(verify)


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name under which this person decides.")],
    role: Annotated[
        str,
        typer.Option(
            help="reviewer: judges rows. engineer: all but approving. approver: reads all, moves the champion."
        ),
    ],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add a user and print the token, which is shown this once."""
    from burnish.store.users import add_user, checked_name

    token = add_user(opened(project).store, name, role)
    if as_json:
        print_json({"schema_version": 1, "name": checked_name(name), "role": role, "token": token})
        return
    print_text(token)
    tell(
        f"\ngive it to {checked_name(name)} and to nobody else: it is not shown again\n"
        "their start address, while `burnish ui` runs: http://127.0.0.1:8377/start?token=TOKEN"
    )


@group.command("list")
def list_users(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List those who may use the web app."""
    from burnish.store.users import users

    known = users(opened(project).store)
    if as_json:
        print_json({"schema_version": 1, "users": [{"name": u.name, "role": u.role, "at": u.at} for u in known]})
        return
    if not known:
        tell("there are none: whoever has the address that `burnish ui` prints may do everything")
        return
    print_table("", ["name", "role", "since"], [[user.name, user.role, user.at[:10]] for user in known])


@group.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a user.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Remove a user: the token and every open page stop working at once; what they decided stays."""
    from burnish.store.users import remove_user

    gone = remove_user(opened(project).store, name)
    print_found({"name": gone.name, "role": gone.role}, f"removed: {gone.name}, {gone.role}", as_json=as_json)


def approve_round(
    number: Annotated[int, typer.Argument(metavar="ROUND", help="Number of a round that waits.")],
    by: Annotated[str, typer.Option(help="Name of the approver.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")],
    project: ProjectOption = HERE,
    refused: Annotated[bool, typer.Option("--refuse", help="Leave the champion as it is, for good.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the challenger of a waiting round into use, or refuse it; an answer is given once."""
    from burnish.loop.approval import approve, refuse

    result = (refuse if refused else approve)(opened(project), number, by=by, reason=reason)
    told = {"round": number, "approval": result.approval, "champion": result.champion, "by": by, "reason": reason}
    print_found(told, f"round {number}: {result.approval}\nchampion: {result.champion}", as_json=as_json)


def verify(
    project: ProjectOption = HERE,
    head: Annotated[
        str, typer.Option("--head", metavar="HASH", help="A hash that an earlier call printed: is it still there?")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Check the log of decisions: no entry changed, removed, moved or cut off. Exit code 73 when it does not hold."""
    from burnish.loop.integrity import check_log

    found = check_log(opened(project), head)
    if as_json:
        breaks = [{"entry": one.entry or None, "what": one.what} for one in found.breaks]
        print_json({"schema_version": 1, "num_entries": found.num_entries, "head": found.head, "breaks": breaks})
    else:
        print_text("\n".join(one.what for one in found.breaks) or f"{found.num_entries} entries, and all hold")
        tell(f"last hash: {found.head}\nwritten down elsewhere, it proves later that nothing up to here was changed")
    if found.breaks:
        raise typer.Exit(DamagedError.exit_code)
