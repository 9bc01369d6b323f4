"""The page /admin: what it consists of, and who may read it and its figures."""

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
from tests.helpers.places import ROOT

ADDRESS = re.compile(rb'(?:src|href)="([^"]+)"')
STATIC = ROOT / "server" / "admin" / "static"
PATHS = ("/admin", "/admin/state")


def basic(password: str) -> dict[str, str]:
    """Return the header of HTTP Basic."""
    return {"authorization": "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()}


@pytest.fixture
def visitor(settings: Settings) -> Iterator[TestClient]:
    """A client on the machine of a server with tokens; it sends none."""
    with TestClient(create_app(settings, FakeModels()), client=("127.0.0.1", 4711)) as client:
        yield client


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[TestClient]:
    """A client of a server without tokens."""
    with TestClient(create_app(Settings(data_dir=tmp_path), FakeModels())) as client:
        yield client


def token(client: TestClient, scope: Scope) -> str:
    """Return a token with one scope."""
    tokens = client.app.state.dependencies.tokens  # type: ignore[attr-defined]
    sent, _ = tokens._table.create("ops", f"only {scope}", [scope])
    return str(sent)


@pytest.mark.parametrize("path", PATHS)
def test_it_needs_a_token_with_the_scope_admin_also_on_the_machine(
    visitor: TestClient, path: str
) -> None:
    answer = visitor.get(path)
    refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    sent = token(visitor, Scope.ADMIN)
    for headers in ({"api_token": sent}, {"authorization": f"Bearer {sent}"}, basic(sent)):
        assert visitor.get(path, headers=headers).status_code == 200
    for scope in (Scope.READ, Scope.EDIT):
        refused(visitor.get(path, headers=basic(token(visitor, scope))), 403)
    for headers in (basic("wrong"), basic(""), {"authorization": "Basic %%%"}):
        refused(visitor.get(path, headers=headers), 401)


@pytest.mark.parametrize("path", PATHS)
def test_tokens_of_several_organisations_in_the_settings_may_not_read_it(
    visitor: TestClient, path: str
) -> None:
    refused(visitor.get(path, headers={"api_token": "secret-a"}), 403)
    assert visitor.get("/capabilities", headers={"api_token": "secret-a"}).status_code == 200


def test_the_token_of_the_only_organisation_in_the_settings_may_read_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a,a:secret-too")
    with TestClient(create_app(settings, FakeModels())) as client:
        for sent in ("secret-a", "secret-too"):
            assert client.get("/admin/state", headers={"api_token": sent}).status_code == 200
        refused(client.get("/admin/state"), 401)


@pytest.mark.parametrize("path", PATHS)
def test_without_tokens_anyone_may_read_it(open_server: TestClient, path: str) -> None:
    assert open_server.get(path).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_read_the_figures(open_server: TestClient, site: str) -> None:
    refused(open_server.get("/admin/state", headers={"sec-fetch-site": site}), 403)
    for own in ("same-origin", "none"):
        headers = {"sec-fetch-site": own}
        assert open_server.get("/admin/state", headers=headers).status_code == 200


def test_it_loads_nothing_but_its_own_files_also_below_a_prefix(open_server: TestClient) -> None:
    page = open_server.get("/admin")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert b"<script>" not in page.content
    found = [name.decode() for name in ADDRESS.findall(page.content)]
    assert {name.rpartition("/")[2] for name in found} >= {
        path.name for path in STATIC.glob("*.js")
    }
    for name in found:
        path = urljoin("/some/prefix/admin", name)
        assert path.startswith("/some/prefix/admin/")
        answer = open_server.get(path.removeprefix("/some/prefix"))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


def test_nothing_of_it_is_kept(open_server: TestClient) -> None:
    for path in PATHS:
        assert open_server.get(path).headers["cache-control"] == "no-store"
    assert open_server.head("/admin").content == b""


def test_no_script_writes_data_as_html_or_asks_elsewhere() -> None:
    for path in STATIC.rglob("*.js"):
        text = path.read_text()
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert not re.search(r"https?://", text), path
        assert text.startswith("// "), f"{path} does not say what lives there"


def test_a_slash_at_the_end_leads_to_the_page(open_server: TestClient) -> None:
    answer = open_server.get("/admin/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "../admin")


def test_other_files_and_versions_are_not_found(open_server: TestClient) -> None:
    names = (name.decode() for name in ADDRESS.findall(open_server.get("/admin").content))
    folder = next(name for name in names if name.endswith("/admin.js")).rpartition("/")[0]
    for path in (
        f"/{folder}/page.py",
        f"/{folder}/%2e%2e/page.py",
        f"/{folder}/index.html",
        "/admin/0/admin.js",
    ):
        refused(open_server.get(path), 404)
