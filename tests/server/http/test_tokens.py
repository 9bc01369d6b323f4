"""Tokens of the database: at once, on every server, and only for what they may do."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import BadRequestError, InvalidTokenError
from server.http import error_answers
from server.http.auth import ResolveToken, Tokens
from server.http.scopes import Scope, needs
from server.public_host import public_host_problem
from server.settings import Settings
from storage.errors import DatabaseUnavailableError
from storage.records import Records
from storage.tokens import Token, TokenTable, digest_of, new_token
from tests.helpers.fake_models import FakeModels
from tests.helpers.services import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[TestClient]]:
    """A server, and one route of a second one that has its own connections to the database."""
    url = None
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database()
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a", workers=1, database_url=url)
    with (
        TestClient(create_app(settings, FakeModels()), raise_server_exceptions=False) as one,
        closing(Records(settings.records_url)) as records,
        TestClient(one_route(Tokens(settings.api_tokens, TokenTable(records.engine)))) as other,
    ):
        yield [one, other]


def one_route(tokens: Tokens) -> FastAPI:
    """Return an application with a route that is 400 for every valid token."""
    app = FastAPI()
    app.state.tokens = tokens
    error_answers.install(app)
    app.add_middleware(ResolveToken, tokens=tokens)

    @app.post("/v1/crop")
    @needs(Scope.EDIT)
    async def crop(request: Request) -> None:
        raise BadRequestError(f"{tokens.organisation(request)} sent nothing.")

    return app


def table_of(client: TestClient) -> TokenTable:
    """Return the tokens of a server's database."""
    state = client.app.state  # type: ignore[attr-defined]
    tokens: Tokens = state.dependencies.tokens if hasattr(state, "dependencies") else state.tokens
    assert tokens._table is not None
    return tokens._table


def ask(client: TestClient, token: str, method: str = "POST", path: str = "/v1/crop") -> int:
    """Send a request without a body, which is 400 if the token is valid."""
    return client.request(method, path, headers={"api_token": token}).status_code


def test_a_token_works_and_is_revoked_at_once_on_every_server(servers: list[TestClient]) -> None:
    one, other = servers
    sent, _ = table_of(one).create("acme", "ci", ["edit", "read"])
    for client in (other, one, other):
        assert ask(client, sent) == 400
    assert table_of(one).revoke(digest_of(sent))
    for client in (other, one):
        answer = client.post("/v1/crop", headers={"api_token": sent})
        assert answer.status_code == 401
        assert answer.json()["description"] == "The api_token is invalid: it was revoked."
        assert answer.headers["www-authenticate"] == "Bearer"
        assert ask(client, "secret-a") == 400
        assert ask(client, new_token()) == 401


def test_an_expired_token_is_401(servers: list[TestClient]) -> None:
    sent, _ = table_of(servers[0]).create(
        "acme", "ci", ["edit"], datetime.now(UTC) - timedelta(seconds=1)
    )
    answer = servers[1].post("/v1/crop", headers={"authorization": f"Bearer {sent}"})
    assert answer.status_code == 401
    assert answer.json()["description"] == "The api_token is invalid: it has expired."


