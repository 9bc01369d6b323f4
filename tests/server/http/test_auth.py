"""The token: in `api_token` or as a bearer token, and what the answer says without one."""

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo


@pytest.mark.parametrize("token", ["", "wrong", "a:secret-a", "x" * 5000])
def test_an_unknown_token_is_401(client: TestClient, token: str) -> None:
    answer = client.post("/v1/crop", json={}, headers={"api_token": token})
    assert answer.status_code == 401
    assert "invalid" in answer.json()["description"]
    assert "token" in answer.json()["description"]


def test_the_header_is_read_in_any_case(client: TestClient) -> None:
    del client.headers["api_token"]
    answer = client.post("/v1/crop", json={}, headers={"API_TOKEN": "secret-b"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Bearer secret-b"}, 400),
        ({"Authorization": "bearer   secret-b "}, 400),
        ({"api_token": "", "Authorization": "Bearer secret-b"}, 400),
        ({"api_token": "  ", "Authorization": "Bearer secret-b"}, 400),
        ({"api_token": "secret-b", "Authorization": "Bearer wrong"}, 400),  # api_token wins
        ({"api_token": "wrong", "Authorization": "Bearer secret-b"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "secret-b"}, 401),
        ({"Authorization": "Basic c2VjcmV0LWI="}, 401),
        ({"Authorization": "Bearer " + "x" * 5000}, 401),
    ],
)
def test_a_bearer_token_is_taken_where_there_is_no_api_token(
    client: TestClient, headers: dict[str, str], code: int
) -> None:
    del client.headers["api_token"]
    answer = client.post("/v1/crop", json={}, headers=headers)
    assert answer.status_code == code
    if code == 401:
        assert "invalid" in answer.json()["description"]
        assert "token" in answer.json()["description"]
        assert answer.headers["www-authenticate"] == "Bearer"


def test_both_headers_name_the_same_organisation(client: TestClient) -> None:
    body = {"file": b64(photo())}
    first = client.post("/v1/register", json=body, headers={"api_token": "secret-b"}).json()
    del client.headers["api_token"]
    bearer = {"Authorization": "Bearer secret-b"}
    again = client.post("/v1/register", json=body, headers=bearer).json()
    assert (again["visual_id"], again["code"]) == (first["visual_id"], 208)


def test_without_any_token_the_answer_names_the_headers_and_the_usual_cause(
    client: TestClient,
) -> None:
    del client.headers["api_token"]
    text = client.post("/v1/crop", json={}).json()["description"]
    for words in (
        "invalid",
        "Authorization: Bearer",
        "underscores_in_headers on",
        "expected_underscore_headers api_token",
    ):
        assert words in text
    wrong = client.post("/v1/crop", json={}, headers={"api_token": "wrong"}).json()["description"]
    assert "nginx" not in wrong


def test_browsers_may_send_both_headers(client: TestClient) -> None:
    answer = client.options(
        "/v1/crop",
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "api_token, authorization, content-type",
        },
    )
    assert answer.status_code == 200
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "api_token" in allowed
    assert "authorization" in allowed


def test_without_configured_tokens_each_token_is_its_own_organisation(tmp_path: object) -> None:
    app = create_app(Settings(data_dir=tmp_path), FakeModels())
    with TestClient(app) as client:
        body = {"file": b64(photo())}
        links = [
            client.post("/v1/crop", json=body, headers={"api_token": token}).json()["result_url"]
            for token in ("one", "two", "one")
        ]
        organisations = [link.split("/results/")[1].split("/")[0] for link in links]
        assert organisations[0] == organisations[2] != organisations[1]
        assert client.post("/v1/crop", json=body).status_code == 401
