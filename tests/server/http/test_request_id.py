"""X-Request-ID: taken if it is well-formed, given back with every answer, and in the body of every error."""

import re

import pytest
from starlette.testclient import TestClient

from server.app import create_waiting_app
from server.http.request_id import HEADER, MAX_LENGTH, correlation_id, known_job, request_id
from server.http.shutdown import Shutdown
from server.settings import Settings
from tests.helpers.requests import b64, photo
from tests.helpers.routes import routes_of

MADE = re.compile("[0-9a-f]{32}")
WELL_FORMED = ["a", "order-4711", "2026.11_28", "A" * MAX_LENGTH, "0" * 32]
MALFORMED = [
    "",
    " ",
    "a b",
    "a" * (MAX_LENGTH + 1),
    "ä",
    "a/b",
    "a,b",
    "a%0a",
    "\x85",
    "<b>",
    "a=b",
]


@pytest.mark.parametrize("sent", WELL_FORMED)
def test_a_well_formed_id_is_given_back(client: TestClient, sent: str) -> None:
    assert client.get("/healthz", headers={HEADER: sent}).headers.get_list(HEADER) == [sent]


@pytest.mark.parametrize("sent", MALFORMED)
def test_any_other_is_ignored_and_an_id_is_made(client: TestClient, sent: str) -> None:
    answer = client.get("/healthz", headers={HEADER: sent.encode("latin-1")})
    assert MADE.fullmatch(answer.headers[HEADER])


def test_several_are_ignored(client: TestClient) -> None:
    answer = client.get("/healthz", headers=[(HEADER, "a"), (HEADER, "b")])
    assert MADE.fullmatch(answer.headers[HEADER])


def test_each_request_has_another_one(client: TestClient) -> None:
    assert len({client.get("/healthz").headers[HEADER] for _ in range(3)}) == 3


def test_every_route_gives_it_back(client: TestClient) -> None:
    """Whatever the answer is: results, errors, pages, files, preflights and what no route matches."""
    link = client.post("/v1/crop", json={"file": b64(photo())}).json()["result_url"]
    targets = [(method, path) for method, path in routes_of(client.app)]
    assert len(targets) > 80
    targets += [("GET", link), ("GET", "/"), ("GET", "/no-such-route"), ("DELETE", "/v1/crop")]
    for number, (method, path) in enumerate(targets):
        answer = client.request(method, path, headers={HEADER: f"r-{number}"})
        assert answer.headers.get_list(HEADER) == [f"r-{number}"], (method, path)
        body = answer.content if "json" in answer.headers.get("content-type", "") else b"{}"
        if answer.status_code >= 400 and body and not path.startswith("/v2/status/"):
            assert answer.json()["request_id"] == f"r-{number}", (method, path)


def test_a_page_of_another_site_may_read_it(client: TestClient) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    preflight = client.options(
        "/v1/crop", headers={**asked, "Access-Control-Request-Headers": HEADER, HEADER: "p"}
    )
    assert preflight.status_code == 200
    assert HEADER.lower() in preflight.headers["access-control-allow-headers"].lower()
    assert preflight.headers[HEADER] == "p"
    answer = client.get("/healthz", headers={"Origin": "https://shop.example"})
    assert HEADER in answer.headers["access-control-expose-headers"].split(", ")


@pytest.mark.parametrize("audit_log", ["log", "off"])
def test_a_server_that_starts_gives_it_back(settings: Settings, audit_log: str) -> None:
    settings = settings.model_copy(update={"audit_log": audit_log})
    with TestClient(create_waiting_app(settings, Shutdown(0, 30))) as client:
        answer = client.post("/v1/crop", headers={HEADER: "early"})
        assert (answer.status_code, answer.headers[HEADER]) == (503, "early")
        assert answer.json()["request_id"] == "early"


def test_a_caller_does_not_choose_the_id_of_a_job(client: TestClient) -> None:
    body, ids = {"image": b64(photo())}, []
    for _ in range(2):
        answer = client.post("/v2/image/edit/remove_background", json=body, headers={HEADER: "a1"})
        assert (answer.status_code, answer.headers[HEADER]) == (202, "a1")
        ids.append(answer.json()["request_id"])
    assert len(set(ids)) == 2
    assert all(map(MADE.fullmatch, ids))


def test_without_one_the_id_of_the_job_is_given_back(client: TestClient) -> None:
    answer = client.post("/v2/image/edit/remove_background", json={"image": b64(photo())})
    assert answer.headers[HEADER] == answer.json()["request_id"]


def test_a_repeated_request_has_the_job_of_the_first_and_its_own_id(client: TestClient) -> None:
    body = {"image": b64(photo())}
    answers = [
        client.post(
            "/v2/image/edit/remove_background",
            json=body,
            headers={HEADER: name, "Idempotency-Key": "k"},
        )
        for name in ("first", "second")
    ]
    assert [answer.headers[HEADER] for answer in answers] == ["first", "second"]
    assert answers[0].content == answers[1].content


def test_the_ids_of_a_scope_do_not_change() -> None:
    scope = {"type": "http", "headers": [(b"x-request-id", b"mine")]}
    assert known_job(scope) is None
    job = request_id(scope)
    assert [request_id(scope), known_job(scope)] == [job, job]
    assert [correlation_id(scope), correlation_id(scope)] == ["mine", "mine"]
