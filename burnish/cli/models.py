"""Commands about models: models, eval, promote, rollback."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, SetOption, check_place, opened, working
from burnish.cli.terminal import print_json, print_table, print_text, tell

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command("models")(list_models)
    app.command("eval")(evaluate_file)
    app.command("promote")(promote_model)
    app.command("rollback")(roll_back)


def list_models(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List every model version; the champion is marked."""
    from burnish.loop.approval import answers
    from burnish.loop.past import results, with_scores
    from burnish.records import as_json as data_of
    from burnish.registry import champion, history, models
    from burnish.report.words import verdict

    place = opened(project)
    store, said = place.store, answers(place)
    now, past = champion(store), results(place)
    versions = [with_scores(version, past) for version in models(store)]
    name = now.name if now else None
    if as_json:
        listed = [
            {**data_of(version), "approval": said.get(version.name, ""), "champion": version.name == name}
            for version in versions
        ]
        moves = [data_of(move) for move in history(store)]
        print_json({"schema_version": 1, "champion": name, "models": listed, "history": moves})
        return
    if now is None:
        tell("there is no model yet: `burnish round` registers the base and makes a first challenger")
        return
    rows: list[list[object]] = []
    for version in versions:
        scores = ", ".join(f"{metric} {100 * (s.value or 0):.1f}%" for metric, s in version.scores.items())
        mark = "champion" if version.name == name else ""
        decided = verdict(version.decision, said.get(version.name, ""))
        rows.append([version.name, version.round, mark, scores, decided, version.adapter_hash[:12]])
    print_table("", ["name", "round", "", "on dev_a", "decision", "hash"], rows)


def evaluate_file(
    data: Annotated[str, typer.Option("--data", metavar="FILE", help="Examples in any supported format.")],
    project: ProjectOption = HERE,
    model: Annotated[str, typer.Option("--model", help="base, champion, or a version's name.")] = "champion",
    shots: Annotated[int, typer.Option(min=0, max=32, help="Solved examples shown before each question.")] = 0,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="FILE", help="Write every row as JSONL.")] = None,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a model on any file, overall and per slice, with intervals."""
    check_place(rows)
    place = opened(project, changes)
    from burnish.loop.inspection import evaluate_on_file, public_evaluation

    with working(quiet=quiet) as (talk, _):
        evaluation = evaluate_on_file(place, model, data, talk, num_shots=shots, rows_file=rows)
    public = public_evaluation(evaluation)
    if as_json:
        print_json(public)
        return
    table: list[list[object]] = [["all", *_cells(public["overall"][evaluation.metric])]]
    table += [[name, *_cells(scores[evaluation.metric])] for name, scores in public["slices"].items()]
    print_table(f"{evaluation.model}: {evaluation.metric}", ["slice", "value", "95% interval", "n"], table)


def _cells(interval: dict[str, float | None]) -> list[object]:
    value, low, high = interval["value"], interval["low"], interval["high"]
    spread = "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
    return ["not scored" if value is None else f"{100 * value:.1f}%", spread, interval["n"]]


def promote_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a version.")],
    reason: ReasonOption,
    project: ProjectOption = HERE,
    force: Annotated[bool, typer.Option("--force", help="Also without a passing verdict of the gate.")] = False,
    by: Annotated[str, typer.Option(help="Who promotes; needed where the project asks for approvals.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion by hand; without a passing verdict only with --force."""
    from burnish.loop.standing import promote_by_hand

    _tell_move(promote_by_hand(opened(project), name, reason=reason, force=force, by=by), reason, as_json)


def roll_back(reason: ReasonOption, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Go back to the champion before this one; past those that learned from forgotten rows."""
    from burnish.loop.kept import roll_back as go_back

    move = go_back(opened(project), reason=reason)
    _tell_move(move.after, move.reason, as_json)
    if move.reason != reason.strip():
        tell(move.reason)


def _tell_move(name: str, reason: str, as_json: bool) -> None:
    if as_json:
        print_json({"schema_version": 1, "champion": name, "reason": reason})
    else:
        print_text(f"champion: {name}")
