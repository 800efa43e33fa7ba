"""Users: nothing answers without the session of one, each role opens what is its own, and names are theirs."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from burnish.loop.auditing import held_batches, sample_of
from burnish.loop.integrity import check_log
from burnish.loop.past import DONE_FILE, RESULT_FILE, results, round_folder
from burnish.loop.project import Project, open_project
from burnish.loop.rendering import REPORT_RECORD
from burnish.loop.result import save_result
from burnish.records import as_json
from burnish.registry import champion, history
from burnish.store.users import ROLES, add_user, remove_user, session_of, users
from burnish.web.access import check_access
from burnish.web.app import make_pages
from burnish.web.desk import Desk
from burnish.web.guard import START
from tests.report.sample_report import sample_report
from tests.web.conftest import ACCESS, ORIGIN, stranger
from tests.web.furnished import BATCH
from tests.web.live import serving
from tests.web.screen import launched

NAMES = {"reviewer": "ann", "engineer": "bob", "approver": "eve"}


@pytest.fixture
def project(tmp_path: Path, furnished: Path) -> Project:
    """The furnished project, with a round 2 that waits for an approval."""
    made = open_project(Path(shutil.copytree(furnished, tmp_path / "desk")))
    first, folder = results(made)[0], round_folder(made, 2)
    folder.mkdir()
    (folder / REPORT_RECORD).write_text(json.dumps(as_json(replace(sample_report(), challenger="round-2"))))
    second = replace(first, round=2, challenger="round-2", previous_champion="round-1", approval="waiting")
    save_result(folder / RESULT_FILE, second)
    (folder / DONE_FILE).touch()
    return made


@pytest.fixture
def tokens(project: Project) -> dict[str, str]:
    """A user of each role."""
    return {role: add_user(project.store, name, role) for role, name in NAMES.items()}


def as_user(project: Project, token: str) -> TestClient:
    """A client that came in by its own start address."""
    client = stranger(project.folder)
    assert client.get(f"{START}?token={token}").status_code == 200
    return client


def post(client: TestClient, path: str, data: dict[str, str]) -> Any:
    return client.post(path, data=data, headers={"origin": ORIGIN}, follow_redirects=False)


def every_route(project: Project) -> Iterator[tuple[str, str]]:
    app = make_pages(Desk(folder=project.folder, access=ACCESS))
    for route in app.routes:
        if isinstance(route, Route):
            path = route.path.replace("{number}", "1").replace("{name}", BATCH)
            for method in {*(route.methods or ()), "POST", "DELETE", "OPTIONS", "HEAD"}:
                yield method, path


def test_no_route_answers_to_whoever_is_no_user(project, tokens):
    strangers = {"nobody": None, "the server's own": ACCESS.session, "a token": tokens["approver"]}
    gone = session_of(add_user(project.store, "gone", "engineer"))
    remove_user(project.store, "gone")
    for who, session in (strangers | {"removed": gone}).items():
        client = stranger(project.folder)
        if session:
            client.cookies.set(ACCESS.cookie, session)
        for method, path in every_route(project):
            answer = client.request(method, path, headers={"origin": ORIGIN})
            assert answer.status_code == 401, f"{who}: {method} {path}"
            assert "desk" not in answer.text


BY_ROLE = {
    ("GET", "/"): "reviewer engineer approver",
    ("GET", "/static/web.css"): "reviewer engineer approver",
    ("GET", "/batches"): "reviewer engineer approver",
    ("GET", "/compare"): "engineer approver",
    ("GET", f"/batches/{BATCH}"): "reviewer engineer approver",
    ("GET", f"/batches/{BATCH}/audit"): "reviewer engineer approver",
    ("POST", f"/batches/{BATCH}/audit"): "reviewer engineer",
    ("GET", "/rounds"): "engineer approver",
    ("GET", "/rounds/1"): "engineer approver",
    ("GET", "/rounds/1/report"): "engineer approver",
    ("GET", "/data"): "engineer approver",
    ("GET", "/models"): "engineer approver",
    ("GET", "/costs"): "engineer approver",
    ("GET", "/watch"): "engineer approver",
    ("POST", "/models/promote"): "engineer approver",
    ("POST", "/models/rollback"): "engineer approver",
    ("POST", "/models/approve"): "approver",
    ("POST", "/a/page/that/comes/later"): "engineer",
    ("GET", "/a/page/that/comes/later"): "engineer approver",
    ("POST", "/modelsapprove"): "engineer",
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_what_is_its_own_and_nothing_else(project, tokens, role):
    client = as_user(project, tokens[role])
    opened = set()
    for method, path in BY_ROLE:
        answer = post(client, path, {"x": "1"}) if method == "POST" else client.get(path)
        assert answer.status_code in (200, 400, 403, 404, 409), f"{method} {path}: {answer.status_code}"
        opened |= {(method, path)} if answer.status_code != 403 else set()
    assert opened == {place for place, roles in BY_ROLE.items() if role in roles.split()}


def test_every_page_there_is_stands_in_the_table_of_roles_or_below_one_that_does(project):
    places = {path.split("/")[1] for _, path in BY_ROLE} | {"start", "review"}
    assert {path.split("/")[1] for _, path in every_route(project)} <= places


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_and_the_tasks_are_those_of_the_role(project, tokens, role):
    page = as_user(project, tokens[role]).get("/").text
    assert f"You are {NAMES[role]}, {role}." in page
    assert ('href="/costs"' in page) == (role != "reviewer")
    assert (f"Audit the batch {BATCH}" in page) == (role != "approver")
    assert ("Approve or refuse round 2" in page) == (role == "approver")


def test_who_audits_is_whoever_is_there_and_not_what_the_form_says(project, tokens):
    client = as_user(project, tokens["reviewer"])
    assert 'name="by"' not in client.get(f"/batches/{BATCH}/audit").text
    rows = sample_of(project, held_batches(project)[0])
    answers = {f"answer:{row.id}": row.answer for row in rows} | {"by": "somebody else"}
    assert post(client, f"/batches/{BATCH}/audit", answers).status_code == 303
    assert held_batches(project)[0].audit.by == "ann"


def test_an_approver_answers_once_under_the_own_name_and_an_engineer_sees_no_form(project, tokens):
    form = {"round": "2", "answer": "approve", "reason": "legal agrees", "by": "somebody else"}
    engineer, approver = as_user(project, tokens["engineer"]), as_user(project, tokens["approver"])
    assert "waits for an approval" in engineer.get("/models").text
    for place in ("/models", "/rounds", "/rounds/2", "/"):
        assert "Passed, waits for approval" in engineer.get(place).text, place
    assert 'action="/models/approve"' not in engineer.get("/models").text
    assert post(engineer, "/models/approve", form).status_code == 403
    assert champion(project.store).name == "round-1"
    for wrong in ({"answer": "maybe"}, {"round": "x"}, {"reason": " "}, {"round": "9"}):
        assert post(approver, "/models/approve", form | wrong).status_code == 400, wrong
    assert post(approver, "/models/approve", form).status_code == 303
    assert champion(project.store).name == "round-2"
    assert history(project.store)[-1].by == "round 2, approved by eve"
    refused = post(approver, "/models/approve", form | {"answer": "refuse"})
    assert (refused.status_code, "was approved by eve" in refused.text) == (400, True)


def test_where_approvals_are_asked_for_a_promotion_in_the_browser_needs_an_approver(project, tokens):
    path = project.folder / "burnish.yaml"
    path.write_text(path.read_text().replace("required: false", "required: true"))
    form = {"seen": "round-1", "name": "base", "reason": "back to the start"}
    refused = post(as_user(project, tokens["engineer"]), "/models/promote", form)
    assert (refused.status_code, "needs an approver" in refused.text) == (400, True)
    assert post(as_user(project, tokens["approver"]), "/models/promote", form).status_code == 303
    assert history(project.store)[-1].by == "eve, by hand"


def test_a_session_ends_with_the_user_and_the_last_one_opens_the_project_as_before(project, tokens):
    client = as_user(project, tokens["engineer"])
    assert client.get("/costs").status_code == 200
    remove_user(project.store, "bob")
    assert client.get("/costs").status_code == 401
    assert add_user(project.store, "bob", "reviewer") != tokens["engineer"]
    assert client.get("/costs").status_code == 401
    for user in users(project.store):
        remove_user(project.store, user.name)
    alone = stranger(project.folder)
    assert alone.get(f"{START}?token={ACCESS.token}").status_code == 200
    assert alone.get("/costs").status_code == 200
    assert not any("user" in one.what for one in check_log(project).breaks)


def test_neither_a_token_nor_a_session_is_kept_and_the_one_does_not_show_in_the_other(project, tokens):
    kept = project.store.db.path.read_bytes()
    for token in tokens.values():
        assert len(token) >= 43
        assert token.encode() not in kept
        assert session_of(token).encode() not in kept
    client = stranger(project.folder)
    cookie = client.get(f"{START}?token={tokens['reviewer']}").headers["set-cookie"]
    assert tokens["reviewer"] not in cookie
    assert "HttpOnly" in cookie
    assert client.get(f"{START}?token={ACCESS.token}").status_code == 401


def test_with_users_a_server_may_listen_for_others_without_a_token_of_its_own():
    assert len(check_access("10.0.0.5", None, has_users=True)) >= 43


def test_in_a_real_browser_an_approver_comes_in_by_the_own_address_and_approves(project, tokens):
    with launched() as browser, serving(project.folder) as access:
        page = browser.new_page()
        page.goto(f"{access.url}start?token={tokens['approver']}")
        page.wait_for_url(access.url)
        page.get_by_role("link", name="Approve or refuse round 2").click()
        form = page.locator('form[action="/models/approve"]')
        form.get_by_label("Reason").fill("legal agrees")
        form.get_by_role("button", name="Approve").click()
        page.get_by_text("round 2, approved by eve").wait_for()
    assert champion(project.store).name == "round-2"
