"""Requests a minute of each organisation and route: what counts, and what callers are told."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from server.app import create_app
from server.http.rate_limits import QUEUE_ROUTE, STATUS_ROUTE, Quotas, RateLimitedRoute, RateLimits
from server.settings import Settings
from storage.rate_counters import Limits
from tests.helpers.answers import refused
from tests.helpers.clock import Clock
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.services import Postgres

CROP = "/v1/crop"
V2 = "/v2/image/edit/remove_background"
INFO = "/v1/{}/info"
OTHER = {"api_token": "secret-b"}
BAD = {"file": "no picture"}
BODY = {"file": b64(photo(64, 48))}
NOT_LIMITED = {
    "/",
    "/admin",
    "/admin/state",
    "/admin/{asked}/{name:path}",
    "/docs",
    "/docs/{asked}/{name}",
    "/playground/{asked}/{name:path}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/results/{key:path}",
}
"""Routes without an organisation: the pages for users and operators, the reference, health, the document, and
results, whose link is the permission."""


@pytest.fixture
def clock() -> Clock:
    """The clock of the limits; it stands still unless the test moves it."""
    return Clock()


@pytest.fixture
def changes() -> dict[str, Any]:
    """The settings of `client` that differ from three requests a minute."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, changes: dict[str, Any]) -> Settings:
    """Settings with a small limit."""
    usual = {"requests_per_minute": 3, "status_requests_per_minute": 5, "workers": 2}
    tokens = "a:secret-a,b:secret-b"
    return Settings(data_dir=tmp_path, **{"api_tokens": tokens, **usual, **changes})


@pytest.fixture
def client(settings: Settings, fakes: FakeModels, clock: Clock) -> Iterator[TestClient]:
    """A client of a server whose limits go by the test's clock."""
    app = create_app(settings, fakes)
    dependencies = app.state.dependencies
    app.state.rate_limits = RateLimits(settings, dependencies.tokens, clock=clock)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


def codes(client: TestClient, count: int, path: str = CROP, **options: Any) -> list[int]:
    """Return the codes of some requests."""
    options = {"json": BODY, **options}
    return [client.post(path, **options).status_code for _ in range(count)]


def seconds(answer: httpx.Response) -> int:
    """Return after how many seconds a refused caller may try again."""
    refused(answer, 429)
    return int(answer.headers["retry-after"])


def test_more_requests_than_the_limit_are_429_until_the_time_that_is_told(
    client: TestClient, clock: Clock, fakes: FakeModels
) -> None:
    assert codes(client, 3) == [200] * 3
    worked = fakes.use_count
    answer = client.post(CROP, json=BODY)
    assert seconds(answer) == 60
    assert "60 s" in answer.json()["message"]
    assert answer.json()["status"] == "TOO_MANY_REQUESTS"
    assert fakes.use_count == worked
    clock.now += 59
    assert seconds(client.post(CROP, json=BODY)) == 1
    clock.now += 1
    assert codes(client, 4) == [200, 200, 200, 429]


def test_the_error_of_v2_has_its_own_body(client: TestClient) -> None:
    assert codes(client, 3, V2, json={"image": b64(photo(64, 48)), "sync": True}) == [200] * 3
    answer = client.post(V2, json={"image": b64(photo(64, 48)), "sync": True})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == 429
    assert answer.headers["retry-after"] == "60"


def test_organisations_and_routes_have_limits_of_their_own(client: TestClient) -> None:
    assert codes(client, 4) == [200, 200, 200, 429]
    assert codes(client, 3, headers=OTHER) == [200] * 3
    assert codes(client, 3, "/v1/enhance_image") == [200] * 3


def test_ids_in_a_path_make_no_other_route(client: TestClient) -> None:
    ids = [
        client.post("/v1/register", json={"file": b64(photo(64, width))}).json()["visual_id"]
        for width in (48, 50)
    ]
    found = [client.get(INFO.format(ids[n % 2])).status_code for n in range(4)]
    assert found == [200, 200, 200, 429]


@pytest.mark.parametrize("path", [CROP, "/v1//crop/", "http://testserver/v1/crop"])
def test_a_path_cannot_be_spelled_around_the_limit(client: TestClient, path: str) -> None:
    assert codes(client, 3) == [200] * 3
    assert codes(client, 1, path) == [429]


