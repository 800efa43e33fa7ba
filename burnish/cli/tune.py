"""Commands that look ahead: tune, which searches for settings, and plan, which says what a round will take."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, opened, working
from burnish.cli.terminal import print_json, print_table, print_text

if TYPE_CHECKING:
    from burnish.loop.tuning import TuneResult


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command("tune")(tune_project)
    app.command("plan")(plan_round)


def tune_project(
    project: ProjectOption = HERE,
    trials: Annotated[int, typer.Option(help="Settings to try in all, earlier calls counted.")] = 16,
    slots: Annotated[int, typer.Option(help="Settings that train together, as one bank.")] = 4,
    budget_s: Annotated[
        float | None, typer.Option("--budget-s", min=0, help="Seconds this call may take, up to a whole bank more.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the last result into burnish.yaml; tries nothing.")
    ] = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search learning rate, rank, epochs, batch size and data weights on train and dev_b; suggest the best."""
    from burnish.loop.project import followed

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, should_stop), followed(place, talk) as talk:
        from burnish.loop.apply import apply_suggestion
        from burnish.loop.tuning import tune

        if apply:
            _tell_applied(apply_suggestion(place), as_json=as_json)
            return
        found = tune(place, talk, trials=trials, slots=slots, budget_s=budget_s, should_stop=should_stop)
    if as_json:
        print_json(found.as_json())
        return
    _show(found)
    print_text(f"next: burnish tune --apply {place.option}     writes this into burnish.yaml")


def _tell_applied(changed: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"schema_version": 1, "changed": changed})
    else:
        print_text("\n".join(f"{name}: {value}" for name, value in changed.items()) or "burnish.yaml says so already")


def _show(found: "TuneResult") -> None:
    weights = {"human": "human_weight", "replay": "replay_share"}
    varied = {name: key for name, key in weights.items() if len({one.values[key] for one in found.tried}) > 1}
    columns = ["trial", "lr", "rank", "batch", "epochs", *varied, "dev loss", "score", "move", "ended"]
    rows: list[list[object]] = []
    for one in found.tried:
        trial, score = one.trial, one.trial.dev_score
        rows.append(
            [
                f"{one.number} *" if one is found.verdict.chosen else one.number,
                f"{trial.candidate.lr:.3g}",
                trial.candidate.rank,
                one.values["batch_size"],
                one.values["epochs"],
                *(f"{one.values[key]:g}" for key in varied.values()),
                "-" if trial.dev_loss is None else f"{trial.dev_loss:.4f}",
                "-" if score is None or score.value is None else f"{100 * score.value:.1f}%",
                "-" if one.move is None else f"{100 * one.move:.2f}%",
                trial.stopped,
            ]
        )
    print_table("", columns, rows)
    print_text(f"stopped: {found.stopped}")
    print_text(f"take trial {found.verdict.chosen.number}: {found.verdict.reason}")
    for name, value in found.settings.items():
        print_text(f"  {name}: {value}")


def plan_round(
    project: ProjectOption = HERE,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what memory and time the next round takes on this machine, from a probe of seconds."""
    from burnish.loop.project import followed

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, _), followed(place, talk) as talk:
        from burnish.loop.forecast import forecast

        found = forecast(place, talk)
    if as_json:
        print_json(found.as_json())
        return
    print_table("", ["part", "seconds", "how"], found.table())
    print_text("\n".join(found.sentences()))
