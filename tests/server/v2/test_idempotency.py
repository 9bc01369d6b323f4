"""`Idempotency-Key` in version 2: the id of the first request, and errors in its envelope."""

import pytest
from fastapi.testclient import TestClient

from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo
from tests.helpers.version2 import finished, picture, refused

ROUTE = "/v2/image/edit/remove_background"
IMAGE = {"image": b64(photo())}
KEY = {"Idempotency-Key": "k"}


@pytest.mark.parametrize(("sync", "code"), [(False, 202), (True, 200)])
def test_a_repeated_request_gets_the_answer_with_the_id_of_the_first(
    client: TestClient, fakes: FakeModels, sync: bool, code: int
) -> None:
    answers = [client.post(ROUTE, json=IMAGE | {"sync": sync}, headers=KEY) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {code}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [
        None,
        "true",
        "true",
    ]
    if not sync:
        state = finished(client, answers[2])
        assert picture(client, state["result"]).size == (320, 240)
    assert fakes.use_count == 1


def test_errors_have_the_envelope_and_an_id_of_their_own(client: TestClient) -> None:
    first = client.post(ROUTE, json=IMAGE, headers=KEY)
    changed = client.post(ROUTE, json=IMAGE | {"sync": True}, headers=KEY)
    assert "Idempotency-Key" in refused(changed, 422)["details"]
    assert changed.json()["request_id"] != first.json()["request_id"]
    refused(client.post(ROUTE, json=IMAGE, headers={"Idempotency-Key": "x" * 256}), 400)


def test_an_error_frees_the_key(client: TestClient) -> None:
    refused(client.post(ROUTE, json={"image": "no picture"}, headers=KEY), 415)
    assert client.post(ROUTE, json=IMAGE, headers=KEY).status_code == 202


def test_v1_and_v2_do_not_share_a_request(client: TestClient) -> None:
    client.post(ROUTE, json=IMAGE, headers=KEY)
    answer = client.post("/v1/background/remove", json={"file": b64(photo())}, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["parameter"] == "Idempotency-Key"
