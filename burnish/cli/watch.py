"""The command that looks for drift: watch."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, check_place, opened, working
from burnish.cli.terminal import print_found, print_json, print_table, print_text
from burnish.cli.ui import demand_libraries
from burnish.errors import EXIT_ALARM, ConfigError, UsageError

if TYPE_CHECKING:
    from burnish.loop.project import Project
    from burnish.loop.watching import Watched
    from burnish.monitor.alarms import Alarm, Reading

FOLLOW_EVERY_S = 10.0
SHOWN_TEXT = 100


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("watch")(watch_traffic)


def watch_traffic(
    project: ProjectOption = HERE,
    file: Annotated[
        Path | None, typer.Option("--file", help="Look at these requests (JSONL with text) instead; nothing is kept.")
    ] = None,
    label: Annotated[
        Path | None, typer.Option("--label", help="Write the rows of the newest alarm there, to be answered.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Take the newest windows as what is normal.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Take the project's own rows as normal again.")] = False,
    allow: Annotated[bool, typer.Option("--allow", help="Let alarms go to watch.webhook, from now on.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Look again every 10 seconds, until Ctrl-C.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look whether traffic still is what the model in use was proven on; exit code 5: something has drifted."""
    chosen = [name for name, is_asked in (("--accept", accept), ("--reset", reset), ("--allow", allow)) if is_asked] + [
        name for name, path in (("--file", file), ("--label", label)) if path
    ]
    if len(chosen) > 1 or (chosen and follow):
        raise UsageError(
            f"{' and '.join([*chosen, *['--follow'] * follow])} do not go together", hint="give one of them"
        )
    demand_libraries("train", "sklearn")
    place = opened(project, changes)
    if chosen and not file:
        _act(place, label=label, accept=accept, allow=allow, as_json=as_json)
        return
    has_alarm = _follow(place, as_json=as_json, quiet=quiet) if follow else _once(place, file, as_json, quiet=quiet)
    if has_alarm:
        raise typer.Exit(EXIT_ALARM)


def _once(place: "Project", file: Path | None, as_json: bool, *, quiet: bool) -> bool:
    from burnish.loop.watching import watch_file, watch_project

    with working(quiet=quiet) as (talk, _):
        found = watch_file(place, file) if file else watch_project(place, talk)
    _show(found, as_json=as_json)
    return bool(found.alarms)


def _follow(place: "Project", *, as_json: bool, quiet: bool) -> bool:
    """Looks until a stop is asked for; a look that saw nothing new says nothing."""
    from burnish.loop.watching import watch_project

    has_alarm = False
    with working(quiet=quiet) as (talk, should_stop):
        while not should_stop():
            found = watch_project(place, talk)
            if found.windows or found.alarms:
                _show(found, as_json=as_json)
            has_alarm = has_alarm or bool(found.alarms)
            _wait(should_stop)
    return has_alarm


def _wait(should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + FOLLOW_EVERY_S
    while time.monotonic() < until and not should_stop():
        time.sleep(0.1)


def _act(place: "Project", *, label: Path | None, accept: bool, allow: bool, as_json: bool) -> None:
    from burnish.loop.accepting import accept as accept_windows
    from burnish.loop.accepting import reset, rows_to_label

    data: dict[str, Any]
    if label is not None:
        check_place(label)
        rows = rows_to_label(place)
        label.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        data, told = (
            {"label": str(label), "rows": len(rows)},
            f"{len(rows)} rows in {label}: fill in each answer, then `burnish data add {label}` and `burnish round`",
        )
    elif accept:
        first, last = accept_windows(place)
        data, told = {"accepted": [first, last]}, f"requests {first} to {last} are what is normal from now on"
    elif allow:
        host = _allow(place)
        data, told = {"allowed": host}, f"alarms may go to {host}"
    else:
        reset(place)
        data, told = {"accepted": None}, "the project's own rows are what is normal from now on"
    print_found(data, told, as_json=as_json)


def _allow(place: "Project") -> str:
    from burnish.client.webhook import allow_webhook

    address = place.settings.watch.webhook
    if not address:
        raise ConfigError("watch.webhook is empty", hint="set it in burnish.yaml first")
    return allow_webhook(address)


def _show(found: "Watched", *, as_json: bool) -> None:
    from burnish.records import as_json as data_of

    if as_json:
        data = data_of(found)
        del data["texts"]
        print_json({"schema_version": 1, **data})
        return
    print_text(f"{found.model} against {found.reference}")
    for note in found.notes:
        print_text(note)
    rows = [_cells(f"{seen.window}", reading) for seen in found.windows for reading in seen.readings]
    rows += [_cells("", found.risk)] if found.risk else []
    if rows:
        print_table("", ["window", "signal", "", "says", "p or e", "alarms at"], rows)
    print_text(f"{found.num_waiting:,} more requests wait for a whole window")
    for alarm in found.alarms:
        print_text(_told(alarm, found.texts))


def _cells(window: str, reading: "Reading") -> list[object]:
    mark = "ALARM" if reading.is_alarm else "ok"
    if reading.e_value is not None and reading.bar is not None:
        return [window, reading.signal, mark, reading.what, f"e {reading.e_value:.3g}", f"e {reading.bar:.3g}"]
    if reading.p is None or reading.level is None:
        return [window, reading.signal, mark, reading.what, "", ""]
    floor = "" if reading.floor is None else f", effect {reading.floor:.2f}"
    return [window, reading.signal, mark, reading.what, f"p {reading.p:.3g}", f"p {reading.level:.3g}{floor}"]


def _told(alarm: "Alarm", texts: dict[int, str]) -> str:
    goes_on = "" if alarm.is_new else ", as before"
    lines = [f"\nALARM {alarm.reading.signal}, window {alarm.window}{goes_on}: {alarm.reading.what}"]
    for cluster in alarm.clusters:
        lines.append(f"  {len(cluster.rows)} of {len(alarm.rows)}: {', '.join(cluster.terms)}")
        lines += _shown(cluster.rows, texts)
    if alarm.rows and not alarm.clusters:
        lines += _shown(alarm.rows, texts)
    lines.append(f"  likely: {alarm.action}")
    return "\n".join([*lines, f"  run: {alarm.command}"] if alarm.command else lines)


def _shown(rows: Sequence[int], texts: dict[int, str]) -> list[str]:
    from burnish.loop.requests import different_texts

    found = different_texts(rows, texts)
    return [f"    {_short(text)}" + (f" ({times} times)" if times > 1 else "") for text, times in found]


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_TEXT else flat[: SHOWN_TEXT - 1] + "…"
