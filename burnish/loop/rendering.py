"""The files of a round that people open, rendered from the record that its end left; loads no model."""

import json
from dataclasses import replace

from burnish.loop.past import results, round_folder
from burnish.loop.project import Project
from burnish.loop.result import RoundResult
from burnish.records import ModelVersion, from_json
from burnish.registry import get
from burnish.report.record import RoundReport
from burnish.report.render import render_bare_card, render_card, render_html, render_json, render_markdown
from burnish.store.files import write_atomic

REPORT_RECORD = "record.json"


def render(project: Project, result: RoundResult) -> None:
    """Writes report.html, report.md and report.json of a round, and the model card beside them."""
    folder = round_folder(project, result.round)
    report = _answered(load_report(project, result.round), result)
    write_atomic(folder / "report.html", render_html(report).encode())
    write_atomic(folder / "report.md", render_markdown(report).encode())
    write_atomic(folder / "report.json", render_json(report).encode())
    write_atomic(folder / "card.md", render_card(get(project.store, result.challenger), report).encode())


def _answered(report: RoundReport, result: RoundResult) -> RoundReport:
    """The report with what people have said to the gate's verdict since it was recorded."""
    history = [replace(one, approval=result.approval) if one.round == result.round else one for one in report.history]
    return replace(report, approval=result.approval, history=tuple(history))


def card_of(project: Project, version: ModelVersion, library: str) -> str:
    """The card of a version for files that `library` reads, from its round's record; a short one where no round is."""
    judged = [result for result in results(project) if result.challenger == version.name]
    if not judged or not (round_folder(project, judged[-1].round) / REPORT_RECORD).exists():
        return render_bare_card(version, library=library)
    report = replace(load_report(project, judged[-1].round), approval=judged[-1].approval)
    return render_card(version, report, library=library)


def load_report(project: Project, number: int) -> RoundReport:
    """The record that a round's report is rendered from."""
    path = round_folder(project, number) / REPORT_RECORD
    return from_json(RoundReport, json.loads(path.read_text(encoding="utf-8")))
