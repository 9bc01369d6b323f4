"""A storefront program's requests to v1, unchanged but for the address, with fakes for every role."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.storefront import AUTOMATIC_READ, RefusedError, Storefront, first_link, links

SCENE = "on a marble shelf, morning light"
PLACEMENTS = (
    "Original",
    "Automatic",
    "Manual Placement",
    "Manual Padding",
    "Custom Coordinates",
)
SMALL = [96, 64]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("shop"), api_tokens="a:secret-a", workers=2
    )
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def shop(client: TestClient) -> Storefront:
    """The program."""
    return Storefront(client)


@pytest.fixture(scope="module")
def product() -> bytes:
    """A photograph as people upload it: JPEG, no cut-out."""
    return photo(240, 180, format="JPEG")


def smaller(placement: str) -> dict[str, Any]:
    """Return a size of the shot where the placement has one, so that the test is quick."""
    return ({} if placement in ("Original", "Manual Padding") else {"shot_size": SMALL}) | custom(
        placement
    )


def custom(placement: str) -> dict[str, Any]:
    """Return a place for the product that fits the smaller shot."""
    if placement != "Custom Coordinates":
        return {}
    return {"foreground_image_size": [40, 40], "foreground_image_location": [-10, 30]}


@pytest.mark.parametrize("colour", ["#FFFFFF", "#3a7bd5", "transparent"])
def test_a_packshot_has_exactly_the_colour_around_the_product(
    shop: Storefront, product: bytes, colour: str
) -> None:
    made = shop.get(shop.packshot(product, colour, sku="SKU-1"))
    assert made.size == (2000, 2000)
    corners = [made.convert("RGBA").getpixel((x, y)) for x in (0, 1999) for y in (0, 1999)]
    if colour == "transparent":
        assert {corner[3] for corner in corners if isinstance(corner, tuple)} == {0}
    else:
        assert set(corners) == {(*bytes.fromhex(colour[1:]), 255)}


@pytest.mark.parametrize("shadow_type", ["natural", "drop", "regular", "float"])
def test_a_photograph_gets_a_shadow_by_the_names_of_the_form(
    shop: Storefront, product: bytes, shadow_type: str
) -> None:
    made = shop.get(shop.shadow(product, shadow_type))
    assert made.mode == "RGBA"
    assert np.asarray(made)[..., 3].min() == 0


def test_the_names_of_the_form_mean_a_regular_shadow(shop: Storefront, product: bytes) -> None:
    made = {
        name: shop.get(shop.shadow(product, name)).tobytes()
        for name in ("natural", "drop", "regular", "float")
    }
    assert made["natural"] == made["drop"] == made["regular"] != made["float"]


@pytest.mark.parametrize(
    "chosen",
    [
        {"background_color": "#ffffff"},
        {"shadow_offset": [-50, 50]},
        {"shadow_intensity": 0},
        {"shadow_intensity": 100, "shadow_blur": 0},
        {"shadow_blur": 50},
        {"shadow_type": "float", "shadow_width": 0, "shadow_height": 70},
        {"shadow_type": "float", "shadow_width": -100, "shadow_height": -100},
        {"shadow_type": "float", "shadow_width": 100, "shadow_height": 100},
        {"shadow_type": "glow"},
        {"force_rmbg": True, "content_moderation": True, "sku": "None"},
        {"sync": True},
    ],
    ids=str,
)
def test_every_place_of_a_slider_gives_a_shadow(
    shop: Storefront, product: bytes, chosen: dict[str, Any]
) -> None:
    made = shop.get(shop.shadow(product, **chosen))
    assert (made.convert("RGBA").getextrema()[3][0] == 255) == ("background_color" in chosen)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("by", ["text", "image"])
def test_a_shot_that_the_person_waits_for_is_found(
    shop: Storefront, product: bytes, placement: str, by: str
) -> None:
    chosen = {"sync": True, "num_results": 1, **smaller(placement)}
    answer = (
        shop.lifestyle_by_text(product, SCENE, placement, **chosen)
        if by == "text"
        else shop.lifestyle_by_image(product, photo(64, 64), placement, **chosen)
    )
    made = shop.get(first_link(answer))
    assert made.size == (tuple(SMALL) if "shot_size" in chosen else made.size)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_shots_that_come_later_are_ready_in_the_end(
    shop: Storefront, product: bytes, placement: str
) -> None:
    answer = shop.lifestyle_by_text(product, SCENE, placement, **smaller(placement))
    found = links(answer, 4)
    assert found
    shop.wait(found)
    assert all(shop.get(link).mode == "RGB" for link in found)


def test_the_slider_for_results_goes_to_eight(shop: Storefront, product: bytes) -> None:
    answer = shop.lifestyle_by_text(product, "#c0ffee", sync=True, num_results=8)
    assert len(answer["result"]) == 8


def test_a_colour_is_made_for_every_number_of_results(shop: Storefront, product: bytes) -> None:
    answer = shop.lifestyle_by_text(product, "#c0ffee", sync=True)
    assert len(answer["result"]) == 4
    made = shop.get(first_link(answer))
    assert made.getpixel((0, 0)) == (0xC0, 0xFF, 0xEE)


def test_a_node_waits_for_automatic_shots_and_shows_seven(shop: Storefront, product: bytes) -> None:
    found = shop.node_shot(product, SCENE, "automatic", shot_size=SMALL)
    assert len(found) == AUTOMATIC_READ
    assert {shop.get(link).size for link in found} == {tuple(SMALL)}


@pytest.mark.parametrize(
    ("placement", "placed"),
    [
        ("original", {"original_quality": True}),
        ("manual_placement", {"shot_size": SMALL, "manual_placement_selection": ["upper_left"]}),
        ("manual_placement", {"shot_size": SMALL, "manual_placement_selection": "bottom_right"}),
        ("manual_padding", {"padding_values": [0, 0, 0, 0]}),
        ("automatic_aspect_ratio", {"aspect_ratio": "4:5", "exclude_elements": "people"}),
    ],
    ids=str,
)
def test_a_node_shows_its_shot(
    shop: Storefront, product: bytes, placement: str, placed: dict[str, Any]
) -> None:
    (found,) = shop.node_shot(product, SCENE, placement, **placed)
    made = shop.get(found)
    if placement == "automatic_aspect_ratio":
        assert made.width / made.height == pytest.approx(4 / 5, abs=0.01)


def test_results_are_sent_back_by_their_links(shop: Storefront, product: bytes) -> None:
    cut_out = shop.cutout(product)
    assert shop.get(cut_out).mode == "RGBA"
    assert shop.get(shop.packshot_of_link(cut_out)).size == (2000, 2000)
    fields = {
        "scene_description": SCENE,
        "mode": "high_control",
        "placement_type": "automatic_aspect_ratio",
        "aspect_ratio": "1:1",
        "num_results": 1,
        "sync": True,
        "optimize_description": True,
    }
    shot = shop.get(shop.skill_shot("lifestyle_shot_by_text", cut_out, **fields))
    assert shot.width == shot.height


def test_an_old_skill_describes_the_scene_in_prompt(client: TestClient, product: bytes) -> None:
    body = {"image": b64(product), "prompt": "#336699", "sync": True}
    answer = client.post("/v1/product/lifestyle_shot_by_text", json=body)
    assert answer.status_code == 200, answer.text


def test_a_function_sends_a_form_without_json(client: TestClient, product: bytes) -> None:
    form = {
        "scene_description": SCENE,
        "placement_type": "automatic",
        "optimize_description": "true",
        "num_results": "1",
        "sync": "true",
        "output_resolution": "1024x1024",
        "shot_size": "[96, 64]",
    }
    files = {"file": ("element.jpg", product, "image/jpeg")}
    answer = client.post("/v1/product/lifestyle_shot_by_text", data=form, files=files)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["result"]) == 10


def test_a_data_url_is_a_file(client: TestClient, product: bytes) -> None:
    body = {"sku": "12345", "file": f"data:image/jpeg;base64,{b64(product)}"}
    assert client.post("/v1/product/packshot", json=body).status_code == 200


def test_a_cutout_of_v2_is_asked_for_with_the_fields_of_both(
    client: TestClient, product: bytes
) -> None:
    body = {
        "image": b64(product),
        "file": b64(product),
        "sync": True,
        "output_format": "PNG",
        "preserve_alpha": True,
    }
    for path in ("/v2/image/edit/product/cutout", "/v1/product/cutout"):
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text


def test_an_unwanted_picture_is_told_with_its_status(shop: Storefront) -> None:
    red = encode(Image.new("RGB", (120, 90), (255, 0, 0)))
    with pytest.raises(RefusedError, match="422"):
        shop.shadow(red, content_moderation=True)


def test_a_broken_picture_is_told_with_its_reason(shop: Storefront) -> None:
    with pytest.raises(RefusedError, match="file"):
        shop.packshot(b"no picture")


def test_pictures_and_prompts_come_from_words(shop: Storefront) -> None:
    prompt = shop.enhanced("a red mug")
    assert prompt.startswith("a red mug, ")
    answer = shop.hd_image(
        prompt, enhance_image=True, medium="photography", content_moderation=True
    )
    assert shop.get(first_link(answer)).size == (1536, 1536)
    assert links(shop.hd_image(prompt, num_results=2, sync=False), 2)


def test_the_canvas_of_a_brush_is_a_mask_of_another_size(
    client: TestClient, product: bytes
) -> None:
    """It is 800 pixels wide at most, and as high as rounding makes it."""
    canvas = Image.new("L", (120, int(120 * 180 / 240)))
    canvas.paste(255, (30, 20, 70, 60))
    stream = io.BytesIO()
    canvas.save(stream, "PNG")
    body = {
        "file": b64(product),
        "mask_file": b64(stream.getvalue()),
        "mask_type": "manual",
        "prompt": "a bow",
        "num_results": 1,
        "sync": True,
        "content_moderation": False,
    }
    assert client.post("/v1/gen_fill", json=body).status_code == 200
