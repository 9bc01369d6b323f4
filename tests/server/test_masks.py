"""Masks on every route that takes one: kinds that editors make are read, others are refused in words."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from models.roles import MATTING, SEGMENTATION, Role
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.places import PHOTOS
from tests.helpers.requests import TOKEN, b64, encode, noise, photo

Pixels = NDArray[np.uint8]
RECTANGLE = np.s_[60:180, 80:240]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with generative models."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


@pytest.fixture(params=["eraser", "gen_fill", "objects/remove", "erase_foreground"])
def route(request: pytest.FixtureRequest) -> str:
    """Each route that takes a mask."""
    return str(request.param)


def send(client: TestClient, route: str, mask: Pixels, sync: bool = True) -> Any:
    """Send a mask for a picture of noise, 320 x 240; return the answer."""
    file = b64(encode(Image.fromarray(mask)))
    if route == "objects/remove":
        visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
        change = {"mask_url": f"data:image/png;base64,{file}", "mask_source": "manual"}
        return client.post(f"/v1/{visual}/objects/remove", json={"changes": [change], "sync": sync})
    body = {"file": b64(photo()), "mask_file": file, "prompt": "a dog", "num_results": 1}
    return client.post(f"/v1/{route}", json={**body, "sync": sync})


def changed(client: TestClient, answer: Any) -> NDArray[np.bool_]:
    """Return which pixels of the noise a result has changed."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    link = body["urls"][0] if "urls" in body else body.get("result_url") or body["image_res"]
    result = np.asarray(Image.open(io.BytesIO(client.get(local(link)).content)).convert("RGB"))
    different: NDArray[np.bool_] = (result != noise(320, 240)).any(axis=2)
    return different


def grey(level: int) -> Pixels:
    """Return a mask with a rectangle of a level on black."""
    mask = np.zeros((240, 320), np.uint8)
    mask[RECTANGLE] = level
    return mask


def two_colours() -> Pixels:
    """Return strokes of red and blue on an empty canvas: the left and the right half of the rectangle."""
    mask = np.zeros((240, 320, 4), np.uint8)
    mask[60:180, 80:160] = (255, 0, 0, 255)
    mask[60:180, 160:240] = (0, 0, 255, 255)
    return mask


def hole() -> Pixels:
    """Return a picture in the form of OpenAI's masks: the rectangle is transparent."""
    with Image.open(PHOTOS / "coffee.jpg") as opened:
        rgb = np.asarray(opened.convert("RGB").resize((320, 240)))
    return np.dstack([rgb, 255 - grey(255)])


@pytest.mark.parametrize(
    "mask", [grey(1), grey(255), two_colours()], ids=["labels", "white", "colours"]
)
def test_what_is_marked_is_edited(client: TestClient, route: str, mask: Pixels) -> None:
    found = changed(client, send(client, route, mask))
    expected = grey(255) > 0
    assert not found[~expected].any()
    assert found[62:178, 82:238].mean() > 0.9


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (grey(0), "highest level is 0 of 255"),
        (np.full((240, 320), 90, np.uint8), "highest level is 90 of 255"),
        (np.zeros((240, 320, 4), np.uint8), "completely transparent"),
        (hole(), "OpenAI"),
    ],
    ids=["black", "grey", "empty canvas", "hole"],
)
def test_a_mask_that_marks_nothing_or_is_no_mask_is_400(
    client: TestClient, settings: Settings, route: str, mask: Pixels, words: str, sync: bool
) -> None:
    body = refused(send(client, route, mask, sync), 400)
    assert words in body["description"]
    assert "White is edited and black is kept" in body["description"]
    assert "mask" in body["parameter"]
    assert nothing_stored(settings.data_dir)


@pytest.mark.parametrize("sync", [True, False])
def test_a_stroke_that_is_lost_at_the_size_of_the_picture_is_400(
    client: TestClient, settings: Settings, route: str, sync: bool
) -> None:
    thin = np.zeros((2400, 3200), np.uint8)
    thin[1200] = 255
    body = refused(send(client, route, thin, sync), 400)
    assert "320x240" in body["description"]
    assert nothing_stored(settings.data_dir)


def nothing_stored(data_dir: Path) -> bool:
    """Whether no result is stored."""
    return not any(path.is_file() for path in (data_dir / "results").rglob("*"))


def test_a_mask_of_erase_foreground_says_what_is_erased(client: TestClient) -> None:
    mask = grey(255)
    erased = changed(client, send(client, "erase_foreground", mask))
    assert np.array_equal(erased, changed(client, send(client, "eraser", mask)))
    assert not erased[mask == 0].any()
    alone = client.post("/v1/erase_foreground", json={"file": b64(photo()), "mask_file": None})
    assert changed(client, alone)[mask == 0].any()


@pytest.mark.parametrize("missing", [MATTING, SEGMENTATION])
def test_erase_foreground_with_a_mask_needs_no_matting(
    settings: Settings, missing: Role[Any]
) -> None:
    class Without(GenerativeModels):
        fakes = {r: fake for r, fake in GenerativeModels.fakes.items() if r != missing}

    with TestClient(create_app(settings, Without()), headers=TOKEN) as client:
        assert changed(client, send(client, "erase_foreground", grey(255))).any()
        refused(client.post("/v1/erase_foreground", json={"file": b64(photo())}), 506)


@pytest.mark.parametrize(("kind", "grows"), [("manual", False), ("automatic", True)])
def test_the_mask_type_of_erase_foreground_is_that_of_the_eraser(
    client: TestClient, kind: str, grows: bool
) -> None:
    mask = grey(255)
    body = {"file": b64(photo()), "mask_file": b64(encode(Image.fromarray(mask)))}
    answer = client.post("/v1/erase_foreground", json={**body, "mask_type": kind})
    assert changed(client, answer)[mask == 0].any() == grows
