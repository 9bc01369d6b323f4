"""Every route says which scope a token needs for it, or is one of the few that need no token."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.http.scopes import Scope, needed_scope, needs
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.routes import endpoints_of, routes_of

WITHOUT_TOKEN = {
    "/",
    "/admin/{asked}/{name:path}",
    "/playground/{asked}/{name:path}",
    "/docs/{asked}/{name}",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/results/{key:path}",
}
ADMIN = {"/admin", "/admin/state", "/metrics"}
READ = {
    "/docs",
    "/capabilities",
    "/v2/status/{request_id}",
    "/queue/{queue_id}",
    "/v1/{visual_id}/info",
    "/v1/{visual_id}/person/info",
    "/v1/{visual_id}/objects/info",
    "/v1/{visual_id}/background/info",
    "/v1/{visual_id}/caption",
}
"""All other routes make, keep or remove something."""


def needed(path: str) -> Scope:
    """Return the scope that a route needs."""
    if path in ADMIN:
        return Scope.ADMIN
    return Scope.READ if path in READ else Scope.EDIT


def test_every_route_has_a_scope(tmp_path: Path) -> None:
    endpoints = endpoints_of(create_app(Settings(data_dir=tmp_path), FakeModels()))
    assert endpoints.keys() >= READ | ADMIN | WITHOUT_TOKEN
    for path, endpoint in endpoints.items():
        if path not in WITHOUT_TOKEN:
            assert needed_scope(endpoint) is needed(path), path


@pytest.mark.parametrize("scope", Scope)
def test_every_route_refuses_a_token_without_its_scope(client: TestClient, scope: Scope) -> None:
    tokens = client.app.state.dependencies.tokens  # type: ignore[attr-defined]
    sent, _ = tokens._table.create("acme", scope, [scope])
    for method, path in routes_of(client.app):
        if path in WITHOUT_TOKEN or method == "HEAD":
            continue
        wanted = needed(path)
        answer = client.request(method, path, headers={"api_token": sent})
        assert (answer.status_code == 403) == (wanted != scope), (method, path, answer.text)
        if wanted != scope:
            assert f"does not have the scope {wanted}," in answer.text


def test_a_route_without_a_mark_needs_what_no_token_has_by_default() -> None:
    async def endpoint() -> None:
        return

    assert needed_scope(endpoint) is Scope.ADMIN
    assert needed_scope(needs(Scope.READ)(endpoint)) is Scope.READ
