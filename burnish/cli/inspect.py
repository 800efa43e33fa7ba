"""Commands that look and change nothing: status, report, power, costs."""

from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_json, print_table, print_text


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    for command in (status, report, power, costs):
        app.command()(command)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Say where the project stands: champion, rounds, stages, budget, what is next."""
    from burnish.loop.inspection import standing

    found = standing(opened(project))
    if as_json:
        print_json({"schema_version": 1, **found})
        return
    for name in ("project", "base", "champion", "examples", "roles", "next"):
        print_text(f"{name + ':':<11}{found[name]}")
    rows: list[list[object]] = [[r["round"], r["decision"], r["gain"], r["reason"]] for r in found["rounds"]]
    print_table("", ["round", "decision", "gain in points", "reason"], rows) if rows else None
    stages: list[list[object]] = [[s["stage"], s["status"], s["seconds"]] for s in found["stages"]]
    print_table("", ["stage", "status", "seconds"], stages) if stages else None


def report(
    number: Annotated[
        int | None, typer.Argument(metavar="[ROUND]", help="Number of a round; the latest without one.")
    ] = None,
    project: ProjectOption = HERE,
    form: Annotated[str, typer.Option("--format", help="path, md or json.")] = "path",
) -> None:
    """Print where a round's report is, or the report itself as Markdown or JSON."""
    from burnish.errors import UsageError
    from burnish.loop.inspection import report_in

    if form not in ("path", "md", "json"):
        raise UsageError(f"--format is {form!r}", hint="it is one of path, md, json")
    print_text(report_in(opened(project), number, form))


def power(
    project: ProjectOption = HERE,
    rows: Annotated[int | None, typer.Option(min=2, help="Plan for this many vault rows instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which gains the vaults can prove, per slice, and how many labels would prove which."""
    from burnish.loop.planning import SHOWN_GAINS, plan_power

    plan = plan_power(opened(project), rows)
    if as_json:
        print_json({"schema_version": 1, **plan.as_json()})
        return
    print_text(plan.sentence)
    columns = ["set", "rows", "smallest provable gain", *[f"rows for {gain} points" for gain in SHOWN_GAINS]]
    print_table("", columns, plan.as_table())


def costs(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List what every stage cost: seconds, tokens, energy, money."""
    from burnish.budget import Budget
    from burnish.records import as_json as data_of

    place = opened(project)
    budget = Budget(store=place.store, settings=place.settings.budget)
    stages, total = budget.by_stage(), budget.spent()
    if as_json:
        print_json({"schema_version": 1, "stages": {k: data_of(v) for k, v in stages.items()}, "total": data_of(total)})
        return
    rows: list[list[object]] = [
        [
            name,
            f"{cost.seconds:.1f}",
            f"{cost.tokens:,}",
            "-" if cost.joules is None else f"{cost.joules:.0f}",
            f"{cost.usd:.4f}",
        ]
        for name, cost in [*stages.items(), ("total", total)]
    ]
    print_table("", ["stage", "seconds", "tokens", "joules", "USD"], rows)
