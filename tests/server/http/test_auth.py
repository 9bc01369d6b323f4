"""The api_token header."""

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
