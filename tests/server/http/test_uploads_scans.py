"""A JPEG with many scans costs a pass over its pixels for each: the larger it is, the fewer it may have."""

import pytest
from PIL import Image
from starlette.testclient import TestClient

from imaging.files.header import probe
from server.settings import Settings
from tests.helpers.requests import b64, encode, noise


def progressive(side: int) -> bytes:
    """Return a progressive JPEG of side x side pixels; Pillow writes ten scans."""
    return encode(Image.fromarray(noise(side, side)), "JPEG", progressive=True)


def test_the_header_tells_scans_and_depth() -> None:
    assert probe(progressive(64)).scans == 10
    assert probe(encode(Image.fromarray(noise(64, 64)), "JPEG")).scans == 1
    assert probe(encode(Image.fromarray(noise(64, 64)))).depth == 8
    deep = Image.new("I;16", (8, 8), 40_000)
    assert probe(encode(deep)).depth == 16


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server whose largest picture has 100 x 100 pixels."""
    return settings.model_copy(update={"max_pixels": 10_000})


def test_an_ordinary_progressive_jpeg_of_the_largest_size_is_accepted(client: TestClient) -> None:
    answer = client.post("/v1/background/remove", json={"file": b64(progressive(100))})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("route", ["/v1/background/remove", "/v1/background/blur", "/v1/register"])
def test_absurdly_many_scans_are_refused_by_their_size(client: TestClient, route: str) -> None:
    data = progressive(100)
    start = data.rindex(b"\xff\xda")
    last_scan = data[start:-2]
    many = data[:-2] + 8 * last_scan + data[-2:]
    assert probe(many).scans == 18
    answer = client.post(route, json={"file": b64(many)})
    assert answer.status_code == 413, answer.text
    assert "18 scans" in answer.text