def test_the_last_use_is_written_beside_the_request(
    servers: list[TestClient], wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    table = table_of(servers[0])
    sent, _ = table.create("acme", "ci", ["edit"])

    def last_used() -> datetime | None:
        found = table.find(digest_of(sent))
        assert found is not None
        return found.last_used

    assert ask(servers[0], sent) == 400
    wait_until(lambda: last_used() is not None)
    first = last_used()
    for client in servers * 3:
        assert ask(client, sent) == 400
    assert last_used() == first


@pytest.mark.parametrize(
    ("scopes", "codes"),
    [
        (["edit"], [400, 400, 404, 403, 403, 403]),
        (["read"], [403, 403, 403, 404, 404, 200]),
        (["admin"], [403, 403, 403, 403, 403, 403]),
        (["edit", "read"], [400, 400, 404, 404, 404, 200]),
    ],
)
def test_a_token_does_only_what_its_scopes_allow(
    client: TestClient, scopes: list[str], codes: list[int]
) -> None:
    sent, _ = table_of(client).create("acme", "ci", scopes)
    visual, unknown = "0" * 16, "0" * 32
    calls = [
        ("POST", "/v1/crop"),
        ("POST", "/v1/register"),
        ("POST", f"/v1/{visual}/remove_image"),
        ("GET", f"/v1/{visual}/info"),
        ("GET", f"/v2/status/{unknown}"),
        ("GET", "/capabilities"),
    ]
    assert [ask(client, sent, *call) for call in calls] == codes


def test_a_missing_scope_has_the_body_of_its_version(client: TestClient) -> None:
    sent, _ = table_of(client).create("acme", "ci", ["read"])
    text = "The api_token does not have the scope edit, which this route needs."
    for key in ({}, {"Idempotency-Key": "1"}):
        headers = {"api_token": sent, **key}
        body = client.post("/v1/crop", headers=headers).json()
        assert (body["code"], body["description"], body["status"]) == (403, text, "FORBIDDEN")
        body = client.post("/v2/image/edit/crop_foreground", headers=headers).json()
        assert body["error"]["message"] == text


class AwayTable(TokenTable):
    """The tokens of a database that is unavailable."""

    def __init__(self) -> None:
        self.questions = 0

    def find(self, digest: str) -> Token | None:
        """Fail."""
        self.questions += 1
        raise DatabaseUnavailableError("the database is unavailable: gone")

    def has_any(self) -> bool:
        """Fail."""
        raise DatabaseUnavailableError("the database is unavailable: gone")


def test_without_the_database_only_its_tokens_are_503(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, _ = table_of(client).create("acme", "ci", ["edit", "read"])
    away = AwayTable()
    tokens = client.app.state.dependencies.tokens  # type: ignore[attr-defined]
    monkeypatch.setattr(tokens, "_table", away)
    for token in (sent, new_token()):
        answer = client.post("/v1/crop", headers={"api_token": token})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["description"] == "The database is unavailable; try again."
    assert away.questions == 2
    for token, code in (("secret-a", 400), ("unknown", 401), (sent[:-1] + "-", 401), ("", 401)):
        assert ask(client, token) == code
    assert away.questions == 2
    assert client.get("/healthz", headers={"api_token": sent}).status_code == 200


def open_client(folder: Path, **settings: object) -> TestClient:
    """Return a client of a server without tokens in its settings."""
    app = create_app(Settings(data_dir=folder, workers=1, **settings), FakeModels())
    return TestClient(app, raise_server_exceptions=False)


def test_the_first_token_closes_an_open_server_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_client(tmp_path) as client:
        assert ask(client, "me") == 400
        sent, _ = table_of(client).create("acme", "ci", ["edit"])
        now = time.monotonic()
        monkeypatch.setattr("server.http.auth.time.monotonic", lambda: now + 1)
        assert ask(client, "me") == 401
        assert ask(client, sent) == 400
        assert client.get("/capabilities").status_code == 401
        table_of(client).revoke(digest_of(sent))
        assert [ask(client, token) for token in ("me", sent, new_token())] == [401] * 3
    with open_client(tmp_path) as client:
        assert ask(client, "me") == 401


def test_a_new_token_is_known_to_an_open_server_at_once(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        assert ask(client, "me") == 400
        sent, _ = table_of(client).create("acme", "ci", ["read"])
        assert ask(client, sent) == 403
        assert ask(client, "me") == 401


def test_an_open_server_stays_open_without_the_database_but_guesses_no_organisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_client(tmp_path) as client:
        sent, _ = TokenTable(client.app.state.dependencies.visuals._records.engine).create(  # type: ignore[attr-defined]
            "acme", "ci", ["edit"]
        )
        monkeypatch.setattr(client.app.state.dependencies.tokens, "_table", AwayTable())  # type: ignore[attr-defined]
        now = time.monotonic()
        monkeypatch.setattr("server.http.auth.time.monotonic", lambda: now + 2)
        assert ask(client, "me") == 400
        assert ask(client, sent) == 503


REACHABLE = [{"host": "0.0.0.0"}, {"public_url": "https://edit.example.com/api"}]
"""Settings of a server that others can reach: by itself, or through a proxy on its machine."""


@pytest.mark.parametrize("reachable", REACHABLE)
def test_a_server_that_others_can_reach_is_never_open(
    reachable: dict[str, str], tmp_path: Path
) -> None:
    with open_client(tmp_path, **reachable) as client:
        assert [ask(client, token) for token in ("me", "", new_token())] == [401] * 3
        sent, _ = table_of(client).create("acme", "ci", ["edit"])
        assert ask(client, sent) == 400


@pytest.mark.parametrize("reachable", REACHABLE)
def test_a_public_host_needs_a_token_that_is_valid(
    reachable: dict[str, str], tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, **reachable)
    assert public_host_problem(Settings(data_dir=tmp_path)) is None
    own = Settings(data_dir=tmp_path, public_url="http://localhost:8080")
    assert public_host_problem(own) is None
    assert public_host_problem(Settings(data_dir=tmp_path, host="::", api_tokens="a:b")) is None
    problem = public_host_problem(settings)
    assert problem is not None
    assert problem.startswith(("RETOUCH_HOST: 0.0.0.0 ", "RETOUCH_PUBLIC_URL: edit.example.com "))
    with closing(Records(settings.records_url)) as records:
        table = TokenTable(records.engine)
        table.create("acme", "old", ["edit"], datetime.now(UTC) - timedelta(days=1))
        assert public_host_problem(settings) == problem
        new, _ = table.create("acme", "new", ["edit"])
        assert public_host_problem(settings) is None
        table.revoke(digest_of(new))
        assert public_host_problem(settings) == problem


async def test_a_slow_search_does_not_hold_up_the_event_loop() -> None:
    class SlowTable(AwayTable):
        def find(self, digest: str) -> Token | None:
            time.sleep(0.5)
            return None

    tokens = Tokens(["a:secret-a"], SlowTable())
    seen: list[str] = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        try:
            seen.append(tokens.organisation(Request(scope)))
        except InvalidTokenError:
            seen.append("refused")

    async def request(token: str) -> None:
        headers = [(b"api_token", token.encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await ResolveToken(app, tokens)(scope, None, None)

    slow = [asyncio.create_task(request(new_token())) for _ in range(3)]
    await asyncio.sleep(0)
    await request("secret-a")
    assert seen == ["a"]
    await asyncio.gather(*slow)
    assert seen == ["a", "refused", "refused", "refused"]
