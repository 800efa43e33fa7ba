"""The review page over plain forms: blind, exact to one decision, told in words, and of use without a script."""

import json
import re
import time

import pytest

from burnish.config import Settings
from burnish.loop.auditing import held_batches, sample_of
from burnish.loop.project import create_project
from burnish.loop.reviewing import plan_reviews
from burnish.loop.rubric import JUDGING
from burnish.loop.task import task_of_project
from burnish.records import Task
from burnish.store.claims import Wish, claim_items, decide_item
from burnish.store.reviews import add_items, review_items, review_log
from burnish.web.fields import answer_from, fields_of
from tests.web.asked import BETTER, DRAFT, OTHER, label_question, pair_question, run_out, text_project, text_question
from tests.web.conftest import ACCESS, Site, stranger
from tests.web.furnished import BATCH
from tests.web.test_pages import words

QUEUES = ("blind", "correction", "preference")


def reader(site: Site, name: str = "ann") -> Site:
    """Somebody else with the same key, under a name."""
    client = stranger(site.project.folder)
    client.cookies.set(ACCESS.cookie, ACCESS.session)
    other = Site(site.project, client)
    assert other.post("/review/name", {"name": name}).status_code == 303
    return other


def form_of(site: Site, act: str = "", **changes: str) -> dict[str, str]:
    """The fields of the question on the page, as a browser without a script would send them."""
    form = site.get("/review").text.split('<form class="question"')[1].split("</form>")[0]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
    return {**hidden, "act": act, **changes}


def decide(site: Site, act: str, **changes: str):
    return site.post("/review/decide", form_of(site, act, **changes))


def told(site: Site) -> list[tuple[str, str]]:
    return [(entry.kind, entry.text) for entry in review_log(site.project.store)]


@pytest.fixture
def ann(site) -> Site:
    add_items(site.project.store, [label_question(number) for number in range(4)])
    return reader(site)


@pytest.fixture
def writer(tmp_path) -> Site:
    """Somebody who is asked about one written answer."""
    project = text_project(tmp_path / "letters", [text_question()])
    return reader(Site(project, stranger(project.folder)))


def test_nothing_on_the_page_leads_a_reviewer(site):
    item = label_question(0, draft="deny", draft_by="champion-7", probability=0.125)
    check = label_question(1, queue="correction", draft="pay", is_check=True)
    plain = label_question(2, queue="correction", draft="pay", given="pay")
    pages = {}
    for one in (item, check, plain):
        own = reader(site, f"r{one.example}")
        add_items(site.project.store, [one])
        claim_items(site.project.store, f"r{one.example}", now_s=time.time(), queues=QUEUES)
        seen = own.get("/review").text.replace(one.name, "NAME").replace(one.example, "row")
        pages[one.example] = re.sub(r'name="shown" value="\d+"', "", seen)
    blind = pages["row-0"]
    assert "champion-7" not in blind
    assert "0.125" not in blind
    assert "proposed" not in blind
    labels = re.findall(r'value="label:(\w+)"[^>]*>', blind)
    assert labels == list(task_of_project(site.project).labels)
    assert pages["row-1"].replace("number 1", "number 2") == pages["row-2"]


def test_it_asks_for_a_name_once_and_refuses_what_is_none(site):
    client = Site(site.project, site.client)
    assert "Who are you?" in words(client.get("/review").text)
    for name in ("", "   ", "x" * 101, "a\x07b"):
        assert client.post("/review/name", {"name": name}).status_code == 400
    answer = client.post("/review/name", {"name": " Ann  Løv "})
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "You are Ann Løv." in words(client.get("/review").text)
    assert 'value="Ann Løv"' in client.get("/review?who").text


def test_an_answer_is_kept_with_its_time_and_the_next_question_is_there(ann):
    seen = ann.get("/review").text
    assert "4 left for you, about 2 min" in " ".join(words(seen).split())
    assert "question number 0" in seen.split("<template")[0]
    assert "question number 1" in seen.split("<template")[1]
    shown = str(int(time.time()) - 9)
    assert decide(ann, "label:pay", shown=shown, note=" sure\n enough ").status_code == 303
    assert decide(ann, "label:deny", seconds="2.5").status_code == 303
    assert decide(ann, "skip", seconds="1e9").status_code == 303
    log = review_log(ann.project.store)
    assert [(one.kind, one.text, one.reviewer) for one in log] == [
        ("label", "pay", "ann"),
        ("label", "deny", "ann"),
        ("skip", "", "ann"),
    ]
    assert 9 <= log[0].seconds < 12
    assert [one.seconds for one in log[1:]] == [2.5, 600.0]
    assert log[0].note == "sure enough"
    assert "question number 3" in ann.get("/review").text


def test_beyond_a_thousand_nothing_is_counted(ann):
    add_items(ann.project.store, [label_question(number) for number in range(4, 1010)])
    assert "More than 1 000 left for you You are ann" in " ".join(words(ann.get("/review").text).split())


