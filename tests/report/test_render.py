"""The report says what happened in any format, shows all data as text, and needs nothing but itself."""

import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import burnish.report
from burnish.gate.decide import public_view
from burnish.records import Interval, as_json, from_json
from burnish.report.record import Piece, RoundReport, SearchReport, SearchTrial
from burnish.report.render import render_card, render_html, render_json, render_markdown
from tests.report.sample_report import sample_report, sample_version, search

NOTHING = Interval(value=None, low=None, high=None, n=0)
PAYLOAD = "\"'><script>alert(1)</script><img src=x onerror=alert(1)> | `x` [a](javascript:alert(1)) {{ 7*7 }}\u202e"
FIXED = {"decision", "metric", "kind", "stopped", "created_at", "family", "direction", "unit", "why_missing", "verdict"}
FIXED |= {"approval"}
"""Words of ours, not of the data."""


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def poisoned(value: object, key: str = "") -> object:
    """The same JSON with every text, and every key of a free mapping, replaced by the payload."""
    if isinstance(value, str):
        return value if key in FIXED else PAYLOAD
    if isinstance(value, list | tuple):
        return [poisoned(item, key) for item in value]
    if isinstance(value, dict):
        free = key in ("roles", "labels", "slices", "sources", "rejected", "secrets", "versions") and not any(
            isinstance(item, dict) for item in value.values()
        )
        return {(PAYLOAD + name if free else name): poisoned(item, name) for name, item in value.items()}
    return value


def empty_report() -> RoundReport:
    return RoundReport(
        project="p",
        round=1,
        decision="INCONCLUSIVE",
        reason="no challenger",
        metric="accuracy",
        base="b",
        champion="b",
        challenger="none",
        before=NOTHING,
        after=NOTHING,
        gain=NOTHING,
    )


def test_the_headline_tells_the_round_in_one_line():
    title = re.search(r"<title>(.*?)</title>", render_html(sample_report()))[1]
    headline = "Right answers: 17.3% → 72.7%, gain +55.5 points [44.0, 65.2], promoted"
    assert title == f"Claims desk, round 2: {headline}"
    assert json.loads(render_json(sample_report()))["headline"] == headline


def test_the_page_needs_nothing_but_itself():
    page = render_html(sample_report())
    tags = Tags(page)
    assert not tags.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not tags.attributes & {"src", "href", "srcset"}
    assert not re.search(r"https?:|url\(|@import", page)
    assert "default-src 'none'" in page


def test_data_is_shown_as_text_and_never_run():
    report = from_json(RoundReport, poisoned(as_json(sample_report())))
    tags = Tags(render_html(report))
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert not [name for name in tags.attributes if name.startswith("on")]
    shown = " ".join(tags.text)
    assert "<script>alert(1)</script>" in shown
    assert "{{ 7*7 }}" in shown
    assert "\u202e" not in shown, "text that reverses the reading direction is made visible"


def test_markdown_and_card_hold_no_markup_from_data():
    report = from_json(RoundReport, poisoned(as_json(sample_report())))
    version = replace(sample_version(), base=PAYLOAD, name=PAYLOAD, data={PAYLOAD: PAYLOAD})
    for text in (render_markdown(report), render_card(version, report)):
        body = text.split("---\n", 2)[-1]
        outside_code = re.sub(r"(`+).*?\1", "", body)
        assert "<script" not in outside_code
        assert not re.search(r"(?<!\\)\]\(", outside_code), "no link"
        assert not re.search(r"[^\\]\| `x`", body), "no cell of its own"


def test_every_table_row_in_markdown_has_as_many_cells_as_its_head():
    report = from_json(RoundReport, poisoned(as_json(sample_report())))
    columns = 0
    for line in render_markdown(report).splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        columns = columns or cells
        assert cells == columns, line


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ("PROMOTE", "is now in use"),
        ("HOLD", "claims-r1 stays"),
        ("INCONCLUSIVE", "not proven that the new model is better"),
    ],
)
def test_every_decision_is_told_in_plain_words(decision, words):
    report = sample_report(decision=decision)
    for text in (render_html(report), render_markdown(report)):
        assert words in text
    in_use = "claims-r2" if decision == "PROMOTE" else "claims-r1"
    assert f"<dt>In use now</dt><dd>{in_use}</dd>" in render_html(report)


def test_a_gain_that_may_be_nothing_is_called_no_difference_seen():
    unsure = replace(sample_report().gain, value=0.02, low=-0.04, high=0.08)
    for decision in ("HOLD", "INCONCLUSIVE"):
        report = sample_report(decision=decision, gain=unsure, reason="on dev, too close to call")
        assert "No difference was seen on the 110" in render_html(report)
        assert "on dev, too close to call" in render_html(report)
    assert "No difference was seen on the" not in render_html(sample_report(decision="HOLD"))


