"""The command `data forget`: leave an example out from now on, and say what it touched."""

from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, opened
from burnish.cli.terminal import make_talk, print_found


def forget_example(
    example: Annotated[str, typer.Argument(metavar="ID", help="Id of an example, as `burnish data show` lists it.")],
    project: ProjectOption = HERE,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the id and the time.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would mean.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bar an example and all rows made from it, list what they touched, and plan the retraining."""
    from burnish.loop.forget import forget

    found = forget(opened(project), example, reason=reason, dry_run=dry_run, talk=make_talk(quiet=quiet))
    print_found(found.as_json(), found.as_text(), as_json=as_json)
