"""Nothing answers without the token, to another name, or to a form from elsewhere; and every answer is safe to show."""

import asyncio

import pytest
from starlette.routing import Route

from burnish.errors import UsageError
from burnish.web.access import Access, check_access
from burnish.web.app import make_pages
from burnish.web.desk import Desk
from burnish.web.guard import MOST_BODY_BYTES, START, Guard
from tests.web.conftest import ACCESS, ORIGIN, stranger
from tests.web.furnished import BATCH, EVERY

PAGES = [*EVERY, "/review?who", "/rounds/1/report", f"/batches/{BATCH}/audit", "/static/web.css", "/no/such/page"]


def routes(folder):
    app = make_pages(Desk(folder=folder, access=ACCESS))
    return [route for route in app.routes if isinstance(route, Route)]


def test_no_route_answers_without_the_cookie(site):
    found = routes(site.project.folder)
    assert len(found) > 10
    client = stranger(site.project.folder)
    for route in found:
        path = route.path.replace("{number}", "1").replace("{name}", BATCH)
        for method in {*(route.methods or ()), "POST", "DELETE", "OPTIONS", "HEAD"}:
            answer = client.request(method, path, headers={"origin": ORIGIN})
            assert answer.status_code == 401, f"{method} {path}"
            assert "desk" not in answer.text


@pytest.mark.parametrize("cookie", ["", "x", ACCESS.token, "é", ACCESS.session[:-1], ACCESS.session.upper()])
def test_a_wrong_cookie_is_no_cookie(site, cookie):
    client = stranger(site.project.folder)
    answer = client.get("/", headers={"cookie": f"{ACCESS.cookie}={cookie}".encode("latin-1")})
    assert answer.status_code == 401


def test_the_token_becomes_a_strict_cookie_that_scripts_cannot_read(site):
    client = stranger(site.project.folder)
    assert client.get(START).status_code == 401
    assert client.get(f"{START}?token=wrong").status_code == 401
    answer = client.get(f"{START}?token={ACCESS.token}")
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 200
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ACCESS.token not in cookie
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:8377",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8377.evil.com",
        "localhost.:8377",
        "localhost:8377:8377",
        "[::1]:8377",
        "0.0.0.0:8377",
        "user@127.0.0.1:8377",
        "",
    ],
)
def test_another_name_is_refused_even_with_the_cookie(site, host):
    assert site.get("/", host=host).status_code == 421


def test_a_name_that_a_proxy_claims_counts_for_nothing(site):
    assert site.get("/", host="evil.com", **{"x-forwarded-host": "127.0.0.1:8377"}).status_code == 421
    assert site.get("/", host="LOCALHOST:8377").status_code == 200


FOREIGN = [
    {"origin": "http://evil.com"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://localhost:8377"},
    {"origin": ORIGIN, "sec-fetch-site": "same-site"},
    {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
    {"origin": f"{ORIGIN}.evil.com"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_form_from_elsewhere_changes_nothing(site, headers, method):
    data = {"seen": "round-1", "reason": "mischief"}
    answer = site.client.request(method, "/models/rollback", data=data, headers=headers)
    assert answer.status_code == 403
    assert "round-1 <" in site.get("/models").text


def test_what_names_no_origin_is_no_form_of_ours(site):
    assert site.client.post("/models/rollback", data={"seen": "round-1", "reason": "x"}).status_code == 403


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_a_form_is_read(site, kind):
    answer = site.client.post("/models/rollback", content=b"{}", headers={"origin": ORIGIN, "content-type": kind})
    assert answer.status_code == 415


def test_a_large_body_is_refused_before_it_is_read_and_while_it_comes(site):
    form = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
    told = site.client.post("/models/rollback", content=b"", headers={**form, "content-length": str(10**9)})
    assert told.status_code == 413

    def pieces():
        for _ in range(MOST_BODY_BYTES // 2**16 + 2):
            yield b"a" * 2**16

    assert site.client.post("/models/rollback", content=pieces(), headers=form).status_code == 413
    many = "&".join(f"f{at}=" for at in range(3_000)).encode()
    assert site.client.post("/models/rollback", content=many, headers=form).status_code == 400
    assert site.client.post("/models/rollback", content=b"\xff=\xfe", headers=form).status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_has_its_safe_headers(site, path):
    headers = site.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "unsafe-inline" not in policy or "sandbox" in policy


@pytest.mark.parametrize("path", [page for page in PAGES if not page.startswith(("/static", "/rounds/1/report"))])
def test_no_page_holds_a_script_or_a_style_of_its_own(site, path):
    text = site.get(path).text
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text
    assert " onclick" not in text


def test_an_error_shows_a_number_and_the_log_the_rest(site, caplog):
    path = site.project.rounds_folder / "001" / "report.json"
    path.write_text("{not json")
    answer = site.get("/rounds/1")
    assert answer.status_code == 500
    for secret in (str(site.project.folder), "Traceback", "json", ".py"):
        assert secret not in answer.text.replace("web.js", "")
    number = answer.text.split("<code>")[1][:8]
    assert number in caplog.text
    assert "JSONDecodeError" in caplog.text


@pytest.mark.parametrize("damage", ["burnish.yaml", ".burnish/burnish.db"])
def test_a_damaged_project_tells_no_path(site, damage):
    path = site.project.folder / damage
    assert path.exists()
    path.write_bytes(b"\0" * 300)
    answer = site.get("/")
    assert answer.status_code == 500
    assert str(site.project.folder.parent) not in answer.text
    assert ".burnish" not in answer.text


def test_a_web_socket_is_closed():
    said = []

    async def app(scope, receive, send):
        raise AssertionError(scope)

    async def send(message):
        said.append(message)

    asyncio.run(Guard(app, ACCESS)({"type": "websocket"}, None, send))
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_beyond_this_machine_a_token_must_be_configured():
    assert len(check_access("127.0.0.1", None)) >= 43
    assert check_access("10.0.0.5", "s" * 32) == "s" * 32
    for host, token in (("10.0.0.5", None), ("0.0.0.0", "s" * 32), ("::", "s" * 32), ("127.0.0.1", "short")):
        with pytest.raises(UsageError):
            check_access(host, token)


def test_a_server_elsewhere_answers_to_its_own_name_only():
    access = Access(host="desk.example.org", port=80, token="t" * 43)
    assert access.hosts == {"desk.example.org:80", "desk.example.org"}
    assert access.token not in access.session
