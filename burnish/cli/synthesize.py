"""Commands that make rows and judge them: synthesize, audit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, check_place, opened, working
from burnish.cli.terminal import print_found, print_json, print_table, print_text, tell

if TYPE_CHECKING:
    from burnish.loop.auditing import Held
    from burnish.loop.project import Project
    from burnish.loop.proposal import Proposal
    from burnish.loop.synthesis import Synthesis
    from burnish.synthesize.audit import Audit
    from burnish.synthesize.made import Made


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command("synthesize")(synthesize_rows)
    app.command("audit")(audit_batch)


def synthesize_rows(
    project: ProjectOption = HERE,
    rows: Annotated[int | None, typer.Option(min=1, help="Most rows to make; as the plan says without it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and some rows; keep nothing.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make rows for weak places: planned, made, filtered, verified, and sealed as a batch that waits for its audit."""
    from burnish.loop.project import followed

    wanted = [*(changes or []), *([f"synthesize.rows={rows}"] if rows else [])]
    place = opened(project, wanted)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.proposal import propose
        from burnish.loop.synthesizing import synthesize_project

        if dry_run:
            _tell_proposal(propose(place, talk, should_stop=should_stop), as_json=as_json)
            return
        found = synthesize_project(place, talk, should_stop=should_stop)
    if as_json:
        print_json({"schema_version": 1, **found.as_json()} if found else {"schema_version": 1, "batch": None})
        return
    _tell_batch(found, place)


def _tell_proposal(found: "Proposal", *, as_json: bool) -> None:
    if as_json:
        print_json({"schema_version": 1, "dry_run": True, **found.as_json()})
        return
    print_text(found.plan.as_text())
    if found.examples:
        print_text("\nrows like these would be made and then looked at; nothing was kept")
    for made in found.examples:
        print_text(_line(made))
    if found.quote:
        print_text(f"\n{found.quote.as_text()}\nthe first question, as it would be sent:\n{found.quote.first}")


def _line(made: "Made") -> str:
    question = " ".join(made.example.prompt[-1].content.split())
    return f"  [{made.provenance.move}] {question[:140]} -> {made.example.answer[:60]}"


def _tell_batch(found: "Synthesis | None", place: "Project") -> None:
    if found is None:
        print_text("no row was made: the plan is empty (`burnish synthesize --dry-run` says why)")
        return
    print_text(found.as_text())
    if found.state == "waiting":
        print_text(f"next: burnish audit {found.name} --sheet sheet.csv {place.option}")


def audit_batch(
    batch: Annotated[
        str, typer.Argument(metavar="[BATCH]", help="A synthetic batch; the newest that waits without one.")
    ] = "",
    project: ProjectOption = HERE,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the blind sample for people to fill in, .xlsx or .csv.")
    ] = None,
    judged: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the sheet that people filled in.")] = None,
    by: Annotated[str, typer.Option(help="Who judged.")] = "people",
    gold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge by right answers that no generator has seen.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a synthetic batch by a blind sample: until its lower bound is high enough, it trains nothing."""
    from burnish.errors import UsageError
    from burnish.loop.auditing import find_batch, held_batches, judge_sheet, write_sheet
    from burnish.loop.held_gold import judge_by_file
    from burnish.records import as_json as data_of

    if sum(map(bool, (sheet, judged, gold))) > 1:
        raise UsageError("--sheet writes a sheet, --judged and --gold take answers", hint="give one of the three")
    check_place(sheet, (".xlsx", ".csv"))
    place = opened(project)
    if not (sheet or judged or gold or batch):
        _tell_all(held_batches(place), as_json=as_json)
        return
    held = find_batch(place, batch)
    if sheet:
        count = write_sheet(place, held, sheet)
        print_found(
            {"batch": held.name, "sheet": str(sheet), "rows": count}, f"{count} rows are in {sheet}", as_json=as_json
        )
        return
    audit = judge_sheet(place, held, judged, by=by) if judged else held.audit
    audit = judge_by_file(place, held, gold) if gold else audit
    print_found(data_of(audit), _shown(audit), as_json=as_json)


def _tell_all(held: "list[Held]", *, as_json: bool) -> None:
    if as_json:
        from burnish.records import as_json as data_of

        print_json({"schema_version": 1, "batches": [data_of(one.audit) for one in held]})
        return
    rows: list[list[object]] = [
        [
            one.name,
            len(one.rows),
            one.audit.status,
            f"{one.audit.correct} of {one.audit.n}" if one.audit.n else "-",
            "-" if one.audit.lower is None else f"{one.audit.lower:.3f}",
            one.audit.by or "-",
        ]
        for one in held
    ]
    if rows:
        print_table("", ["batch", "rows", "audit", "right", "lower bound", "by"], rows)
    else:
        tell("there is no synthetic batch yet: `burnish synthesize` or a round makes one")


def _shown(audit: "Audit") -> str:
    if not audit.n:
        return f"{audit.batch}: {audit.size} rows, not audited; it trains nothing before"
    note = f" ({audit.note})" if audit.note else ""
    lines = [
        f"{audit.batch}: {audit.status}, {audit.correct} of {audit.n} right by {audit.by}, "
        f"at least {audit.lower:.1%} of its {audit.size} rows are right (95%){note}"
    ]
    lines += [f"not right: {', '.join(audit.wrong[:10])}"] if audit.wrong else []
    return "\n".join(lines)
