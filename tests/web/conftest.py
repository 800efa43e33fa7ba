"""A furnished project, and clients with and without its cookie."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from burnish.loop.project import Project, open_project
from burnish.web.access import Access
from burnish.web.app import make_app
from tests.web.furnished import furnish
from tests.web.screen import launched

ACCESS = Access(host="127.0.0.1", port=8377, token="t" * 43)
ORIGIN = "http://127.0.0.1:8377"
NEWEST = "round-1"
"""The model that a real round made, in the project of `after_a_round`."""


class Site(NamedTuple):
    """A project and somebody who looks at it."""

    project: Project
    client: TestClient

    def get(self, path: str, **headers: str):
        """A page, as somebody with the cookie sees it."""
        return self.client.get(path, headers=headers, follow_redirects=False)

    def post(self, path: str, data: dict[str, str], **headers: str):
        """A form, sent from a page of this server unless the headers say otherwise."""
        return self.client.post(path, data=data, headers={"origin": ORIGIN} | headers, follow_redirects=False)


def stranger(folder: Path) -> TestClient:
    """A client without the cookie."""
    return TestClient(make_app(folder, ACCESS), base_url=ORIGIN)


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's folder, made once; tests change copies."""
    return furnish(tmp_path_factory.mktemp("furnished") / "desk").folder


@pytest.fixture(scope="session")
def after_a_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a project with two models that can answer; tests use copies."""
    from tests.web.trained import trained  # loads torch, which most tests here do without

    return trained(tmp_path_factory.mktemp("trained")).folder


@pytest.fixture
def site(tmp_path: Path, furnished: Path) -> Site:
    project = open_project(Path(shutil.copytree(furnished, tmp_path / "desk")))
    client = stranger(project.folder)
    client.cookies.set(ACCESS.cookie, ACCESS.session)
    return Site(project, client)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Of one module: its loop would be in the way of others."""
    with launched() as started:
        yield started
