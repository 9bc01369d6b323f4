"""Requests to version 2: accepted, finished, asked for, and refused."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from models.roles import MATTING
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import BlockingModels, FakeModels
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.version2 import finished, picture, refused, state_of

ROUTE = "/v2/image/edit/remove_background"
IMAGE = {"image": b64(photo())}
OTHER = {"api_token": "secret-b"}


def test_a_request_is_accepted_and_its_state_has_the_result(client: TestClient) -> None:
    answer = client.post(ROUTE, json=IMAGE)
    assert answer.json().keys() == {"request_id", "status_url"}
    request_id = answer.json()["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert answer.json()["status_url"] == f"http://testserver/v2/status/{request_id}"
    state = finished(client, answer)
    assert state.keys() == {"status", "request_id", "result"}
    assert (state["status"], state["request_id"]) == ("COMPLETED", request_id)
    assert picture(client, state["result"]).size == (320, 240)


def test_sync_answers_with_the_result(client: TestClient) -> None:
    answer = client.post(ROUTE, json=IMAGE | {"sync": True})
    assert answer.status_code == 200
    assert answer.json().keys() == {"result", "request_id"}
    assert picture(client, answer.json()["result"]).mode == "RGBA"


def test_another_organisation_does_not_find_a_request(client: TestClient) -> None:
    answer = client.post(ROUTE, json=IMAGE)
    finished(client, answer)
    other = state_of(client, answer.json()["request_id"], **OTHER)
    assert (other.status_code, other.json()) == (404, {"status": "NOT_FOUND"})


@pytest.mark.parametrize("request_id", ["0" * 32, "x", "%00", "a" * 5000, "'; --"])
def test_an_unknown_request_is_not_found(client: TestClient, request_id: str) -> None:
    client.post(ROUTE, json=IMAGE)
    other = state_of(client, request_id)
    assert (other.status_code, other.json()) == (404, {"status": "NOT_FOUND"})


def test_the_state_needs_a_token(client: TestClient) -> None:
    refused(state_of(client, "0" * 32, api_token=""), 401)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 400),
        ({"image": None}, 400),
        ({"image": ""}, 400),
        ({"image": 7}, 400),
        ({"image": "%%%"}, 400),
        ({"image": b64(b"GIF89a")}, 415),
        ({"image": b64(photo(mode="L"))}, 415),
        ({"image": "http://127.0.0.1:1/a.png"}, 460),
        ({**IMAGE, "sync": "perhaps"}, 400),
        ({**IMAGE, "visual_input_content_moderation": 7}, 400),
    ],
)
def test_errors_have_the_envelope_of_version_2(
    client: TestClient, body: dict[str, Any], code: int
) -> None:
    error = refused(client.post(ROUTE, json=body), code)
    if code == 400:
        assert next(iter(body.keys() - IMAGE.keys()), "image") in error["details"]


def test_missing_routes_and_methods_have_the_envelope(client: TestClient) -> None:
    refused(client.post("/v2/video/edit/erase", json={}), 404)
    refused(client.get("/v2"), 404)
    refused(client.get("/v2//nothing/"), 404)
    refused(client.get(ROUTE), 405)
    refused(client.post(ROUTE, json=IMAGE, headers={"api_token": "wrong"}), 401)


def test_nulls_and_unknown_fields_are_ignored(client: TestClient) -> None:
    ignored = {"webhook_url": None, "prompt": "", "ref_images": [], "version": 2, "fast": "false"}
    assert client.post(ROUTE, json=IMAGE | ignored).status_code == 202


@pytest.mark.parametrize("start", ["data:image/png;base64,", ""])
def test_pictures_come_in_base64_or_as_data_urls(client: TestClient, start: str) -> None:
    image = start + base64.b64encode(photo()).decode()
    assert client.post(ROUTE, json={"image": image, "sync": True}).status_code == 200


def test_a_request_that_fails_tells_its_error(settings: Settings) -> None:
    class Blind:
        def matte(self, rgb: Any) -> Any:
            return np.zeros(rgb.shape[:2], np.uint8)

    with TestClient(create_app(settings, FakeModels({MATTING: Blind()})), headers=TOKEN) as client:
        state = finished(client, client.post(ROUTE, json=IMAGE))
    assert state.keys() == {"status", "request_id", "error"}
    assert state["status"] == "ERROR"
    assert state["error"]["code"] == 506
    assert "foreground" in state["error"]["details"]


def test_a_request_in_progress_has_no_result(settings: Settings) -> None:
    models = BlockingModels()
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        accepted = client.post(ROUTE, json=IMAGE)
        assert models.started.wait(10)
        request_id = accepted.json()["request_id"]
        state = {"status": "IN_PROGRESS", "request_id": request_id}
        assert state_of(client, request_id).json() == state
        models.unblocked.set()
        assert finished(client, accepted)["status"] == "COMPLETED"


def test_the_next_process_knows_requests_of_a_stopped_one(settings: Settings) -> None:
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        accepted = client.post(ROUTE, json=IMAGE)
        state = finished(client, accepted)
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        assert finished(client, accepted) == state


def test_a_state_outlives_its_result_and_then_ends(settings: Settings) -> None:
    app = create_app(settings, FakeModels())
    with TestClient(app, headers=TOKEN) as client:
        accepted = client.post(ROUTE, json=IMAGE)
        state = finished(client, accepted)
        later = datetime.now(UTC) + timedelta(hours=2)
        jobs = app.state.endpoints._durable
        jobs.sweep(later, later - timedelta(hours=3))
        assert finished(client, accepted) == state
        jobs.sweep(later, later)
        assert state_of(client, accepted.json()["request_id"]).status_code == 404
