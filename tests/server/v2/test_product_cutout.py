"""Product cutout of v2: cropped, as PNG or JPEG, and moderated at the caller's threshold."""

import io
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from models.roles import MODERATION
from tests.helpers.answers import local
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, encode, noise, photo
from tests.helpers.version2 import finished, refused

ROUTE = "/v2/image/edit/product/cutout"


def cut_out(level: int = 255) -> str:
    alpha = np.zeros((240, 320), np.uint8)
    alpha[60:180, 100:220] = level
    alpha[61:100, 101:150] = min(level, 120)
    return b64(encode(Image.fromarray(np.dstack([noise(320, 240), alpha]))))


def result(client: TestClient, **fields: Any) -> tuple[NDArray[np.uint8], str]:
    """Return the pixels and the type of a result."""
    answer = client.post(ROUTE, json={"image": cut_out(), "sync": True, **fields})
    assert answer.status_code == 200, answer.text
    file = client.get(local(answer.json()["result"]["image_url"]))
    return np.asarray(Image.open(io.BytesIO(file.content))), file.headers["content-type"]


def test_a_png_is_cropped_and_transparent(client: TestClient) -> None:
    pixels, kind = result(client)
    assert (pixels.shape, kind) == ((120, 120, 4), "image/png")
    assert np.array_equal(pixels, result(client, output_type="png", sku="A-1")[0])


def test_a_jpeg_is_on_white(client: TestClient) -> None:
    pixels, kind = result(client, output_type="jpeg")
    assert (pixels.shape, kind) == ((120, 120, 3), "image/jpeg")
    through = pixels[5:35, 5:45].mean()
    assert through > 180, "partly transparent: mostly white"


def test_preserve_alpha(client: TestClient) -> None:
    assert result(client)[0][20, 20, 3] == 120
    assert result(client, preserve_alpha=False)[0][20, 20, 3] == 255


def test_forced_detection_ignores_the_alpha(client: TestClient) -> None:
    assert result(client, force_background_detection=True)[0].shape != (120, 120, 4)


def test_it_is_asynchronous_by_default(client: TestClient) -> None:
    answer = client.post(ROUTE, json={"image": cut_out()})
    assert answer.status_code == 202
    assert finished(client, answer)["result"].keys() == {"image_url"}


def test_a_wholly_transparent_image_is_refused(client: TestClient) -> None:
    refused(client.post(ROUTE, json={"image": cut_out(0)}), 400)


@pytest.mark.parametrize(
    "sent",
    [
        {"output_type": "webp"},
        {"sku": "x" * 256},
        {"visual_input_content_moderation_threshold": 101},
        {"visual_output_content_moderation_threshold": -1},
        {"visual_output_content_moderation_threshold": "much"},
    ],
)
def test_what_is_out_of_bounds_is_refused(client: TestClient, sent: dict[str, Any]) -> None:
    refused(client.post(ROUTE, json={"image": b64(photo()), **sent}), 400)


class HalfSure:
    """A moderation model that scores every picture 0.5."""

    def score(self, rgb: NDArray[np.uint8]) -> dict[str, float]:
        return {"nudity": 0.5}


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("sync", [True, False])
def test_the_threshold_is_the_callers(
    client: TestClient, fakes: FakeModels, side: str, sync: bool
) -> None:
    fakes.given[MODERATION] = HalfSure()
    switch = f"visual_{side}_content_moderation"

    def code(**fields: Any) -> int:
        answer = client.post(ROUTE, json={"image": b64(photo()), "sync": sync, **fields})
        if answer.status_code != 202:
            return answer.status_code
        state = finished(client, answer)
        return int(state["error"]["code"]) if "error" in state else 200

    assert code(**{switch: True}) == 200
    assert code(**{switch: True, f"{switch}_threshold": 51}) == 200
    assert code(**{switch: True, f"{switch}_threshold": 50}) == 422
    assert code(**{f"{switch}_threshold": 50}) == 200, "only with the switch"


def test_a_jpeg_too_long_for_the_format_is_a_png(client: TestClient) -> None:
    strip = np.zeros((12, 70_000, 4), np.uint8)
    strip[3:9, 100:69_900] = (200, 40, 40, 255)
    pixels, kind = result(client, image=b64(encode(Image.fromarray(strip))), output_type="jpeg")
    assert (pixels.shape, kind) == ((6, 69_800, 3), "image/png")
