"""Commands about examples: data add, show, check, rejects, export, render."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.forget import forget_example
from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, check_place, opened, working
from burnish.cli.terminal import print_found, print_json, print_table, print_text, tell
from burnish.errors import DataError, UsageError

if TYPE_CHECKING:
    from burnish.loop.project import Project
    from burnish.records import Example

ROLES = ("train", "dev_a", "dev_b", "audit", "aside")
NO_ROLE = "not yet"
"""Shown for an example that came after the last round: the next one gives it a role."""

group = typer.Typer(help="Add, look at, check and export examples.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    group.command("forget")(forget_example)
    app.add_typer(group, name="data")


@group.command("add")
def add(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="JSONL, CSV, Excel, Parquet, a datasets folder, or -.")
    ],
    project: ProjectOption = HERE,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Keep the good rows, record the bad ones.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add examples from files; the format is detected per file."""
    from burnish.data.intake import add_files
    from burnish.loop.project import locked

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, _), locked(place, talk):
        report = add_files(place.store, place.settings, files, talk, skip_bad=skip_bad)
    print_found(report.as_json(), report.as_text(), as_json=as_json)


@group.command("show")
def show(
    project: ProjectOption = HERE,
    role: Annotated[str | None, typer.Option(help="Only this role; never a vault before it is retired.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show examples with their role and source."""
    place = opened(project)
    before = _on_file(place)
    rows = [
        {
            "id": example.id,
            "role": of,
            "prompt": example.prompt[-1].content,
            "answer": example.answer,
            "on_file": before.get(example.id),
            "slices": dict(example.slices),
            "source": example.source,
        }
        for example, of in _visible(place, role)[:limit]
    ]
    if as_json:
        print_json({"schema_version": 1, "examples": rows})
    elif not rows:
        tell(f"no example has the role {role}" if role else "no example yet: burnish data add FILE")
    else:
        columns = ["id", "role", "prompt", "answer", "source"]
        shown = [{**row, "answer": _answer_shown(row)} for row in rows]
        print_table("", columns, [[str(row[column])[:160] for column in columns] for row in shown])


@group.command("check")
def check_data(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A file; without one, the project's data.")
    ] = None,
    project: ProjectOption = HERE,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check the data as training will see it: the same checker, every problem, nothing changed."""
    place = None if file else opened(project, changes)
    from burnish.loop.inspection import check_file, check_project

    with working(quiet=quiet) as (talk, _):
        found = check_project(place, talk) if place else check_file(str(file), project, changes or (), talk)
    print_found(found.as_json(), found.as_text(), as_json=as_json)
    if found.has_errors:
        raise typer.Exit(65)


@group.command("rejects")
def show_rejects(
    project: ProjectOption = HERE,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the rows that were not taken, and why."""
    from itertools import islice

    from burnish.data.dataset import rejects
    from burnish.records import as_json as data_of

    rows = list(islice(rejects(opened(project).store), limit))
    if as_json:
        print_json({"schema_version": 1, "rejects": [data_of(row) for row in rows]})
    elif not rows:
        tell("no row was rejected")
    else:
        print_table("", ["file", "row", "reason", "text"], [[r.source, r.row, r.reason, r.snippet] for r in rows])


@group.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .jsonl, .csv, .xlsx or .parquet.")],
    project: ProjectOption = HERE,
    role: Annotated[str, typer.Option(help="Role to export; a vault only after it is retired.")] = "train",
) -> None:
    """Write the examples of a role to a file."""
    from burnish.data.export import export_examples

    check_place(file)
    rows = [example for example, _ in _visible(opened(project), role)]
    if not rows:
        raise DataError(f"no example has the role {role} yet", hint="the first `burnish round` gives each its role")
    export_examples(file, rows)
    print_text(f"{len(rows):,} examples of {role} written to {file}")


@group.command("render")
def render(
    project: ProjectOption = HERE,
    example: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Id of an example; the first of train without one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a conversation exactly as the model sees it; what is learned stands between marks."""
    place = opened(project)
    visible = _visible(place, None)
    wanted = [row for row, role in visible if (row.id == example if example else role in ("train", NO_ROLE))]
    if not visible:
        raise DataError("the project has no data yet", hint=f"burnish data add FILE {place.option}")
    if not wanted:
        raise UsageError(f"there is no example {example!r} to show", hint="ids are in `burnish data show`")
    from burnish.loop.inspection import rendered

    shown = rendered(place, wanted[0])
    if as_json:
        print_json({"schema_version": 1, **shown})
    else:
        print_text(str(shown["text"]))
        print_text(
            f"\n{shown['tokens']} tokens, {shown['learned']} learned (between ⟦ and ⟧), "
            f"template {str(shown['template_hash'])[:12]}, untuned loss {shown['loss']:.3f} nats per learned token"
        )


def _answer_shown(row: dict[str, Any]) -> str:
    """The answer in use; where people corrected it, the one on file behind it."""
    return f"{row['answer']} (on file: {row['on_file']})" if row["on_file"] is not None else str(row["answer"])


def _on_file(project: "Project") -> dict[str, str]:
    """The answers on file that people corrected, by example."""
    from burnish.data.dataset import load_examples
    from burnish.loop.decided import rows_of_decisions

    new = rows_of_decisions(project).corrections
    if not new:
        return {}
    before = {example.id: example.answer for example in load_examples(project.store) if example.id in new}
    return {name: answer for name, answer in before.items() if answer != new[name]}


def _visible(project: "Project", role: str | None) -> "Sequence[tuple[Example, str]]":
    """Examples with their role and people's answers, those of sealed vaults left out; out of scope is aside.

    Raises UsageError for a role that there is not.
    """
    from burnish.data.dataset import load_examples
    from burnish.loop.decided import corrected, rows_of_decisions
    from burnish.store.roles import current_roles

    decided = rows_of_decisions(project)
    roles: dict[str, Any] = dict(current_roles(project.store))
    roles |= {name: "aside" for name in decided.out_of_scope if roles.get(name) == "train"}
    if role and role.startswith("vault"):
        raise UsageError(f"{role} is sealed", hint="a vault can be seen as dev_a after it was retired")
    if role and role not in (*ROLES, NO_ROLE):
        near = difflib.get_close_matches(role, ROLES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(ROLES)}"
        raise UsageError(f"there is no role {role!r}", hint=hint)
    examples = corrected(list(load_examples(project.store)), decided.corrections)
    pairs = ((example, roles.get(example.id, NO_ROLE)) for example in examples)
    return [(example, of) for example, of in pairs if not of.startswith("vault") and role in (None, of)]
