"""What the pages show and what their forms do: through the project's own functions, once, and blind where asked."""

import html
import re
from collections import Counter

import pytest

from burnish.loop.auditing import held_batches, sample_of
from burnish.loop.canary import start
from burnish.registry import champion, history, promote, rollback
from burnish.web.data import PAGE_ROWS, Wanted, choices, find
from burnish.web.faults import PATH
from tests.cli.calls import burnish
from tests.web.furnished import ACTIONS, BATCH, EVERY, SECRET


def words(text: str) -> str:
    """What a reader sees of a page."""
    return html.unescape(re.sub(r"<[^>]*>", " ", text))


def test_the_overview_says_what_is_in_use_what_waits_and_what_is_left(site):
    seen = words(site.get("/").text)
    assert "round-1" in seen
    assert f"Audit the batch {BATCH}" in seen
    assert "12 synthetic rows wait" in seen
    assert "no limit" in seen


def test_a_vaults_texts_are_on_no_page(site):
    pages = [*EVERY, f"/batches/{BATCH}/audit", "/data?role=vault_1", "/data?part=channel%3Dweb"]
    for path in pages:
        assert SECRET not in site.get(path).text, path
    sealed = find(site.project, Wanted(role="vault_1"), 1)
    assert sealed.total == 10
    assert all(row.is_sealed and not row.prompt and not row.answer for row in sealed.rows)


def test_rows_are_filtered_by_role_slice_and_origin_and_come_in_pages(site):
    assert [row.role for row in find(site.project, Wanted(role="dev_a"), 1).rows] == ["dev_a"] * 10
    assert find(site.project, Wanted(part="channel=web"), 1).total == 30
    assert find(site.project, Wanted(part="channel=phone"), 1).total == 0
    assert choices(Counter({f"customer={number}": 1 for number in range(21)} | {"channel=web": 9})) == ["channel=web"]
    assert find(site.project, Wanted(origin="synthetic"), 1).total == 0
    assert find(site.project, Wanted(), 2).rows == []
    assert PAGE_ROWS >= 30
    assert site.get("/data?page=999999999999&role=nothing").status_code == 200


def test_a_round_shows_its_report_and_where_it_comes_from(site):
    seen = words(site.get("/rounds/1").text)
    assert "Where it comes from" in seen
    assert "hash-round-1" in seen
    assert "<script" not in site.get("/rounds/1/report").text
    assert site.get("/rounds/2").status_code == 404


def test_the_audit_is_blind_on_the_form_and_before_it(site):
    sample = sample_of(site.project, held_batches(site.project)[0])
    form = site.get(f"/batches/{BATCH}/audit").text
    for row in sample:
        part = form.split(f'data-row="{row.id}"')[1].split("</fieldset>")[0]
        assert set(re.findall(r'value="([^"]*)"', part)) == {*ACTIONS, "?"}
        assert "checked" not in part
    before = site.get(f"/batches/{BATCH}").text
    assert before.count("kept back until the audit") == len(sample)


def answers(site, wrong: int = 0) -> dict[str, str]:
    rows = sample_of(site.project, held_batches(site.project)[0])
    told = {f"answer:{row.id}": row.answer for row in rows}
    for name in list(told)[:wrong]:
        told[name] = "?"
    return told


def test_judgements_become_the_audit_and_a_second_reader_changes_nothing(site):
    done = site.post(f"/batches/{BATCH}/audit", answers(site, wrong=2) | {"by": "ann"})
    assert (done.status_code, done.headers["location"]) == (303, f"/batches/{BATCH}")
    audit = held_batches(site.project)[0].audit
    assert (audit.status, audit.n, audit.correct, audit.by) == ("accepted", 12, 10, "ann")
    again = site.post(f"/batches/{BATCH}/audit", answers(site, wrong=12) | {"by": "bob"})
    assert again.status_code == 303
    assert held_batches(site.project)[0].audit == audit
    assert site.get(f"/batches/{BATCH}/audit").status_code == 303
    seen = words(site.get(f"/batches/{BATCH}").text)
    assert "10 of 12 right" in " ".join(seen.split())
    assert "kept back" not in seen