def items(field: str) -> dict[str, dict[str, str]]:
    """Return the parameters of each item of a structured list."""
    found = {}
    for item in field.split(", "):
        name, *parameters = item.split(";")
        assert re.fullmatch(r'"[a-z-]+"', name)
        found[name.strip('"')] = dict(one.split("=", 1) for one in parameters)
    return found


def test_answers_tell_what_is_left(client: TestClient, clock: Clock) -> None:
    key = f":{base64.b64encode(CROP.encode()).decode()}:"
    for left, reset in ((2, 60), (1, 50)):
        answer = client.post(CROP, json=BODY)
        said = {"r": str(left), "t": str(reset), "pk": key}
        assert items(answer.headers["ratelimit"]) == {"requests": said}
        assert items(answer.headers["ratelimit-policy"]) == {
            "requests": {"q": "3", "w": "60", "pk": key},
            "refused-requests": {"q": "30", "w": "60", "pk": key},
        }
        clock.now += 10
    client.post(CROP, json=BODY)
    answer = client.post(CROP, json=BODY)
    assert items(answer.headers["ratelimit"]) == {"requests": {"r": "0", "t": "40", "pk": key}}
    assert answer.headers["retry-after"] == "40"


def test_pages_of_browsers_can_read_the_fields(client: TestClient) -> None:
    codes(client, 3)
    for _ in range(2):
        answer = client.post(CROP, json=BODY, headers={"Origin": "https://shop.example.com"})
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


def test_a_refused_request_leaves_no_charge(client: TestClient) -> None:
    assert codes(client, 5, json=BAD) == [415] * 5
    assert codes(client, 4) == [200, 200, 200, 429]


