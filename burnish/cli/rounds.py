"""Commands that do the work: try, round, run, demo."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, local_base, opened, working
from burnish.cli.terminal import print_json, print_text

if TYPE_CHECKING:
    from burnish.loop.project import Project
    from burnish.loop.result import RoundResult

STDIN = Path("-")
AgainOption = Annotated[bool, typer.Option("--again", help="Run even if neither data nor settings changed.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command("try")(try_file)
    app.command("round")(one_round)
    app.command("run")(many_rounds)
    app.command("demo")(demo)


def try_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Examples in any supported format.")],
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Folder of the project; burnish-NAME without one.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="builtin:NAME, a local folder, or a hub id.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Keep the good rows, record the bad ones.")] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """From a file to an honest before/after number: make a project, check the data, run a round."""
    from burnish.loop.attempt import add_once, open_or_create
    from burnish.loop.project import followed

    home = folder or Path(f"burnish-{'stdin' if file == STDIN else file.stem.split('.')[0] or 'data'}")
    file = _kept_input(home) if file == STDIN else file
    place = open_or_create(home, str(file), changes or (), base=local_base(base, home))
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.round import run_round

        add_once(place, file, talk, skip_bad=skip_bad)
        result, is_new = run_round(place, talk, should_stop=should_stop)
    _finish(place, [result], as_json=as_json, unchanged=not is_new)


def _kept_input(home: Path) -> Path:
    """Standard input as a file of the project, because it is read twice: to guess the task, and to add the rows."""
    kept = home / "data" / "stdin"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return kept


def one_round(
    project: ProjectOption = HERE,
    again: AgainOption = False,
    from_traffic: Annotated[
        int, typer.Option("--from-traffic", min=0, max=100_000, help="Ask people about so many served answers first.")
    ] = 0,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure, train, compare, ask the gate, decide, report. Exit code 0: promoted, 3: held, 4: waits, 6: unclear."""
    place = opened(project, changes)
    from burnish.loop.project import followed

    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.round import run_round
        from burnish.loop.served import ask_about_traffic

        if from_traffic:
            ask_about_traffic(place, from_traffic, talk)
        result, is_new = run_round(place, talk, again=again, should_stop=should_stop)
    _finish(place, [result], as_json=as_json, unchanged=not is_new)


def many_rounds(
    project: ProjectOption = HERE,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Rounds at most.")] = 3,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run rounds until there is a reason to stop."""
    from burnish.loop.project import followed
    from burnish.loop.result import public_json

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.rounds import run_rounds

        results, why = run_rounds(place, talk, rounds=rounds, should_stop=should_stop)
    if as_json:
        listed = [public_json(result, place.folder) for result in results]
        print_json({"schema_version": 1, "rounds": listed, "stopped": why})
        raise typer.Exit(results[-1].exit_code)
    print_text(f"stopped: {why}")
    _finish(place, results, as_json=False)


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of the demonstration's project.")] = Path("demo"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Two rounds on the example help desk, on the built-in base: the main job, start to finish."""
    from burnish.loop.demo import open_demo, run_demo
    from burnish.loop.project import followed
    from burnish.loop.result import public_json

    place = open_demo(folder)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        results = run_demo(place, talk, should_stop=should_stop)
    if as_json:
        rounds = [public_json(result, place.folder) for result in results]
        print_json({"schema_version": 1, "project": str(place.folder), "rounds": rounds})
        return
    print_text("\n".join(line for result in results for line in (*_lines(result, place), "")))
    print_text(_next_steps(place, results[-1]))


def _finish(place: "Project", results: "list[RoundResult]", *, as_json: bool, unchanged: bool = False) -> None:
    from burnish.loop.result import public_json

    last = results[-1]
    if as_json:
        print_json(public_json(last, place.folder, unchanged=unchanged))
    else:
        print_text("\n".join(line for result in results for line in (*_lines(result, place), "")))
        print_text(_next_steps(place, last))
    raise typer.Exit(last.exit_code)


def _lines(result: "RoundResult", place: "Project") -> list[str]:
    from burnish.report.words import verdict

    cost = result.cost
    money = f", ${cost.usd:.2f}" if cost.usd else ""
    money += f", {cost.reviewer_minutes:.0f} minutes of people" if cost.reviewer_minutes else ""
    return [
        f"round {result.round}: {verdict(result.decision, result.approval)}  {result.reason}",
        f"  {result.metric} on {result.gain.n} rows of dev_a: {result.previous_champion} {_percent(result.before)} -> "
        f"{result.challenger} {_percent(result.after)}",
        f"  gain {_points(result.gain)}",
        f"  {_paired(result)}",
        f"  champion: {result.champion}   cost: {cost.seconds:.0f} s, {cost.tokens:,} tokens{money}",
        f"  report: {place.folder / result.report}",
    ]


def _percent(interval: Any) -> str:
    if interval.value is None:
        return "not scored"
    spread = "" if interval.low is None else f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{100 * interval.value:.1f}%{spread}"


def _points(interval: Any) -> str:
    if interval.value is None:
        return "not scored"
    if interval.low is None:
        return f"{100 * interval.value:+.1f} points, no interval: too few rows"
    none_seen = "   no difference seen" if interval.low <= 0 <= interval.high else ""
    return f"{100 * interval.value:+.1f} points [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]{none_seen}"


def _paired(result: "RoundResult") -> str:
    """Wins, losses and p-value on the same rows, and the smallest gain that so many rows can show."""
    p = "" if result.p_value is None else f", p = {result.p_value:.3g}"
    smallest = result.smallest_gain_shown
    limit = "" if smallest is None else f"; so many rows can show a gain of {100 * smallest:.0f} points or more"
    return f"{result.wins} wins, {result.losses} losses, {result.ties} ties on the same rows{p}{limit}"


def _next_steps(place: "Project", last: "RoundResult") -> str:
    from burnish.loop.auditing import waiting_batch

    where = place.option
    waits = (
        f'      burnish approve {last.round} --by NAME --reason "..." {where}\n' if last.approval == "waiting" else ""
    )
    batch = waiting_batch(place)
    audit = f"      burnish ui {where}                  people judge {batch}, which then may train\n" if batch else ""
    return (
        f"next: open {place.folder / last.report}\n"
        f"{waits}{audit}"
        f"      burnish models {where}              every version and the champion\n"
        f"      burnish eval {where} --data FILE    score the champion on any file\n"
        f"      burnish data add FILE {where}       more examples, then: burnish round {where}"
    )
