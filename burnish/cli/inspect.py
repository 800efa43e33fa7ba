"""Commands that look and change nothing: status, report, power, costs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, opened
from burnish.cli.terminal import print_json, print_table, print_text, tell

if TYPE_CHECKING:
    from burnish.store.lock import Holder


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    for command in (status, report, power, costs):
        app.command()(command)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Say where the project stands: champion, rounds, stages, budget, what is next."""
    from burnish.loop.standing import standing
    from burnish.report.words import verdict

    place = opened(project)
    found, holder = standing(place), place.store.holder()
    if as_json:
        print_json({"schema_version": 1, **found, "running": asdict(holder) if holder else None})
        return
    print_text("\n".join(f"{name + ':':<11}{value}" for name, value in _lines(found, holder)))
    rounds: list[list[object]] = [
        [r["round"], verdict(r["decision"], r["approval"]), r["gain"], r["reason"]] for r in found["rounds"]
    ]
    if rounds:
        print_text("")
        print_table("", ["round", "decision", "gain in points", "reason"], rounds)
    stages: list[list[object]] = [[s["stage"], s["status"], f"{s['seconds']:.1f}", s["note"]] for s in found["stages"]]
    if stages:
        print_text("")
        print_table("", ["stage", "status", "seconds", ""], stages)


def _lines(found: dict[str, Any], holder: "Holder | None") -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [(name, found[name]) for name in ("project", "base")]
    lines += [
        ("champion", found["champion"] or "none yet"),
        ("examples", f"{found['examples']:,}"),
        (
            "roles",
            ", ".join(f"{role} {count:,}" for role, count in found["roles"].items()) or "given by the first round",
        ),
        ("next", found["next"]),
    ]
    if holder:
        lines.insert(-1, ("running", f"{holder.command}, process {holder.pid} on {holder.host} since {holder.started}"))
    return lines


def report(
    number: Annotated[
        int | None, typer.Argument(metavar="[ROUND]", help="Number of a round; the latest without one.")
    ] = None,
    project: ProjectOption = HERE,
    form: Annotated[str, typer.Option("--format", help="path, md or json.")] = "path",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print where a round's report is, or the report itself as Markdown or JSON."""
    from burnish.errors import UsageError
    from burnish.loop.standing import report_in

    if form not in ("path", "md", "json"):
        raise UsageError(f"--format is {form!r}", hint="it is one of path, md, json")
    found = report_in(opened(project), number, "json" if as_json else form)
    if as_json or form == "json":
        print_json(json.loads(found))
    else:
        print_text(found)


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
    if not stages:
        tell("nothing was spent yet")
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
