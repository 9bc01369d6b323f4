"""A server on stand-in models, and ways to talk to it."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels

TOKEN = {"api_token": "secret-a"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server for two organisations, its data in a folder of the test's own."""
    return Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b", workers=2)


@pytest.fixture
def fakes() -> FakeModels:
    """The stand-in models of `client`."""
    return FakeModels()


@pytest.fixture
def client(settings: Settings, fakes: FakeModels) -> Iterator[TestClient]:
    """A client of a started server; it sends the token of organisation a."""
    app = create_app(settings, fakes)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


@pytest.fixture
def read(client: TestClient) -> Callable[[httpx.Response], Image.Image]:
    """Read the picture behind the result_url of an answer."""

    def read_result(answer: httpx.Response) -> Image.Image:
        assert answer.status_code == 200, answer.text
        link = urlsplit(answer.json()["result_url"])
        result = client.get(f"{link.path}?{link.query}", headers={"api_token": ""})
        assert result.status_code == 200
        return Image.open(io.BytesIO(result.content))

    return read_result


def noise(width: int, height: int, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make pixels no two of which are alike enough to pass for one another."""
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Encode with Pillow."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def photo(width: int = 320, height: int = 240, mode: str = "RGB", format: str = "PNG") -> bytes:
    """Make an encoded picture of noise."""
    return encode(Image.fromarray(noise(width, height)).convert(mode), format)


def mask(width: int = 320, height: int = 240) -> bytes:
    """Make an encoded mask with a white rectangle in its middle half."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    return encode(Image.fromarray(pixels))


def b64(data: bytes) -> str:
    """Encode in base64."""
    return base64.b64encode(data).decode()
