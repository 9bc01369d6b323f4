"""Two organisations: for every route, and everything that it names, one tries what the other has.

The attempts are made from the list of routes, so that a new route is tried too; one with a parameter that
nobody has thought about fails.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.routes import routes_of
from tests.helpers.services import Postgres, SeaweedFs
from tests.helpers.tenants import (
    OWNER,
    PUBLIC,
    STRANGER,
    TOKENS,
    Attempt,
    Belongings,
    attempts,
    belongings,
    filled,
)


@pytest.fixture(params=["folder", "bucket"])
def client(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A client of a server with SQLite and a folder, or with PostgreSQL and S3."""
    shared = {}
    if request.param == "bucket":
        postgres: Postgres = request.getfixturevalue("postgres")
        seaweed: SeaweedFs = request.getfixturevalue("seaweed")
        for name, value in seaweed.environment().items():
            monkeypatch.setenv(name, value)
        shared = {
            "store": seaweed.prefix(),
            "s3_endpoint": seaweed.endpoint,
            "database_url": postgres.database(),
        }
    settings = Settings(data_dir=tmp_path, api_tokens=TOKENS, workers=2, **shared)
    with TestClient(create_app(settings, FakeModels()), raise_server_exceptions=False) as client:
        yield client


def check(client: TestClient, attempt: Attempt, theirs: Belongings) -> None:
    """Make an attempt, and check that its answer has nothing of the owner."""
    answer = client.request(
        attempt.method, attempt.path, json=attempt.json, headers={**STRANGER, **attempt.headers}
    )
    if attempt.codes is not None:
        assert answer.status_code in attempt.codes, (attempt, answer.text)
    assert answer.status_code != 500, attempt
    assert "idempotent-replayed" not in answer.headers, attempt
    assert "IDEMPOTENCY_KEY_REUSED" not in answer.text, attempt
    assert "Another request was sent" not in answer.text, attempt
    body = answer.content
    for secret in (b"owner7", theirs.key.encode(), theirs.query.encode()):
        assert secret not in body, (attempt, answer.text)


def test_no_route_gives_anything_of_another_organisation(client: TestClient) -> None:
    theirs, own = belongings(client, OWNER, 1), belongings(client, STRANGER, 2)
    tried: dict[str, int] = {}
    removal: list[Attempt] = []
    for method, pattern in routes_of(client.app):
        made = list(attempts(method, pattern, theirs, own))
        assert made or pattern in PUBLIC, (
            f"{method} {pattern} needs a row in tests/helpers/tenants.py"
        )
        tried[pattern] = len(made)
        for attempt in made:
            if attempt.name == "key":
                if "remove_image" in pattern:  # the stranger's own visual: last
                    removal.append(attempt)
                    continue
                path = filled(pattern, theirs)
                client.request(
                    attempt.method, path, json=attempt.json, headers={**attempt.headers, **OWNER}
                )
            check(client, attempt, theirs)
    assert sum(tried.values()) > 150
    for attempt in removal:
        check(client, attempt, theirs)
    # The owner still has everything.
    answer = client.get(f"/v1/{theirs.visual_id}/objects/info", headers=OWNER)
    assert answer.status_code == 200, answer.text
    blurred = client.get(
        f"/v1/{theirs.visual_id}/blur_bg", params={"sid": theirs.sid}, headers=OWNER
    )
    assert blurred.status_code == 200, blurred.text
    assert client.get(f"/v2/status/{theirs.request_id}", headers=OWNER).status_code == 200
    read = client.get if theirs.link.startswith("http://testserver/") else httpx.get
    assert read(theirs.link).status_code == 200


def test_an_unknown_parameter_of_a_path_has_no_attempts(client: TestClient) -> None:
    own = Belongings("0", "0", "http://x/results/a?b", "0")
    with pytest.raises(KeyError):
        list(attempts("GET", "/v1/albums/{album_id}", own, own))


def test_a_link_permits_to_read_and_nothing_else(client: TestClient) -> None:
    link = belongings(client, OWNER, 1).link
    with httpx.Client() as other:
        ask = client.request if link.startswith("http://testserver/") else other.request
        assert ask("GET", link).status_code == 200
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            assert ask(method, link, content=b"x").status_code in (400, 403, 405, 501), method
        assert ask("GET", link).status_code == 200


def test_remove_image_kills_the_links_of_its_results(client: TestClient) -> None:
    theirs = belongings(client, OWNER, 1)
    read = client.get if theirs.link.startswith("http://testserver/") else httpx.get
    assert read(theirs.link).status_code == 200
    assert client.post(f"/v1/{theirs.visual_id}/remove_image", headers=OWNER).status_code == 200
    assert read(theirs.link).status_code == 404
    again = client.post("/v1/crop", json={"image_url": theirs.link}, headers=OWNER)
    assert again.status_code == 460, again.text