@pytest.mark.parametrize(
    "change",
    [
        {"by": ""},
        {"by": "x" * 600},
        {"answer:no-such-row": "pay"},
        {"answer:made-0 ": "no-such-label"},
        {"answer:made-0 ": ""},
    ],
    ids=str,
)
def test_a_form_that_is_not_whole_keeps_what_was_filled_in(site, change):
    refused = site.post(f"/batches/{BATCH}/audit", answers(site) | {"by": "ann"} | change)
    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert refused.text.count(" checked") >= 11
    assert held_batches(site.project)[0].audit.status == "not audited"


def test_a_model_is_promoted_with_a_reason_and_past_the_gate_only_when_forced(site):
    form = {"seen": "round-1", "name": "round-2", "reason": "we need it"}
    refused = site.post("/models/promote", form)
    assert refused.status_code == 400
    assert "the gate did not pass round-2" in words(refused.text).lower()
    assert site.post("/models/promote", form | {"reason": " "}).status_code == 400
    assert site.post("/models/promote", form | {"name": "round-9", "force": "yes"}).status_code == 400
    assert champion(site.project.store).name == "round-1"
    assert site.post("/models/promote", form | {"force": "yes"}).status_code == 303
    assert champion(site.project.store).name == "round-2"
    assert history(site.project.store)[-1].by == "forced by hand"


def test_a_canary_that_runs_is_told_on_the_page_of_models(site):
    assert "Canary" not in words(site.get("/models").text)
    start(site.project, "round-2", mode="split", by="ann", reason="we need it", force=True)
    assert "Canary of round-2 at 1% against round-1: no outcome yet." in words(site.get("/models").text)


def test_the_base_has_the_scores_that_a_round_measured(site):
    row = words(site.get("/models").text.partition('scope="row">base')[2].partition("</tr>")[0])
    assert "accuracy 30.0%" in row
    assert "not scored" not in words(site.get("/models").text)
    (listed,) = [one for one in models_told(site) if one["name"] == "base"]
    assert (listed["scores"]["accuracy"]["value"], listed["scores"]["accuracy"]["n"]) == (0.3, 10)
    rollback(site.project.store, "worse")
    assert "accuracy 30.0%" in words(site.get("/").text)


def models_told(site):
    return burnish("models", "--project", site.project.folder, "--json").data["models"]


def test_the_page_of_the_monitor_says_which_model_it_is_about_when_another_one_is_in_use(site):
    assert "is in use now" not in words(site.get("/watch").text)
    promote(site.project.store, "round-2", "better", "test")
    seen = " ".join(words(site.get("/watch").text).split())
    assert "round-2 is in use now, and the last look was at round-1" in seen
    assert f"burnish watch {site.project.option}" in seen


def test_a_second_click_rolls_back_no_further(site):
    form = {"seen": "round-1", "reason": "it was worse"}
    assert site.post("/models/rollback", form).status_code == 303
    again = site.post("/models/rollback", form)
    assert again.status_code == 409
    assert "has changed" in again.text
    assert champion(site.project.store).name == "base"
    assert history(site.project.store)[-1].reason == "it was worse"


@pytest.mark.parametrize("text", ["/tmp/x", "see /home/ann/desk", "C:\\desk", "in .burnish", "a/b/c.json"])
def test_a_path_is_seen_in_a_message(text):
    assert PATH.search(text)


def test_an_ordinary_message_holds_no_path():
    assert not PATH.search("the gate did not pass round-2: its verdict was HOLD, and/or never asked for")


def test_an_empty_project_has_every_page(tmp_path):
    from burnish.config import Settings
    from burnish.loop.project import create_project
    from tests.web.conftest import ACCESS, stranger

    client = stranger(create_project(tmp_path / "empty", Settings()).folder)
    client.cookies.set(ACCESS.cookie, ACCESS.session)
    for path in ("/", "/review", "/rounds", "/data", "/batches", "/models", "/costs", "/watch"):
        assert client.get(path).status_code == 200, path
