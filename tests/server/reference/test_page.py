"""The page /docs: what it consists of, and who may read it."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.http.scopes import Scope
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels

ADDRESS = re.compile(rb'(?:src|href)="([^"]+)"')


def basic(password: str, name: str = "anyone") -> dict[str, str]:
    """Return the header of HTTP Basic."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def from_elsewhere(settings: Settings) -> Iterator[TestClient]:
    """A client on another machine, without a token."""
    app = create_app(settings, FakeModels())
    with TestClient(app, client=("203.0.113.9", 4711)) as client:
        yield client


@pytest.fixture
def local(settings: Settings) -> Iterator[TestClient]:
    """A client on the same machine, without a token."""
    with TestClient(create_app(settings, FakeModels()), client=("127.0.0.1", 4711)) as client:
        yield client


def test_it_loads_nothing_but_its_own_files_also_below_a_prefix(local: TestClient) -> None:
    page = local.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert b"<script>" not in page.content
    found = [name.decode() for name in ADDRESS.findall(page.content)]
    assert len(found) == 5
    for name in found:
        if name != "data:,":
            # What a browser asks for below a prefix, which the proxy takes away.
            path = urljoin("/some/prefix/docs", name)
            assert path.startswith("/some/prefix/docs/")
            answer = local.get(path.removeprefix("/some/prefix"))
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.content


def test_a_slash_at_the_end_leads_to_the_page(local: TestClient) -> None:
    answer = local.get("/docs/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "../docs")


def test_other_files_and_versions_are_not_found(local: TestClient) -> None:
    script = next(
        name.decode() for name in ADDRESS.findall(local.get("/docs").content) if b".js" in name
    )
    folder = script.rpartition("/")[0]
    for path in (f"/{folder}/page.py", f"/{folder}/LICENSE", "/docs/0/reference.js"):
        refused(local.get(path), 404)


def test_anyone_on_the_machine_may_read_it(local: TestClient) -> None:
    assert local.get("/docs").status_code == 200
    assert local.head("/docs").content == b""
    assert local.get("/capabilities").json()["storage"]["stored_mb"] is None


def test_from_elsewhere_it_needs_a_token_with_its_scope(from_elsewhere: TestClient) -> None:
    answer = from_elsewhere.get("/docs")
    refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    tokens = from_elsewhere.app.state.dependencies.tokens  # type: ignore[attr-defined]
    reader, _ = tokens._table.create("a", "reader", [Scope.READ])
    editor, _ = tokens._table.create("a", "editor", [Scope.EDIT])
    for headers in ({"api_token": reader}, {"authorization": f"Bearer {reader}"}, basic(reader)):
        assert from_elsewhere.get("/docs", headers=headers).status_code == 200
    refused(from_elsewhere.get("/docs", headers=basic(editor)), 403)
    for headers in (basic("wrong"), basic(""), {"authorization": "Basic %%%"}):
        refused(from_elsewhere.get("/docs", headers=headers), 401)


def test_no_other_route_takes_the_password_of_basic(from_elsewhere: TestClient) -> None:
    for path in ("/capabilities", "/v2/status/1", "/v1/1/info"):
        answer = from_elsewhere.get(path, headers=basic("secret-a"))
        assert answer.status_code == 401, path
    assert from_elsewhere.post("/v1/crop", headers=basic("secret-a")).status_code == 401


def test_without_tokens_anyone_may_read_it(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), FakeModels())
    with TestClient(app) as client:
        assert client.get("/docs").status_code == 200
