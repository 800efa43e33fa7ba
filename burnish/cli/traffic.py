"""Commands about served answers and production logs: traffic import, list, show, status, drop."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, SetOption, opened
from burnish.cli.terminal import print_found, print_json, print_table, print_text
from burnish.errors import UsageError

group = typer.Typer(help="Answers that were served: import logs, look at them, delete them.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.add_typer(group, name="traffic")


@group.command("import")
def take(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A log in JSON lines or a JSON array.")],
    project: ProjectOption = HERE,
    shape: Annotated[str, typer.Option(help="openai, langfuse, otel; auto looks at each line.")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Take the good lines, leave out the bad ones.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a production log in, redacted; a second time changes nothing."""
    from burnish.data.traffic_log import SHAPES, import_log

    asked = next((one for one in SHAPES if one == shape), None)
    if asked is None:
        raise UsageError(f"there is no shape {shape[:40]!r}", hint=f"--shape takes {', '.join(SHAPES)}")
    place = opened(project, changes)
    traffic = place.settings.serve.traffic
    found = import_log(place.store, traffic, file, shape=asked, skip_bad=skip_bad, now=datetime.now(UTC))
    if as_json:
        print_json({"schema_version": 1, **found.as_json()})
        return
    known, days = found.num_known, traffic.retention_days
    print_text(f"{found.num_new} new answers, {known} known before, {found.num_feedback} new pieces of feedback")
    for number, what in (
        (found.num_expired, f"answers are older than {days} days (serve.traffic.retention_days) and were left out"),
        (found.num_other, "lines hold no answer of a model"),
        (len(found.rejected), "lines cannot be used"),
    ):
        if number:
            print_text(f"{number} {what}")
    for row in found.rejected[:20]:
        print_text(f"  {row.source}:{row.row}  {row.reason}  {row.snippet}")


@group.command("status")
def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show how many answers are kept, since when, and what users said of them."""
    from burnish.store.traffic import traffic_held

    place = opened(project)
    held = traffic_held(place.store)
    traffic = place.settings.serve.traffic
    if as_json:
        print_json({"schema_version": 1, "keep": traffic.keep, **held._asdict()})
        return
    if not held.num_answers:
        print_text(
            "no answer is kept" + ("" if traffic.keep else "; `serve.traffic.keep: true` makes the server do it")
        )
        return
    print_text(f"{held.num_answers} answers since {held.since}, {held.num_with_text} of them with their texts")
    print_table("", ["model", "answers"], [[name, number] for name, number in held.by_model.items()])
    said = ", ".join(f"{kind} {number}" for kind, number in held.feedback.items())
    print_text(f"feedback: {said or 'none'}")
    print_text(f"each is deleted {traffic.retention_days} days after it was given")


@group.command("list")
def list_answers(
    project: ProjectOption = HERE,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest answers, without their texts."""
    from burnish.store.traffic import Spoken, newest_traffic

    def row(one: Spoken) -> dict[str, Any]:
        keys = ("response_id", "at", "source", "model", "endpoint", "num_prompt", "num_answer", "finish_reason")
        return {**{key: getattr(one, key) for key in keys}, "has_text": one.has_text}

    rows = [row(one) for one in newest_traffic(opened(project).store, limit)]
    if as_json:
        print_json({"schema_version": 1, "answers": rows})
        return
    columns = ["response_id", "at", "model", "endpoint", "num_answer", "has_text"]
    print_table("", columns, [[str(one[column]) for column in columns] for one in rows])


@group.command("show")
def show(
    response_id: Annotated[str, typer.Argument(metavar="ID", help="The id that the client got.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one answer with its prompt and what users said of it."""
    from burnish.records import as_json as data_of
    from burnish.store.traffic import feedback_of, find_traffic

    store = opened(project).store
    found = find_traffic(store, [response_id]).get(response_id)
    if found is None:
        raise unknown(response_id)
    said = [
        {"kind": one.kind, "value": one.value, "at": one.at}
        for one in feedback_of(store, [response_id]).get(response_id, ())
    ]
    if as_json:
        print_json({"schema_version": 1, **data_of(found), "feedback": said})
        return
    print_text(f"{found.response_id}  {found.model}  {found.at}, kept until {found.expires_at}")
    for turn in found.messages:
        print_text(f"{turn.role}: {turn.content}")
    print_text(f"assistant: {found.answer}" if found.has_text else "its texts were not kept")
    for entry in said:
        print_text(f"user's feedback: {entry['kind']} {entry['value']}".rstrip())


@group.command("drop")
def drop(
    response_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Answers to delete, with their feedback.")
    ] = None,
    project: ProjectOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Delete all of them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete answers and the feedback on them: those named, all, or without either those whose time is over."""
    from burnish.store.traffic import drop_expired, drop_traffic

    if everything and response_ids:
        raise UsageError("--all and ids together say two things", hint="give one of them")
    store = opened(project).store
    if not everything and not response_ids:
        count = drop_expired(store)
    else:
        count = drop_traffic(store, None if everything else response_ids)
    print_found(
        {"num_dropped": count},
        f"{count} answers deleted; daily copies of the database keep them for up to a week",
        as_json=as_json,
    )


def unknown(response_id: str) -> UsageError:
    """That no such answer is kept."""
    return UsageError(
        f"no answer {response_id[:80]!r} is kept", hint="`burnish traffic list` shows which are, `status` until when"
    )
