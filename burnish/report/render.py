"""A round as a page for people, as Markdown for a repository, as JSON for scripts, and as the card of its adapter."""

import json
import re

from burnish.records import ModelVersion, as_json
from burnish.report import words
from burnish.report.drawings import drawings
from burnish.report.facts import facts, masked, pages
from burnish.report.record import RoundReport
from burnish.report.story import story

SCHEMA_VERSION = 1


def render_html(report: RoundReport) -> str:
    """One self-contained page: no script, no network, light and dark, wide and narrow. Same report, same bytes."""
    return pages(html=True).get_template("page.html.j2").render(facts(report) | drawings(report))


def render_markdown(report: RoundReport) -> str:
    """The report in Markdown; data cannot make markup of its own."""
    return _tidy(pages(html=False).get_template("report.md.j2").render(facts(report)))


def render_json(report: RoundReport) -> str:
    """The whole report as one line of JSON with `schema_version`. Raises ValueError for a value that is not finite."""
    report = masked(report)
    told = {"headline": words.headline(report), "plain": words.plain_verdict(report), "story": story(report)}
    record = {"schema_version": SCHEMA_VERSION, **told, **as_json(report)}
    return json.dumps(record, ensure_ascii=True, allow_nan=False, default=dict)


def render_card(version: ModelVersion, report: RoundReport, *, library: str = "peft") -> str:
    """The README of a registry version: what it scores, where it comes from, where it ends; with hub front matter.

    `library` is what reads the files that it lies beside: peft (an adapter), transformers or gguf (whole models).
    """
    known = facts(report) | {"version": version, "library": library}
    return _tidy(pages(html=False).get_template("card.md.j2").render(known))


def render_bare_card(version: ModelVersion, *, library: str) -> str:
    """The same of a version that no round has judged: what it is, and no number."""
    return _tidy(pages(html=False).get_template("bare_card.md.j2").render(version=version, library=library))


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
