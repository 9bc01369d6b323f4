"""Requests to version 2 in tests: submit, poll, read."""

import io
import time
from typing import Any

import httpx2 as httpx
from fastapi.testclient import TestClient
from PIL import Image

from tests.helpers.answers import local

PATIENCE_S = 60.0


def state_of(client: TestClient, request_id: str, **headers: str) -> httpx.Response:
    """Return the status service's answer about a request."""
    return client.get(f"/v2/status/{request_id}", headers=headers)


def finished(client: TestClient, accepted: httpx.Response) -> dict[str, Any]:
    """Return the state of an accepted request when it is no longer in progress."""
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = state_of(client, accepted.json()["request_id"])
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        if state["status"] != "IN_PROGRESS":
            return state
        time.sleep(0.02)
    raise AssertionError("the request is still in progress")


def picture(client: TestClient, result: dict[str, Any]) -> Image.Image:
    """Return the picture of a result."""
    answer = client.get(local(result["image_url"]), headers={"api_token": ""})
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def refused(answer: httpx.Response, code: int) -> dict[str, Any]:
    """Check that an answer is an error in the envelope of version 2; return the error."""
    assert answer.status_code == code, answer.text
    body = answer.json()
    assert body.keys() == {"error", "request_id"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"code", "message", "details"}
    assert error["code"] == code
    assert error["message"]
    assert error["details"]
    assert len(body["request_id"]) == 32
    return error
