"""The product routes of v1: each field with and without, its bounds, and what storefronts send."""

import io
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo

CUTOUT, PACKSHOT, SHADOW = (f"/v1/product/{name}" for name in ("cutout", "packshot", "shadow"))
ROUTES = (CUTOUT, PACKSHOT, SHADOW)
Look = Callable[..., NDArray[np.uint8]]


def cut_out(level: int = 255) -> str:
    """Return noise whose alpha cuts out a block."""
    alpha = np.zeros((240, 320), np.uint8)
    alpha[60:180, 100:220] = level
    return b64(encode(Image.fromarray(np.dstack([noise(320, 240), alpha]))))


def look_at(client: TestClient, answer: httpx.Response) -> NDArray[np.uint8]:
    """Return the pixels of an answer's result."""
    assert answer.status_code == 200, answer.text
    content = client.get(local(answer.json()["result_url"])).content
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture
def shadow(client: TestClient) -> Look:
    """A function that returns the result of a shadow with these fields."""

    def look(**fields: Any) -> NDArray[np.uint8]:
        body = {"file": cut_out(), **fields}
        return look_at(client, client.post(SHADOW, json=body))

    return look


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("sku", [None, "SKU-1", "", 12345])
def test_a_sku_is_accepted_and_changes_nothing(client: TestClient, route: str, sku: Any) -> None:
    plain = client.post(route, json={"file": b64(photo())})
    sent = client.post(route, json={"file": b64(photo()), "sku": sku})
    assert sent.json().keys() == {"result_url"}
    assert np.array_equal(look_at(client, plain), look_at(client, sent))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("sku", ["x" * 256, ["a"], {"a": 1}, True, 1.5])
def test_a_wrong_sku_is_refused(client: TestClient, route: str, sku: Any) -> None:
    body = {"file": b64(photo()), "sku": sku}
    assert refused(client.post(route, json=body), 400)["parameter"] == "sku"


@pytest.mark.parametrize("route", ROUTES)
def test_the_picture_may_come_as_programs_send_it(client: TestClient, route: str) -> None:
    for field in ("file", "image_file", "image_base64"):
        assert client.post(route, json={field: b64(photo())}).status_code == 200
    files = {"file": ("a.png", photo())}
    assert client.post(route, files=files, data={"sku": "1"}).status_code == 200
    refused(client.post(route, json={}), 400)


@pytest.mark.parametrize("route", ROUTES)
def test_a_cut_out_needs_no_model_unless_forced(
    client: TestClient, fakes: FakeModels, route: str
) -> None:
    assert client.post(route, json={"file": cut_out()}).status_code == 200
    assert fakes.use_count == 0
    for body in ({"file": cut_out(), "force_rmbg": True}, {"file": b64(photo())}):
        before = fakes.use_count
        assert client.post(route, json=body).status_code == 200
        assert fakes.use_count == before + 1


@pytest.mark.parametrize("route", ROUTES)
def test_a_wholly_transparent_picture_is_refused(client: TestClient, route: str) -> None:
    body = {"file": cut_out(0)}
    assert "transparent" in refused(client.post(route, json=body), 400)["description"]
    refused(client.post(route, json={**body, "sync": False}), 400)


@pytest.mark.parametrize("route", ROUTES)
def test_sync_false_answers_with_the_link_at_once(client: TestClient, route: str) -> None:
    answer = client.post(route, json={"file": b64(photo()), "sync": False})
    assert answer.status_code == 200
    assert answer.json().keys() == {"result_url"}


@pytest.mark.parametrize("route", ROUTES)
def test_moderation_refuses_and_needs_to_be_asked(client: TestClient, route: str) -> None:
    red = b64(encode(Image.new("RGB", (320, 240), (255, 0, 0))))
    assert client.post(route, json={"file": red}).status_code == 200
    refused(client.post(route, json={"file": red, "content_moderation": True}), 422)


def test_a_cutout_is_cropped(client: TestClient) -> None:
    result = look_at(client, client.post(CUTOUT, json={"file": cut_out()}))
    assert result.shape == (120, 120, 4)
    assert (result[..., 3] == 255).all()


@pytest.mark.parametrize("route", [CUTOUT, SHADOW])
def test_preserve_alpha(client: TestClient, route: str) -> None:
    kept, true, false = (
        look_at(client, client.post(route, json={"file": cut_out(120), **fields}))
        for fields in ({}, {"preserve_alpha": True}, {"preserve_alpha": False})
    )
    assert np.array_equal(kept, true)
    assert (kept[..., 3] == 255).sum() == 0
    assert (false[..., 3] == 255).sum() > 10_000


@pytest.mark.parametrize(
    ("sent", "corner"),
    [
        ({}, (255, 255, 255)),
        ({"background_color": "#f00"}, (255, 0, 0)),
        ({"background_color": "#00ff7F"}, (0, 255, 127)),
        ({"background_color": ""}, (255, 255, 255)),
        ({"background_color": None}, (255, 255, 255)),
        ({"background_color": "transparent"}, None),
        ({"background_color": " Transparent "}, None),
    ],
)
def test_the_background_of_a_packshot(
    client: TestClient, sent: dict[str, Any], corner: tuple[int, int, int] | None
) -> None:
    result = look_at(client, client.post(PACKSHOT, json={"file": cut_out(), **sent}))
    assert result.shape == (2000, 2000, 4 if corner is None else 3)
    assert tuple(result[0, 0]) == corner or (corner is None and result[0, 0, 3] == 0)


