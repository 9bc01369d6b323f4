"""Captions, prompts and object labels through the server, by tiny files in a user's own profile."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.requests import TOKEN, b64, encode
from tests.helpers.tiny_florence2 import make_florence2
from tests.helpers.tiny_onnx import classifier, red_matting

PROFILE = """
matting = "red-matting"
segmentation = "felzenszwalb"
inpainting = "cv2-inpaint"
captioning = "florence2-onnx"
object_detection = "florence2-objects-onnx"
moderation = "vit-nsfw-onnx"

[cards.red-matting]
role = "matting"
path = "red.onnx"
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]

[cards.florence2-onnx]
path = "florence2"

[cards.florence2-objects-onnx]
path = "florence2"

[cards.vit-nsfw-onnx]
path = "vit.onnx"
"""
BOX = (80, 60, 240, 180)
"""Left, top, right and bottom of the red object in the picture of 320 x 240."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server whose Florence-2 says what the test knows."""
    folder = tmp_path_factory.mktemp("cpu")
    red_matting(folder / "red.onnx")
    classifier(folder / "vit.onnx", side=16, gain=4)
    places = [f"<loc_{n}>" for n in (250, 250, 749, 749)]
    make_florence2(folder / "florence2", objects=(("cat", *places), ("cat", *places)))
    profile = folder / "mine.toml"
    profile.write_text(PROFILE)
    pool = Pool.for_profile(str(profile), folder / "weights", device="cpu")
    settings = Settings(data_dir=folder, workers=2)
    with TestClient(create_app(settings, LocalEngine(pool)), headers=TOKEN) as client:
        yield client


def picture(object_colour: tuple[int, int, int] = (255, 0, 0)) -> str:
    rgb = np.full((240, 320, 3), (0, 60, 60), np.uint8)
    left, top, right, bottom = BOX
    rgb[top:bottom, left:right] = object_colour
    return b64(encode(Image.fromarray(rgb)))


def register(client: TestClient, data: str) -> str:
    visual: str = client.post("/v1/register", json={"file": data}).json()["visual_id"]
    return visual


def get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_visual_has_a_caption_that_depends_on_its_picture(client: TestClient) -> None:
    blue = register(client, picture((0, 0, 255)))
    assert get(client, f"/v1/{blue}/caption") == {"caption": "A dog on a table"}
    rgb = np.full((240, 320, 3), (255, 0, 0), np.uint8)
    red = register(client, b64(encode(Image.fromarray(rgb))))
    assert get(client, f"/v1/{red}/caption") == {"caption": "A red cat"}


def test_an_object_has_the_name_of_what_is_detected_there(client: TestClient) -> None:
    visual = register(client, picture())
    entries = get(client, f"/v1/{visual}/objects/info")
    left, top, right, bottom = BOX
    named = [entry for entry in entries if "cat" in entry["labels"]]
    assert [entry["labels"][0] for entry in named] == ["cat"]
    rect = named[0]["rect"]
    assert rect["x"] == pytest.approx(left, abs=8)
    assert rect["y"] == pytest.approx(top, abs=8)
    assert rect["w"] == pytest.approx(right - left, abs=12)
    assert rect["h"] == pytest.approx(bottom - top, abs=12)


def test_an_expansion_without_a_prompt_returns_the_caption(client: TestClient) -> None:
    body = {
        "file": picture(),
        "canvas_size": [400, 300],
        "original_image_size": [320, 240],
        "original_image_location": [40, 30],
        "sync": True,
    }
    answer = client.post("/v1/image_expansion", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["prompt"] == "A dog on a table"
    answer = client.post("/v1/image_expansion", json={**body, "prompt": "a lake"})
    assert answer.json()["prompt"] == "a lake"


def test_moderation_refuses_what_the_classifier_is_sure_of(client: TestClient) -> None:
    red = b64(encode(Image.fromarray(np.full((240, 320, 3), (255, 0, 0), np.uint8))))
    body = {"content_moderation": True, "sync": True}
    assert client.post("/v1/background/blur", json={**body, "file": picture()}).status_code == 200
    refused(client.post("/v1/background/blur", json={**body, "file": red}), 422)
    assert client.post("/v1/background/blur", json={"file": red}).status_code != 422
