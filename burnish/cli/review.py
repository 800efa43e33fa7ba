"""Commands of the review queue without a browser: review plan, export, import, status."""

import time
from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, check_place, opened
from burnish.cli.terminal import print_found, print_json, print_table, print_text, tell
from burnish.grammar import agree

group = typer.Typer(help="Ask people: plan a queue, take it offline, bring decisions back.", no_args_is_help=True)

ByOption = Annotated[str, typer.Option(help="Name of the reviewer.")]
DAY_S = 86_400.0
NOTHING = "nothing waits: `burnish review plan` chooses what to ask"


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.add_typer(group, name="review")


@group.command("plan")
def plan(
    project: ProjectOption = HERE,
    count: Annotated[int, typer.Option(min=0, max=100_000, help="Rows to ask about, beside audits.")] = 40,
    from_traffic: Annotated[
        int, typer.Option("--from-traffic", min=0, max=100_000, help="Ask about so many served answers instead.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Choose what to ask people; what was asked before is not asked again."""
    from collections import Counter

    from burnish.loop.project import locked
    from burnish.loop.reviewing import plan_reviews, plan_traffic
    from burnish.talk import Silence

    place = opened(project)
    with locked(place, Silence()):
        found = plan_traffic(place, count=from_traffic) if from_traffic else plan_reviews(place, count=count)
    purposes = Counter(f"{item.queue}: {item.purpose}" for item in found.items)
    told = {"num_new": found.num_new, "num_items": len(found.items), "minutes": found.minutes}
    told |= {"is_limited": found.is_limited}
    text = [f"{found.num_new} new items of {len(found.items)}, about {found.minutes:.0f} minutes of people in all"]
    text += [f"  {number:5d}  {name}" for name, number in purposes.most_common()]
    text += ["budget.reviewer_minutes has no room for more"] if found.is_limited else []
    print_found({**told, "by_purpose": dict(purposes)}, "\n".join(text), as_json=as_json)


@group.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .xlsx, .csv or .jsonl file; an old one is replaced.")],
    by: ByOption,
    project: ProjectOption = HERE,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Items at most.")] = 20,
    days: Annotated[int, typer.Option(min=1, max=60, help="For how long nobody else gets them.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Write a reviewer's next items as a sheet to fill in offline, and keep them for that reviewer."""
    from burnish.loop.reviewing import claim
    from burnish.review.sheets import write_sheet

    check_place(file, (".xlsx", ".csv", ".jsonl"))
    place = opened(project)
    held = claim(place, by, now_s=time.time(), count=count, lease_s=days * DAY_S)
    write_sheet(file, held)
    data = {"sheet": str(file), "rows": len(held), "reviewer": by}
    items = agree(len(held), "item", "items")
    told = f"{items} for {by} in {file}, kept for {days} days" if held else f"{NOTHING}, so {file} holds no row"
    print_found(data, told, as_json=as_json)


@group.command("import")
def take(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sheet that was filled in.")],
    by: ByOption,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take the decisions of a sheet; a second time changes nothing. Ends with 65 where a line was refused."""
    from burnish.loop.decided import release_audits
    from burnish.loop.project import locked
    from burnish.loop.reviewing import take_sheet
    from burnish.loop.task import task_of_project
    from burnish.talk import Silence

    place = opened(project)
    with locked(place, Silence()):
        found = take_sheet(place, task_of_project(place), file, by, now_s=time.time())
        audits = release_audits(place)
    data = {
        "num_new": found.num_new,
        "num_known": found.num_known,
        "refused": [one._asdict() for one in found.refused],
        "audits": [{"batch": audit.batch, "status": audit.status} for audit in audits],
    }
    lines = [f"{found.num_new} new decisions of {by}, {found.num_known} known before"]
    lines += [f"{audit.batch}: {audit.status}" for audit in audits]
    print_found(data, "\n".join(lines), as_json=as_json)
    for one in found.refused:
        tell(f"line {one.line} was not taken: {one.why}")
    if found.refused:
        raise typer.Exit(65)


@group.command("status")
def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show what waits for people, what they have decided and what it takes them."""
    from burnish.loop.asked import review_status

    found = review_status(opened(project))
    if as_json:
        print_json({"schema_version": 1, **found.as_json()})
        return
    columns = ["queue", "waiting", "skipped by all", "settled", "in conflict", "minutes an item", "minutes left"]
    rows: list[list[object]] = [
        [
            one.queue,
            one.num_waiting,
            one.num_skipped,
            one.num_settled,
            one.num_conflicts,
            f"{one.minutes:.2f}",
            f"{one.left:.0f}",
        ]
        for one in found.queues
    ]
    print_table("", columns, rows)
    if any(one.num_skipped for one in found.queues):
        print_text(
            "skipped by all who may answer: no round waits for these; in an audit such a row counts as not right"
        )
    print_text(f"people have spent {found.spent_minutes:.1f} minutes")
    for name, (caught, count) in found.catches.items():
        print_text(f"{name} caught {caught} of {count} hidden wrong drafts")


@group.command("agreement")
def agreement(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show how far reviewers agree, how reliable each of them is, and which conflicts wait."""
    from burnish.loop.asked import reviewers_agreement
    from burnish.loop.seeds import gather
    from burnish.records import as_json as data_of
    from burnish.report.judged import AGREEMENT_COLUMNS, agreement_row, reviewer_lines

    place = opened(project)
    found = reviewers_agreement(place, gather(place))
    if as_json:
        print_json({"schema_version": 1, "queues": [data_of(one) for one in found]})
        return
    if not found:
        print_text("nobody has decided anything yet")
        return
    print_table("", list(AGREEMENT_COLUMNS), [list(agreement_row(one)) for one in found])
    for one in found:
        print_text("\n".join(reviewer_lines(one)))
