"""The common error body, and how internal errors are answered."""

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from models.errors import ModelUnavailableError
from models.roles import Role
from server.app import create_app
from server.http.middleware import UnhandledErrors
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, photo


class Failing(FakeModels):
    """Models whose matting raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def before(self, role: Role[Any]) -> None:
        """Raise the error."""
        raise self.error


def opencv_error(code: int) -> cv2.error:
    """Return an error as OpenCV raises it."""
    error = cv2.error("secret detail")
    error.code = code
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (opencv_error(cv2.Error.StsNoMem), 503),
        (opencv_error(cv2.Error.StsBadArg), 500),
        (RuntimeError("secret detail"), 500),
        (ModelUnavailableError("u2netp.onnx is missing"), 503),
        (MemoryError(), 503),
    ],
)
def test_an_internal_error_has_the_common_error_body(
    tmp_path: Path, error: Exception, code: int
) -> None:
    app = create_app(Settings(data_dir=tmp_path), Failing(error))
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        answer = client.post(
            "/v1/crop", json={"file": b64(photo())}, headers={"origin": "http://a.example"}
        )
        body = refused(answer, code)
        assert "secret" not in body["description"]
        assert answer.headers["access-control-allow-origin"] == "*"
        assert not list((tmp_path / "results").rglob("*.*"))


def test_an_image_without_foreground_is_506(client: TestClient) -> None:
    image = Image.new("RGBA", (64, 64), (9, 9, 9, 0))
    answer = client.post("/v1/crop", json={"file": b64(encode(image))})
    assert refused(answer, 506)["status"] == "INSUFFICIENT_DATA"


def test_a_mask_over_the_whole_picture_is_506(client: TestClient) -> None:
    white = encode(Image.new("L", (320, 240), 255))
    refused(client.post("/v1/eraser", json={"file": b64(photo()), "mask_file": b64(white)}), 506)


@pytest.mark.parametrize("started", [False, True])
def test_a_request_cancelled_by_the_shutdown_is_503_unless_its_answer_has_started(
    started: bool,
) -> None:
    sent: list[Message] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def broken_off() -> None:
        scope = {"type": "http", "method": "POST", "path": "/v1/crop"}
        task = asyncio.create_task(UnhandledErrors(endpoint)(scope, receive, send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) if started else nullcontext():
            await task

    asyncio.run(broken_off())
    assert [message.get("status") for message in sent] == ([200] if started else [503, None])
    if not started:
        assert b"retry-after" in dict(sent[0]["headers"])
        assert json.loads(sent[1]["body"])["code"] == 503
