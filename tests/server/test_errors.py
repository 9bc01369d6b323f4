"""The one error body, and what becomes of faults of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.base import Matting
from models.pool import ModelUnavailable
from server.app import create_app
from server.settings import Settings
from tests.fakes import FakeModels
from tests.server.conftest import TOKEN, b64, encode, photo
from tests.server.test_refusals import refused


class Failing(FakeModels):
    """Models whose matting raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    @contextmanager
    def matting(self) -> Iterator[Matting]:
        """Raise."""
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("secret detail"), 500),
        (ModelUnavailable("u2netp.onnx is missing"), 503),
        (MemoryError(), 503),
    ],
)
def test_a_fault_of_ours_is_answered_with_the_one_body(
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
    refused(client.post("/v1/crop", json={"file": b64(encode(image))}), 506)


def test_nothing_left_to_fill_from_is_506(client: TestClient) -> None:
    white = encode(Image.new("L", (320, 240), 255))
    refused(client.post("/v1/eraser", json={"file": b64(photo()), "mask_file": b64(white)}), 506)
