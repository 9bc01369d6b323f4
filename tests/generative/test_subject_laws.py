"""The laws about the subject, over HTTP on profile `tiny`, whose matting finds an ellipse in the middle."""

import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.api.layers import Layer
from starlette.testclient import TestClient

from pipelines.common.subject import FAINT
from tests.helpers.answers import local
from tests.helpers.generated import Pixels, pixels
from tests.helpers.places import PHOTOS
from tests.helpers.program import real_app
from tests.helpers.requests import TOKEN, b64, encode

SIZE = 224, 160
_ONE = {"sync": True, "num_results": 1, "seed": 3, "original_quality": True}


def photograph() -> Pixels:
    image = Image.open(PHOTOS / "coffee.jpg").convert("RGB")
    return np.asarray(image.resize(SIZE, Image.Resampling.LANCZOS))


PHOTO = photograph()
FILE = b64(encode(Image.fromarray(PHOTO)))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with profile `tiny`."""
    app = real_app("tiny", tmp_path_factory.mktemp("tiny"))
    with TestClient(app, headers=TOKEN) as client:
        yield client


def made(client: TestClient, route: str, **fields: Any) -> Pixels:
    """Return the result of a route for the photograph."""
    answer = client.post(f"/v1/{route}", json={"file": FILE, **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    link = body["result_url"] if "result_url" in body else body["result"][0][0]
    return pixels(client, link)


@pytest.fixture(scope="module")
def cut_out(client: TestClient) -> Pixels:
    """The photograph without its background: RGBA."""
    return made(client, "background/remove")


@pytest.fixture(scope="module")
def subject(cut_out: Pixels) -> Pixels:
    """Where the subject is solid."""
    return cut_out[..., 3] == 255


@pytest.fixture(scope="module")
def background(cut_out: Pixels) -> Pixels:
    """Where nothing of the subject is."""
    return cut_out[..., 3] == 0


def picture_of(layer: Layer, mode: str) -> Pixels:
    """Return the pixels of a layer of a PSD file, which must have some."""
    image = layer.topil()
    assert image is not None
    return np.asarray(image.convert(mode))


def share_of_changed(result: Pixels, where: Pixels) -> float:
    return float((result[where] != PHOTO[where]).any(axis=-1).mean())


def test_a_subject_is_found_that_is_not_the_picture(subject: Pixels, background: Pixels) -> None:
    assert 0.1 < subject.mean() < 0.5
    assert 0.4 < background.mean() < 0.9
    assert subject[SIZE[1] // 2, SIZE[0] // 2]
    assert background[[0, 0, -1, -1], [0, -1, 0, -1]].all()


def test_a_removed_background_leaves_the_subject_bit_for_bit(
    cut_out: Pixels, subject: Pixels
) -> None:
    assert cut_out.shape == (*PHOTO.shape[:2], 4)
    assert np.array_equal(cut_out[subject][:, :3], PHOTO[subject])


@pytest.mark.parametrize(
    "fields",
    [
        {"bg_prompt": "on a beach"},
        {"bg_prompt": "on a beach", "fast": False, "negative_prompt": "people"},
        {"ref_image_file": b64(encode(Image.fromarray(PHOTO[::-1])))},
    ],
)
def test_a_new_scene_leaves_the_subject_bit_for_bit(
    client: TestClient, subject: Pixels, background: Pixels, fields: dict[str, Any]
) -> None:
    result = made(client, "background/replace", **fields, **_ONE)
    assert np.array_equal(result[subject], PHOTO[subject])
    assert share_of_changed(result, background) > 0.9


def test_a_plain_background_is_that_colour_and_the_subject_stays(
    client: TestClient, subject: Pixels, background: Pixels
) -> None:
    result = made(client, "background/replace", bg_prompt="#c8d8e8", **_ONE)
    assert np.array_equal(result[subject], PHOTO[subject])
    assert (result[background] == (200, 216, 232)).all()


def test_a_blurred_background_leaves_the_subject_bit_for_bit(
    client: TestClient, subject: Pixels, background: Pixels
) -> None:
    result = made(client, "background/blur", scale=5)
    assert np.array_equal(result[subject], PHOTO[subject])
    # The ground at the subject's foot stays sharp, and an even part of the picture stays as it is.
    assert share_of_changed(result, background) > 0.3


def test_an_erased_foreground_changes_the_subject_and_nothing_far_from_it(
    client: TestClient, subject: Pixels, background: Pixels
) -> None:
    result = made(client, "erase_foreground")
    # The hole is larger than the matte by a thirtieth of the picture or less, for hair and shadows.
    reach = 2 * (max(SIZE) // 30) + 1
    near = cv2.dilate((~background).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    assert (~near).mean() > 0.3
    assert np.array_equal(result[~near], PHOTO[~near])
    assert share_of_changed(result, subject) > 0.9


@pytest.mark.parametrize("route", ["crop", "product/cutout"])
def test_a_cut_out_is_the_box_of_the_subject_bit_for_bit(
    client: TestClient, cut_out: Pixels, route: str
) -> None:
    rows, columns = np.nonzero(cut_out[..., 3] > FAINT)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    result = made(client, route)
    assert result.shape == cut_out[box].shape
    assert result.shape[0] < PHOTO.shape[0]
    solid = result[..., 3] == 255
    assert 0.3 < solid.mean() < 0.9
    assert np.array_equal(solid, cut_out[box][..., 3] == 255)
    assert np.array_equal(result[solid][:, :3], PHOTO[box][solid])


def test_the_layers_for_editors_are_the_subject_and_what_is_behind_it(
    client: TestClient, subject: Pixels
) -> None:
    visual = client.post("/v1/register", json={"file": FILE}).json()["visual_id"]
    answer = client.post(f"/v1/{visual}/image_to_psd")
    assert answer.status_code == 200, answer.text
    content = client.get(local(answer.json()["image_res"])).content
    layers = {layer.name: layer for layer in PSDImage.open(io.BytesIO(content))}
    found = np.zeros_like(subject)
    for name, layer in layers.items():
        if name.split()[0] not in ("Foreground", "Subject", "Person"):
            continue
        box = np.s_[layer.top : layer.bottom, layer.left : layer.right]
        part = picture_of(layer, "RGBA")
        solid = part[..., 3] == 255
        assert np.array_equal(part[solid][:, :3], PHOTO[box][solid])
        found[box] |= solid
    assert found[subject].mean() > 0.9
    assert found.mean() < 0.5
    behind = picture_of(layers["Background"], "RGB")
    assert behind.shape == PHOTO.shape
    assert share_of_changed(behind, subject) > 0.9
