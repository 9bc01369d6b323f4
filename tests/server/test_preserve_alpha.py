"""preserve_alpha of v1: without it nothing changes, false is opaque, and true is as v1 has always been."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from imaging.picture import Mask
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels, GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, noise

Read = Callable[[httpx.Response], Image.Image]
IN_PLACE = (
    "/v1/background/blur",
    "/v1/eraser",
    "/v1/erase_foreground",
    "/v1/image/increase_resolution",
)
CUT_OUTS = ("/v1/background/remove", "/v1/crop")
EXPANSION = "/v1/image_expansion"
HIDDEN = (0, 255, 0)
"""The colour beneath transparent pixels; no other pixel of noise has it."""


def pixels(hidden: bool = True) -> NDArray[np.uint8]:
    """Return RGBA noise, half transparent on the left, with a hidden block on the right."""
    rgba = np.dstack([noise(320, 240), np.full((240, 320), 255, np.uint8)])
    rgba[:, :150, 3] = 128
    if hidden:
        rgba[20:60, -40:-10] = (*HIDDEN, 0)
    return rgba


def body(route: str, rgba: NDArray[np.uint8], **fields: Any) -> dict[str, Any]:
    sent = {"file": b64(encode(Image.fromarray(rgba))), **fields}
    if route == EXPANSION:
        sent |= {"canvas_size": [360, 260], "seed": 3}
    if route in ("/v1/eraser", "/v1/gen_fill"):
        sent["mask_file"] = b64(mask())
    return sent


def shows(result: NDArray[np.uint8], colour: tuple[int, ...]) -> bool:
    return bool((result[..., :3] == colour).all(axis=-1).any())


@pytest.mark.parametrize("route", [*IN_PLACE, *CUT_OUTS])
def test_true_is_what_v1_has_always_answered(client: TestClient, read: Read, route: str) -> None:
    absent, true, null = (
        read(client.post(route, json=body(route, pixels(), **fields)))
        for fields in ({}, {"preserve_alpha": True}, {"preserve_alpha": None})
    )
    assert absent.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(absent), np.asarray(true))
    np.testing.assert_array_equal(np.asarray(absent), np.asarray(null))


@pytest.mark.parametrize("route", IN_PLACE)
@pytest.mark.parametrize("false", [False, "false", 0])
def test_false_lays_the_result_over_white(
    client: TestClient, read: Read, route: str, false: object
) -> None:
    kept = np.asarray(read(client.post(route, json=body(route, pixels()))))
    result = read(client.post(route, json=body(route, pixels(), preserve_alpha=false)))
    assert result.mode == "RGB"
    over = np.asarray(result)
    alpha = kept[..., 3:] / 255
    assert np.abs(over - (kept[..., :3] * alpha + 255 * (1 - alpha))).max() <= 0.5001
    np.testing.assert_array_equal(over[kept[..., 3] == 255], kept[kept[..., 3] == 255][:, :3])
    assert not shows(over, HIDDEN)


def test_outside_the_mask_no_opaque_pixel_changes(client: TestClient, read: Read) -> None:
    rgba = pixels()
    sent = body("/v1/eraser", rgba, preserve_alpha=False)
    result = np.asarray(read(client.post("/v1/eraser", json=sent)))
    outside = np.asarray(Image.open(io.BytesIO(mask()))) == 0
    same = outside & (rgba[..., 3] == 255)
    np.testing.assert_array_equal(result[same], rgba[same][:, :3])


def outside_rims(alpha: NDArray[np.uint8]) -> Mask:
    """Return where no hidden pixel is near."""
    near = cv2.dilate((alpha <= 12).view(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(near == 0)


def test_false_makes_what_a_cut_out_keeps_opaque(client: TestClient, read: Read) -> None:
    rgba = pixels()
    rgba[110:130, 150:170] = (*HIDDEN, 0)  # in the subject
    route = "/v1/background/remove"
    kept = np.asarray(read(client.post(route, json=body(route, rgba))))
    result = np.asarray(read(client.post(route, json=body(route, rgba, preserve_alpha=False))))
    subject = kept[..., 3] > 0
    assert set(np.unique(kept[..., 3])) == {0, 128, 255}
    np.testing.assert_array_equal(result[..., 3] > 0, subject)
    clear = subject & outside_rims(rgba[..., 3])
    assert (result[clear][:, 3] == 255).all()
    np.testing.assert_array_equal(result[clear][:, :3], rgba[clear][:, :3])
    assert (result[rgba[..., 3] == 0][:, 3] == 0).all()


def test_crop_false_has_the_same_frame_and_is_opaque(client: TestClient, read: Read) -> None:
    kept = np.asarray(read(client.post("/v1/crop", json=body("/v1/crop", pixels()))))
    sent = body("/v1/crop", pixels(), preserve_alpha=False)
    result = np.asarray(read(client.post("/v1/crop", json=sent)))
    assert result.shape == kept.shape
    assert 128 in kept[..., 3]
    assert set(np.unique(result[..., 3])) == {0, 255}


def test_crop_of_a_cut_out_needs_no_model_with_false(client: TestClient, fakes: FakeModels) -> None:
    rgba = np.dstack([noise(200, 200), np.zeros((200, 200), np.uint8)])
    rgba[50:150, 40:160, 3] = 90
    sent = body("/v1/crop", rgba, preserve_alpha=False)
    link = local(client.post("/v1/crop", json=sent).json()["result_url"])
    result = np.asarray(Image.open(io.BytesIO(client.get(link).content)))
    assert fakes.use_count == 0
    assert result.shape == (100, 120, 4)
    assert (result[2:-2, 2:-2, 3] == 255).all()
    np.testing.assert_array_equal(result[..., :3], rgba[50:150, 40:160, :3])


def test_gen_fill_has_it(settings: Settings) -> None:
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        modes = []
        for fields in ({}, {"preserve_alpha": True}, {"preserve_alpha": False}):
            sent = body(
                "/v1/gen_fill", pixels(), prompt="a boat", sync=True, num_results=2, **fields
            )
            for url in client.post("/v1/gen_fill", json=sent).json()["urls"]:
                modes.append(Image.open(io.BytesIO(client.get(local(url)).content)).mode)
    assert modes == ["RGBA"] * 4 + ["RGB"] * 2


def test_expansion_keeps_alpha_only_when_asked(client: TestClient, read: Read) -> None:
    rgba = pixels()
    absent, true, false = (
        np.asarray(read(client.post(EXPANSION, json=body(EXPANSION, rgba, **fields))))
        for fields in ({}, {"preserve_alpha": True}, {"preserve_alpha": False})
    )
    assert absent.shape == false.shape == (260, 360, 3)
    np.testing.assert_array_equal(true[10:250, 20:340], rgba)
    assert (true[10:250, :20, 3] == 128).all()
    assert (true[10:250, 340:, 3] == 255).all()
    assert not shows(false, HIDDEN)
    inner = false[10:250, 20:340]
    clear = outside_rims(rgba[..., 3])
    np.testing.assert_array_equal(inner[clear], rgba[clear][:, :3])


@pytest.mark.parametrize("route", [*IN_PLACE, *CUT_OUTS, EXPANSION])
@pytest.mark.parametrize("preserve", [True, False])
def test_without_alpha_it_has_no_effect(
    client: TestClient, read: Read, route: str, preserve: bool
) -> None:
    rgb = noise(320, 240)
    results = [
        read(client.post(route, json=body(route, rgb, **fields)))
        for fields in ({}, {"preserve_alpha": preserve})
    ]
    assert results[0].format == results[1].format
    np.testing.assert_array_equal(*map(np.asarray, results))


@pytest.mark.parametrize("route", ["increase_resolution", "blur_bg"])
def test_an_edit_of_a_visual_has_it_in_its_query(client: TestClient, route: str) -> None:
    picture = {"file": b64(encode(Image.fromarray(pixels())))}
    visual = client.post("/v1/register", json=picture).json()["visual_id"]
    modes = []
    for query in ("", "?preserve_alpha=false"):
        link = client.get(f"/v1/{visual}/{route}{query}").json()["image_res"]
        modes.append(Image.open(io.BytesIO(client.get(local(link)).content)).mode)
    assert modes == ["RGBA", "RGB"]


@pytest.mark.parametrize("route", [*IN_PLACE, *CUT_OUTS, EXPANSION])
def test_another_value_is_refused(client: TestClient, fakes: FakeModels, route: str) -> None:
    error = refused(client.post(route, json=body(route, pixels(), preserve_alpha="maybe")), 400)
    assert error["parameter"] == "preserve_alpha"
    assert fakes.use_count == 0


@pytest.mark.parametrize(
    ("route", "preserve", "extension"),
    [
        ("/v1/eraser", None, ".png?"),
        ("/v1/eraser", False, ".jpeg?"),
        ("/v1/background/remove", False, ".png?"),
        (EXPANSION, None, ".png?"),
        (EXPANSION, True, ".png?"),
        (EXPANSION, False, ".jpeg?"),
    ],
)
def test_an_opaque_result_may_be_jpeg_where_the_settings_say_so(
    settings: Settings, route: str, preserve: bool | None, extension: str
) -> None:
    jpeg = settings.model_copy(update={"result_format": "jpeg"})
    with TestClient(create_app(jpeg, FakeModels()), headers=TOKEN) as client:
        answer = client.post(route, json=body(route, pixels(), preserve_alpha=preserve))
        assert extension in answer.json()["result_url"]


def test_a_wholly_transparent_picture_is_white_or_has_no_subject(
    client: TestClient, read: Read
) -> None:
    rgba = np.zeros((240, 320, 4), np.uint8)
    rgba[..., :3] = HIDDEN
    for route in ("/v1/background/blur", "/v1/erase_foreground", "/v1/image/increase_resolution"):
        result = read(client.post(route, json=body(route, rgba, preserve_alpha=False)))
        assert result.getextrema() == ((255, 255),) * 3
    for route in (*CUT_OUTS, EXPANSION):
        refused(client.post(route, json=body(route, rgba, preserve_alpha=False)), 506)