@pytest.mark.parametrize("route", [PACKSHOT, SHADOW])
@pytest.mark.parametrize("colour", ["red", "#12", "#GGGGGG", "FFFFFF", "#FFFFFFFF", 5, "x" * 99])
def test_a_wrong_colour_is_refused(client: TestClient, route: str, colour: Any) -> None:
    body = {"file": cut_out(), "background_color": colour}
    assert refused(client.post(route, json=body), 400)["parameter"] == "background_color"


def test_a_shadow_is_transparent_or_on_a_colour(shadow: Look) -> None:
    plain = shadow()
    assert plain.shape[2] == 4
    assert np.array_equal(plain, shadow(background_color="transparent"))
    on_colour = shadow(background_color="#00ff00")
    assert on_colour.shape == (*plain.shape[:2], 3)
    assert tuple(on_colour[0, 0]) == (0, 255, 0)


def test_the_types_of_a_shadow_and_their_other_names(shadow: Look) -> None:
    regular, floating = shadow(type="regular"), shadow(type="float")
    assert regular.shape != floating.shape or not np.array_equal(regular, floating)
    for same in ({}, {"type": "natural"}, {"shadow_type": "drop"}, {"shadow_type": "Regular"}):
        assert np.array_equal(shadow(**same), regular)
    assert np.array_equal(shadow(shadow_type="Float"), floating)
    assert np.array_equal(shadow(type="regular", shadow_type="float"), regular), "type decides"


@pytest.mark.parametrize(
    ("base", "default", "other"),
    [
        ({}, {"shadow_color": "#000000"}, {"shadow_color": "#AA0000"}),
        ({}, {"shadow_offset": [0, 15]}, {"shadow_offset": [9, 15]}),
        ({}, {"shadow_offset": "[0, 15]"}, {"shadow_offset": "0,40"}),
        ({}, {"shadow_intensity": 60}, {"shadow_intensity": 61}),
        ({}, {"shadow_intensity": 60.0}, {"shadow_intensity": "80"}),
        ({}, {"shadow_blur": 15}, {"shadow_blur": 20}),
        ({"type": "float"}, {"shadow_blur": 20}, {"shadow_blur": 15}),
        ({"type": "float"}, {"shadow_height": 70}, {"shadow_height": 30}),
        ({"type": "float"}, {"shadow_width": 0}, {"shadow_width": 60}),
    ],
)
def test_each_field_of_a_shadow_has_its_default_and_an_effect(
    shadow: Look, base: dict[str, Any], default: dict[str, Any], other: dict[str, Any]
) -> None:
    plain = shadow(**base)
    assert np.array_equal(plain, shadow(**base, **default))
    assert not np.array_equal(plain, shadow(**base, **other))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "cast"),
        ("type", 3),
        ("shadow_color", "transparent"),
        ("shadow_color", "black"),
        ("shadow_offset", [0]),
        ("shadow_offset", [0, 1, 2]),
        ("shadow_offset", [0, 1001]),
        ("shadow_offset", "a,b"),
        ("shadow_intensity", 101),
        ("shadow_intensity", -1),
        ("shadow_intensity", 1.5),
        ("shadow_blur", -1),
        ("shadow_blur", 501),
        ("shadow_width", -5001),
        ("shadow_width", 5001),
        ("shadow_height", -5001),
        ("shadow_height", 5001),
    ],
)
def test_what_is_out_of_bounds_is_refused(client: TestClient, field: str, value: Any) -> None:
    answer = refused(client.post(SHADOW, json={"file": cut_out(), field: value}), 400)
    assert answer["parameter"].startswith(field)


@pytest.mark.parametrize(
    "sent",
    [
        {"shadow_offset": [1000, -1000], "shadow_blur": 500},
        {"type": "float", "shadow_width": 5000, "shadow_height": 5000, "shadow_blur": 500},
        {"shadow_blur": 0, "shadow_offset": [0, 0]},
    ],
)
def test_the_bounds_themselves_are_accepted(shadow: Look, sent: dict[str, Any]) -> None:
    assert shadow(**sent).shape[2] == 4


def test_a_form_of_a_storefront_is_understood(client: TestClient) -> None:
    form = {
        "shadow_type": "natural",
        "shadow_color": "#000000",
        "shadow_intensity": "60",
        "shadow_offset": "[0, 15]",
        "shadow_height": "70",
        "shadow_blur": "",
        "background_color": "#ffffff",
        "force_rmbg": "False",
        "content_moderation": "false",
        "sku": "A 1",
    }
    answer = client.post(SHADOW, files={"file": ("a.png", photo())}, data=form, headers=TOKEN)
    assert look_at(client, answer).shape[2] == 3