def test_a_sealed_vault_shows_its_power_and_no_guard():
    sealed = public_view(replace(sample_report().verdict, decision="HOLD"), retired=False)
    page = render_html(sample_report(decision="INCONCLUSIVE", verdict=sealed))
    assert "stay sealed until this vault is retired" in page
    assert "Each question the gate asked" not in page
    assert "Smallest gain it can prove" in page


def test_a_round_that_opened_no_vault_says_so():
    unasked = replace(sample_report().verdict, decision="HOLD", num_rows=0, vault="", alpha=0.0, guards=())
    page = render_html(sample_report(decision="HOLD", verdict=unasked))
    assert "No vault was opened" in page
    assert "Smallest gain it can prove" not in page


def test_a_round_without_numbers_still_has_a_report():
    for text in (render_html(empty_report()), render_markdown(empty_report())):
        assert "n/a" in text
    assert json.loads(render_json(empty_report()))["before"]["value"] is None


def test_lost_rows_come_first_and_are_open():
    page = render_html(sample_report())
    assert page.index("2 right before, wrong now") < page.index("4 wrong before, right now")
    assert "<details open><summary>2 right before, wrong now" in page


def test_right_and_wrong_are_told_without_colour():
    page = render_html(sample_report())
    assert '<dd class="worse">&#x2717;<span class="unseen"> wrong:</span> documents missing</dd>' in page
    assert '<dd class="better">&#x2713;<span class="unseen"> right:</span> sign in</dd>' in page


def test_graded_scores_show_answers_and_call_none_of_them_right():
    told = sample_report()
    assert told.comparison is not None
    graded = replace(told, metric="token_f1", comparison=replace(told.comparison, metric="token_f1"))
    page, text = render_html(graded), render_markdown(graded)
    assert f"{told.comparison.overall.losses} score less than before, most changed first" in page
    assert f"{told.comparison.overall.wins} score more than before, most changed first" in text
    assert "<dd>sign in</dd>" in page
    assert "right before" not in page + text
    assert "&#x2713;" not in page


def test_the_learned_part_of_the_first_prompt_is_marked_without_colour():
    page = render_html(sample_report())
    assert "<mark>⟦payment status&lt;|im_end|&gt;⟧</mark>" in page.replace("&#x27E6;", "⟦").replace("&#x27E7;", "⟧")


def test_a_very_long_text_is_cut_in_its_middle_and_says_so():
    flip = replace(sample_report().comparison.flips[0], prompt="start " + "x" * 5000 + " end")
    page = render_html(sample_report(comparison=replace(sample_report().comparison, flips=(flip,))))
    assert "characters left out" in page
    assert "x" * 1000 not in page


def test_a_text_of_odd_characters_can_be_written_to_a_file():
    flip = replace(sample_report().comparison.flips[0], prompt="nul \x00 lone \ud800 bell \x07")
    report = sample_report(comparison=replace(sample_report().comparison, flips=(flip,)))
    for text in (render_html(report), render_markdown(report), render_json(report)):
        text.encode("utf-8")
        assert "\x00" not in text


def test_no_format_holds_personal_data_of_a_row():
    flip = replace(sample_report().comparison.flips[0], prompt="mail ann@x.org", before="ann@x.org", after="ann@x.org")
    report = sample_report(
        comparison=replace(sample_report().comparison, flips=(flip,)),
        first_prompt=(Piece(text="to ann@x.org", learned=False),),
    )
    for text in (render_html(report), render_markdown(report), render_json(report)):
        assert "ann@x.org" not in text
        assert "[email]" in text.replace("\\", "")


def test_json_is_one_line_with_a_schema_version_and_comes_back():
    text = render_json(sample_report())
    assert "\n" not in text
    record = json.loads(text)
    assert record.pop("schema_version") == 1
    record.pop("headline")
    assert from_json(RoundReport, record) == sample_report()


def test_the_same_report_gives_the_same_bytes():
    assert render_html(sample_report()) == render_html(sample_report())