def test_who_prefers_it_gets_the_next_question_as_the_answer_to_a_form(ann):
    answer = ann.post("/review/decide", form_of(ann, "label:pay"), prefer="return=representation")
    assert answer.status_code == 200
    assert "question number 1" in answer.text.split("<template")[0]
    assert told(ann) == [("label", "pay")]


def test_a_form_sent_twice_counts_once_and_an_old_one_never_overwrites(ann):
    form = form_of(ann, "label:pay")
    assert [ann.post("/review/decide", form).status_code for _ in range(3)] == [303] * 3
    other = ann.post("/review/decide", {**form, "act": "label:deny"})
    assert other.status_code == 400
    assert "You have decided label (pay) on this question before; nothing was changed." in words(other.text)
    assert "question number 1" in other.text
    assert ann.post("/review/decide", {**form, "turn": "3"}).status_code == 400
    assert ann.post("/review/decide", {**form, "turn": "x"}).status_code == 400
    assert told(ann) == [("label", "pay")]


@pytest.mark.parametrize("act", ["", "label:", "label:no such", "accept", "undo", "prefer-a", "label"])
def test_what_is_no_answer_to_the_question_is_refused_in_words(ann, act):
    refused = decide(ann, act)
    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert told(ann) == []


def test_the_last_answers_are_taken_back_one_by_one_and_come_first_again(ann):
    for label in ("pay", "deny"):
        decide(ann, f"label:{label}")
    for number in (1, 0):
        page = ann.get("/review").text.split('id="undo"')[1]
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
        assert [ann.post("/review/undo", form).status_code for _ in range(2)] == [303] * 2
        assert f"question number {number}" in ann.get("/review").text.split("<template")[0]
    assert 'id="undo"' not in ann.get("/review").text
    assert decide(ann, "label:refer").status_code == 303
    assert [kind for kind, _ in told(ann)] == ["label", "label", "undo", "undo", "label"]
    stale = {"item": form["item"], "turn": "9", "by": "ann"}
    assert ann.post("/review/undo", stale).status_code == 400


def test_who_comes_late_is_told_and_keeps_what_they_wrote(writer):
    form = form_of(writer, "edit", text=BETTER, shown=str(int(time.time()) - 2000))
    run_out(writer.project)
    bob = reader(writer, "bob")
    assert bob.get("/review").text.count('<form class="question"') == 1
    refused = writer.post("/review/decide", form)
    seen = " ".join(words(refused.text).split())
    assert refused.status_code == 409
    assert "The 15 minutes in which it was kept for you were over. This question is held now by bob" in seen
    assert BETTER in seen
    assert "Nothing is left for you" in seen
    assert decide(bob, "edit", text=BETTER).status_code == 303
    assert [entry.reviewer for entry in review_log(writer.project.store)] == ["bob"]


def test_a_page_of_another_reviewer_saves_nothing(ann):
    form = form_of(ann, "label:pay")
    refused = reader(ann, "bob").post("/review/decide", form)
    assert refused.status_code == 400
    assert "made for ann, and here is bob now" in words(refused.text)
    assert told(ann) == []


def test_a_draft_shows_what_the_prompt_does_not_support_and_changes_are_measured(writer):
    seen = writer.get("/review").text
    assert re.findall(r"<mark>([^<]*)<", seen) == ["45 euros", "Dr Brown"]
    refused = decide(writer, "accept", text=BETTER)
    assert refused.status_code == 400
    assert "called right as it was" in words(refused.text)
    assert decide(writer, "edit", text=f"{DRAFT[:30]}{DRAFT[31:]}x\r\n").status_code == 303
    entry = review_log(writer.project.store)[0]
    assert (entry.kind, entry.edit_distance) == ("edit", 2)


@pytest.mark.parametrize("purpose", JUDGING)
def test_nothing_is_marked_where_people_judge_what_a_judge_is_tested_by(writer, purpose):
    """And where support alone is asked about there is a yes and a no, and nothing to write."""
    claims = claim_items(writer.project.store, "ann", now_s=time.time(), queues=QUEUES)
    decide_item(writer.project.store, claims[0].item.name, "ann", 1, Wish("accept", ""), now_s=time.time())
    add_items(writer.project.store, [text_question(7, purpose=purpose)])
    seen = writer.get("/review").text
    assert DRAFT in words(seen)
    assert "<mark>" not in seen
    assert ("<textarea" in seen) == ("Save my change" in seen) == (purpose != "support")
    assert decide(writer, "reject").status_code == 303
    assert review_log(writer.project.store)[-1].kind == "reject"


def test_an_edit_that_changes_nothing_is_the_draft_accepted(writer):
    assert decide(writer, "edit", text=f"{DRAFT}\r\n").status_code == 303
    assert told(writer) == [("accept", "")]


def test_a_preference_has_its_reason_and_no_author(tmp_path):
    project = text_project(tmp_path / "letters", [pair_question()])
    ann = reader(Site(project, stranger(project.folder)))
    seen = ann.get("/review").text
    assert OTHER in seen
    assert "model-" not in seen
    assert decide(ann, "prefer-b", note="correct").status_code == 303
    entry = review_log(project.store)[0]
    assert (entry.kind, entry.note) == ("prefer-b", "correct")