def test_a_failed_request_leaves_no_charge(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    endpoints = client.app.state.endpoints  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(endpoints, "serve", fail)
        assert codes(client, 4) == [500] * 4
    assert codes(client, 4) == [200, 200, 200, 429]


def test_a_flood_of_refused_requests_is_bounded(client: TestClient, clock: Clock) -> None:
    assert codes(client, 30, json=BAD) == [415] * 30
    answer = client.post(CROP, json=BAD)
    assert seconds(answer) == 60
    assert "30 requests that were refused" in answer.json()["message"]
    assert items(answer.headers["ratelimit"])["refused-requests"]["r"] == "0"
    assert codes(client, 1, headers=OTHER) == [200]
    clock.now += 60
    assert codes(client, 1) == [200]


def test_an_unknown_status_counts_as_refused(client: TestClient) -> None:
    path = "/v2/status/" + "0" * 32
    assert {client.get(path).status_code for _ in range(50)} == {404}
    assert client.get(path).status_code == 429


def test_the_status_has_a_limit_of_its_own(client: TestClient) -> None:
    answer = client.post(V2, json={"image": b64(photo(64, 48)), "sync": False})
    assert answer.status_code == 202
    path = f"/v2/status/{answer.json()['request_id']}"
    assert [client.get(path).status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_repeated_call_counts_but_does_no_work(client: TestClient, fakes: FakeModels) -> None:
    key = {"Idempotency-Key": "one"}
    assert codes(client, 4, headers=key) == [200, 200, 200, 429]
    assert fakes.use_count == 1


def test_links_of_results_and_health_are_not_counted(client: TestClient) -> None:
    link = client.post(CROP, json=BODY).json()["result_url"].removeprefix("http://testserver")
    for path in (link, "/healthz", "/openapi.json"):
        answers = [client.get(path, headers={"api_token": ""}) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers


def test_wrong_tokens_are_401_and_count_for_nobody(client: TestClient) -> None:
    assert codes(client, 40, headers={"api_token": "wrong"}) == [401] * 40
    assert codes(client, 1) == [200]
    counting = client.app.state.rate_limits._counting  # type: ignore[attr-defined]
    assert len(counting._memory._counts) == 1


@pytest.mark.parametrize(
    "changes", [{"api_tokens": ()}, {"requests_per_minute": 0}, {"rate_limits": "a=0"}]
)
def test_without_a_limit_answers_are_as_ever(client: TestClient) -> None:
    answers = [client.post(CROP, json=BODY) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert not {"ratelimit", "ratelimit-policy"} & set(answers[0].headers)


def test_the_default_is_that_of_the_hosted_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETOUCH_REQUESTS_PER_MINUTE", raising=False)
    monkeypatch.delenv("RETOUCH_STATUS_REQUESTS_PER_MINUTE", raising=False)
    quotas = Quotas(Settings())
    assert quotas.limits("a", CROP) == Limits(60, 600)
    assert quotas.limits("a", STATUS_ROUTE) == Limits(600, 6000)
    assert quotas.limits("a", QUEUE_ROUTE) == Limits(600, 6000)


def test_the_more_exact_setting_decides() -> None:
    entries = f"shop=600, {CROP}=120,studio{CROP} = 0, studio=9,b{STATUS_ROUTE}=7"
    quotas = Quotas(Settings(requests_per_minute=50, rate_limits=entries))

    def limit(organisation: str, route: str) -> int:
        limits = quotas.limits(organisation, route)
        return limits.accepted if limits else 0

    assert limit("shop", "/v1/eraser") == 600
    assert limit("shop", CROP) == limit("other", CROP) == 120
    assert limit("studio", CROP) == 0
    assert limit("studio", "/v1/eraser") == 9
    assert limit("other", "/v1/eraser") == 50
    assert limit("b", STATUS_ROUTE) == 7
    assert quotas.routes == [CROP, STATUS_ROUTE]


@pytest.mark.parametrize(
    "text", ["shop", "=5", "shop=-1", "shop=1000001", "a b=5", "a=1,a=2", "/v1/crop=x", "shop:5"]
)
def test_a_setting_that_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate_limits"):
        Settings(rate_limits=text)


@pytest.mark.parametrize("changes", [{"rate_limits": "/v1/crop=2,/v1/corp=3"}])
def test_a_limit_for_a_route_that_is_none_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    create_app(settings, FakeModels())
    assert "/v1/corp, which is no route" in caplog.text
    assert "/v1/crop," not in caplog.text


def test_every_route_has_a_limit(client: TestClient) -> None:
    found = list(iter_route_contexts(client.app.routes))  # type: ignore[attr-defined]
    limited = {one.path for one in found if isinstance(one.original_route, RateLimitedRoute)}
    others = {one.path for one in found} - limited
    assert others == NOT_LIMITED
    assert {"/capabilities", STATUS_ROUTE, "/v1/register", "/v1/{visual_id}/remove_image"} < limited
    assert len(limited) > 60


@pytest.fixture
def in_database(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[[str], TestClient]]:
    """Start servers by name that share a database."""
    url, clients = postgres.database(), []

    def start(name: str) -> TestClient:
        settings = Settings(
            data_dir=tmp_path / name,
            store=str(tmp_path / "store"),
            database_url=url,
            api_tokens="a:secret-a,b:secret-b",
            requests_per_minute=6,
        )
        app = create_app(settings, FakeModels())
        app.state.rate_limits._counting._timeout_s = 60  # the machine may be busy
        clients.append(TestClient(app, headers=TOKEN).__enter__())
        return clients[-1]

    yield start
    for client in clients:
        client.__exit__()


def test_servers_with_one_database_agree(in_database: Callable[[str], TestClient]) -> None:
    servers = [in_database("one"), in_database("two")]
    found = [servers[n % 2].post(CROP, json=BODY).status_code for n in range(8)]
    assert found == [200] * 6 + [429] * 2
    assert [server.post(CROP, json=BAD, headers=OTHER).status_code for server in servers] == [
        415
    ] * 2
    answer = servers[0].post(CROP, json=BODY, headers=OTHER)
    assert items(answer.headers["ratelimit"])["requests"]["r"] == "5"


def test_without_its_database_a_server_counts_for_itself(
    in_database: Callable[[str], TestClient], postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    client = in_database("one")
    assert codes(client, 2) == [200] * 2
    postgres.stop()
    try:
        assert codes(client, 8) == [200] * 6 + [429] * 2
        assert codes(client, 2, json=BAD, headers=OTHER) == [415] * 2
    finally:
        postgres.start()
    assert caplog.text.count("requests are counted in memory") == 1