def test_the_card_opens_with_front_matter_that_names_the_base():
    card = render_card(replace(sample_version(), base='x"\n- evil: 1'), sample_report())
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["base_model"] == 'x"\n- evil: 1'
    assert head["library_name"] == "peft"
    assert "`" + "c" * 64 + "`" in card


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_have_the_contrast_of_wcag_aa(theme):
    css = (Path(burnish.report.__file__).parent / "page.css").read_text()
    block = re.search(rf"macro {theme}\(\) %}}(.*?)\{{%", css)[1]
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block))
    for text in ("ink", "soft", "after", "better", "worse", "unsure"):
        for ground in ("paper", "card", "tint"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark in ("before", "after"):
        assert contrast(colours[mark], colours["paper"]) >= 3.0, mark


def test_a_search_shows_its_best_trials_counts_the_rest_and_says_why_one_was_taken():
    report = sample_report()
    html, markdown = render_html(report), render_markdown(report).replace("\\", "")
    for text in (html, markdown):
        assert "a search tried 16 settings on 452 training rows: 7 came to an end of their own, 8 left behind" in text
        assert "1 diverged." in text
        assert "Trial 2 was chosen: 75.0% is within one standard error" in text
        assert "This round trained with its settings." in text
        assert "And 4 more" in text
        assert "lr 0.0012, rank 16, batch 8, 6 epochs, human weight 3, replay 5%" in text
    rows = re.findall(r"^\| (\d+)( \(chosen\))? \| lr", markdown, re.MULTILINE)
    assert len(rows) == 12
    assert [number for number, chosen in rows if chosen] == ["2"]
    assert "| 75.0% [66.2, 82.1] |" in markdown
    assert len(json.loads(render_json(report))["search"][0]["trials"]) == 16


def test_the_chosen_trial_is_in_the_table_wherever_it_ranks():
    markdown = render_markdown(sample_report(search=(search(chosen=15),))).replace("\\", "")
    assert re.search(r"^\| 15 \(chosen\) \|", markdown, re.MULTILINE)
    assert "And 4 more" in markdown


def test_a_search_in_two_parts_has_a_title_for_each():
    parts = (search(num_rows=100, reason="the best of those that were trained again on all 452 rows"), search())
    html = render_html(sample_report(search=parts))
    assert html.index("On 100 of 452 rows") < html.index("The best again, on all 452 rows")


def test_a_search_whose_settings_were_not_taken_or_that_had_not_ended_says_so():
    assert "This round did not train with its settings" in render_html(sample_report(search=(search(is_used=False),)))
    page = render_html(sample_report(search=(search(chosen=None, best=None, reason="", is_used=False),)))
    assert "had not ended when this round began, so nothing was chosen" in page
    assert "of the chosen trial" not in page


def test_a_round_without_a_search_says_nothing_about_one():
    for text in (render_html(empty_report()), render_markdown(empty_report())):
        assert "search" not in text.split("</style>")[-1].lower()


def test_every_format_tells_what_was_done_with_the_paired_numbers():
    report = sample_report()
    html = " ".join("".join(Tags(render_html(report)).text).split())
    markdown, data = render_markdown(report).replace("\\", "").replace("&lt;", "<"), json.loads(render_json(report))
    assert len(data["story"]) == 6
    for step in data["story"]:
        assert step in html
        assert step in markdown
    told = " ".join(data["story"])
    assert "65 won, 4 lost, 41 unchanged (two-sided p <0.001)" in told
    assert "gains from about 13.2 points" in told
    assert "attempt 1 of 3; so many rows can prove gains from 15 points" in told


def test_training_that_learned_nothing_is_told_against_guessing():
    report = sample_report()
    idle = tuple(replace(trial, learned=False) for trial in report.trials)
    told = " ".join(json.loads(render_json(replace(report, trials=idle)))["story"])
    assert "Training learned nothing: held-out loss 0.61 nats per token, 4.16 would be guessing." in told
    assert "Training learned nothing" not in " ".join(json.loads(render_json(report))["story"])


def test_the_samples_of_a_warning_are_folded_but_there():
    report = sample_report(warnings=("r1: zero: all 9 rows score exactly 0. Samples: a: 'x' (expected 'y')",))
    html = render_html(report)
    assert "<details><summary>three of them</summary>a: &#39;x&#39; (expected &#39;y&#39;)</details>" in html
    assert "Samples: a" in render_markdown(report)


def test_markdown_has_every_table_of_the_data():
    markdown = render_markdown(sample_report()).replace("\\", "")
    for row in ("| train | 452 |", "| payment status | 263 |", "| channel=web | 571 |", "| no-answer | 6 |"):
        assert row in markdown


def test_every_field_of_the_report_and_of_its_search_is_in_the_reference():
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z_]+)`", reference.split("### burnish report")[1].split("### burnish plan")[0]))
    for record in (RoundReport, SearchReport, SearchTrial):
        assert {field.name for field in fields(record)} - documented == set(), record.__name__