FIELDS = Task(kind="fields", fields={"name": "exact", "amount": "number"})


def test_fields_are_lines_of_a_form_and_become_an_answer_again():
    before = '{"name":"Ann","amount":45,"paid":true}'
    shown = fields_of(FIELDS, before, {"amount": ("45",)})
    assert [(one.name, one.value, one.doubts) for one in shown] == [
        ("name", "Ann", ()),
        ("amount", "45", ("45",)),
        ("paid", "true", ()),
    ]
    form = {f"field:{one.name}": one.value for one in shown}
    assert answer_from(form, FIELDS, before) == before
    changed = answer_from({**form, "field:amount": " 42.5 ", "field:name": "Bo"}, FIELDS, before)
    assert json.loads(changed) == {"name": "Bo", "amount": 42.5, "paid": True}
    assert answer_from({"field:name": "Bo", "field:amount": "7"}, FIELDS, "") == '{"name":"Bo","amount":7}'
    assert answer_from({"field:name": "", "field:amount": " "}, FIELDS, "") == ""
    assert fields_of(FIELDS, "no object", {}) == ()
    assert fields_of(Task(kind="text"), before, {}) == ()


def test_a_question_with_fields_needs_no_json(tmp_path):
    answer = '{"name":"Ann","amount":45}'
    item, usual = text_question(draft=answer, given=answer), '{"name":"Bo","amount":7}'
    project = text_project(tmp_path / "letters", [item], "fields", usual)
    ann = reader(Site(project, stranger(project.folder)))
    seen = ann.get("/review").text
    assert 'name="field:amount" value="45"' in seen
    assert "Not found in what was asked: 45" in " ".join(words(seen).split())
    assert decide(ann, "edit", **{"field:name": "Ann", "field:amount": "42"}).status_code == 303
    assert told(ann) == [("edit", '{"name":"Ann","amount":42}')]


def test_the_last_answer_of_an_audit_judges_the_batch_and_taking_it_back_undoes_that(site):
    store = site.project.store
    plan_reviews(site.project, count=0)
    ann, right = reader(site), {one.name: one.given for one in review_items(store)}
    for _ in range(12):
        form = form_of(ann)
        done = ann.post("/review/decide", {**form, "act": f"label:{right[form['item']]}"})
    assert done.headers["location"] == "/review?done=accepted"
    assert "its batch may train" in ann.get("/review?done=accepted").text
    assert held_batches(site.project)[0].audit.status == "accepted"
    undo = {"item": form["item"], "turn": "1", "by": "ann"}
    assert ann.post("/review/undo", undo).status_code == 303
    assert held_batches(site.project)[0].audit.status == "not audited"
    # A server that was killed between the last answer and the verdict: the next look at the page makes up for it.
    decide_item(store, form["item"], "ann", 3, Wish("label", right[form["item"]]), now_s=time.time())
    assert held_batches(site.project)[0].audit.status == "not audited"
    assert "Every question is answered" in ann.get("/review").text
    assert held_batches(site.project)[0].audit.status == "accepted"


def test_an_empty_queue_is_filled_from_the_page_in_the_background(site):
    ann = reader(site)
    seen = ann.get("/review").text
    assert "Choose questions" in seen
    assert "No question has been chosen for people so far." in seen
    assert "Every question is answered" not in seen
    assert ann.post("/review/plan", {"more": "yes"}).status_code == 303
    until = time.monotonic() + 60
    while time.monotonic() < until and '<form class="question"' not in (page := ann.get("/review").text):
        assert 'http-equiv="refresh" content="2"' in page or '<form class="question"' in page
        time.sleep(0.05)
    assert len(sample_of(site.project, held_batches(site.project)[0])) <= len(review_items(site.project.store))
    assert f"Audit the batch {BATCH}" in ann.get("/").text
    assert re.search(r"Answer \d+ questions", words(ann.get("/").text))


def test_a_plan_that_fails_is_told(tmp_path):
    project = create_project(tmp_path / "empty", Settings())
    ann = reader(Site(project, stranger(project.folder)))
    ann.post("/review/plan", {"more": "yes"})
    until = time.monotonic() + 60
    while "being chosen" in (page := ann.get("/review").text) and time.monotonic() < until:
        time.sleep(0.05)
    assert "The project has no data yet." in words(page)


def test_a_long_session_is_told_kindly_and_a_break_ends_it(ann):
    form = form_of(ann)
    decide_item(ann.project.store, form["item"], "ann", 1, Wish("label", "pay", seconds=80 * 60), now_s=time.time())
    seen = " ".join(words(ann.get("/review").text).split())
    assert "Time for a break? This session has lasted 80 minutes." in seen
    assert "Time for a break" not in reader(ann, "bob").get("/review").text


def test_an_item_that_is_none_is_told(ann):
    missing = ann.post("/review/decide", {"by": "ann", "item": "x", "turn": "1", "act": "skip"})
    assert missing.status_code == 400
    assert "There is no review item 'x'." in words(missing.text)
