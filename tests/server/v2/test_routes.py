"""What each route of version 2 makes, in both ways of asking, and what each of its fields does."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from server import v2
from server.app import create_app
from server.settings import Settings
from server.v2.words import WordsResult
from tests.helpers.answers import local
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, noise, photo
from tests.helpers.route_needs import SENT
from tests.helpers.version2 import finished, picture, refused

EDIT = "/v2/image/edit/"
ALL_MASKS = "/v2/image/segment/all_masks"
IMAGE = {"image": b64(photo())}
HOLE = np.zeros((240, 320), np.bool_)
HOLE[60:-60, 80:-80] = True
FIELDS = {
    "gen_fill": {"seed", "prompt", "refined_prompt"},
    "replace_background": {"seed", "refined_prompt"},
    "expand": {"seed", "prompt"},
    "enhance": {"seed"},
    "product/integrate": {"seed"},
}
"""By the end of a route's path below EDIT: what its result has besides the link."""
BY_WORDS = {"seed", "structured_instruction", "structured_prompt"}
"""The same for the routes by words."""
ROUTES = [operation.url for operation in v2.OPERATIONS]


def translucent() -> bytes:
    """Return a picture whose alpha falls from the left to the right, nowhere to 0."""
    alpha = np.broadcast_to(np.linspace(255, 64, 320).astype(np.uint8)[:, None], (240, 320, 1))
    return encode(Image.fromarray(np.concatenate([noise(320, 240), alpha], axis=2)))


def invisible() -> bytes:
    """Return a picture of which nothing is visible."""
    return encode(Image.new("RGBA", (320, 240), (200, 10, 10, 0)))


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def sent(route: str, **fields: Any) -> dict[str, Any]:
    """Return a body of a route: what it needs, and these fields."""
    return {**IMAGE, **SENT.get(route, {}), **fields}


def result(client: TestClient, name: str, **fields: Any) -> dict[str, Any]:
    """Return the result of a request whose caller waits."""
    route = (EDIT + name).rstrip("/")
    answer = client.post(route, json=sent(route, sync=True, **fields))
    if answer.status_code == 202:
        made: dict[str, Any] = finished(client, answer)["result"]
        return made
    assert answer.status_code == 200, answer.text
    assert answer.json()["request_id"]
    result_: dict[str, Any] = answer.json()["result"]
    return result_


def pixels(client: TestClient, name: str, **fields: Any) -> NDArray[np.uint8]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, result(client, name, **fields)))


def of_result(route: str) -> set[str]:
    """Return what the result of a route has besides the link."""
    operation = next(operation for operation in v2.OPERATIONS if operation.url == route)
    if issubclass(operation.response, WordsResult):
        return BY_WORDS
    return FIELDS.get(route.removeprefix(EDIT), set())


@pytest.mark.parametrize("route", [route for route in ROUTES if f"{route}/".startswith(EDIT)])
def test_both_ways_of_asking_give_the_same_result(generative: TestClient, route: str) -> None:
    name = f"{route}/".removeprefix(EDIT).rstrip("/")
    later = generative.post(route, json=sent(route, seed=7))
    assert later.json().keys() == {"request_id", "status_url"}
    state = finished(generative, later)
    assert state["status"] == "COMPLETED", state
    now = result(generative, name, seed=7)
    assert now.keys() == state["result"].keys() == {"image_url"} | of_result(route)
    for one in (now, state["result"]):
        assert one.get("seed", 7) == 7
        assert type(one.get("seed", 7)) is int
    assert np.array_equal(picture(generative, now), picture(generative, state["result"]))


def test_enhance_never_waits(client: TestClient) -> None:
    answer = client.post(EDIT + "enhance", json={**IMAGE, "sync": True})
    made = finished(client, answer)["result"]
    assert picture(client, made).size == (640, 480)
    assert made["seed"] >= 0


@pytest.mark.parametrize("name", ["gen_fill", "replace_background", "expand", "enhance"])
def test_a_seed_is_made_if_none_is_sent_and_reproduces_the_result(
    generative: TestClient, name: str
) -> None:
    first = result(generative, name)
    again = result(generative, name, seed=first["seed"])
    assert np.array_equal(picture(generative, first), picture(generative, again))
    assert result(generative, name)["seed"] != first["seed"]


@pytest.mark.parametrize("name", ["erase", "gen_fill"])
def test_nothing_changes_outside_the_mask(generative: TestClient, name: str) -> None:
    made = pixels(generative, name)
    assert np.array_equal(made[~HOLE], noise(320, 240)[~HOLE])
    assert not np.array_equal(made[HOLE], noise(320, 240)[HOLE])


@pytest.mark.parametrize("name", ["erase", "gen_fill"])
def test_an_automatic_mask_is_grown(generative: TestClient, name: str) -> None:
    changed = np.any(pixels(generative, name, mask_type="automatic") != noise(320, 240), axis=2)
    assert changed[~HOLE].any()


def test_a_composite_changes_nothing_outside_an_automatic_mask(client: TestClient) -> None:
    made = pixels(client, "erase", mask_type="automatic", composite=True)
    assert np.array_equal(made[~HOLE], noise(320, 240)[~HOLE])


def test_a_mask_of_another_size_and_the_same_ratio_is_accepted(client: TestClient) -> None:
    assert pixels(client, "erase", mask=b64(mask(160, 120))).shape == (240, 320, 3)
    error = refused(client.post(EDIT + "erase", json={**IMAGE, "mask": b64(mask(99, 240))}), 400)
    assert "ratio" in error["details"]


KEEPING = ["erase", "gen_fill", "erase_foreground", "blur_background", "increase_resolution"]


@pytest.mark.parametrize("name", [*KEEPING, "enhance", "expand"])
def test_preserve_alpha_false_gives_an_opaque_picture(generative: TestClient, name: str) -> None:
    image = {"image": b64(translucent())}
    kept, opaque = (
        pixels(generative, name, **image),
        pixels(generative, name, **image, preserve_alpha=False),
    )
    assert kept.shape[2] == 4
    assert kept[..., 3].min() < 255
    assert opaque.shape == (*kept.shape[:2], 3)


@pytest.mark.parametrize("name", KEEPING[2:4])
def test_the_alpha_of_the_image_is_kept(client: TestClient, name: str) -> None:
    alpha = np.asarray(Image.open(io.BytesIO(translucent())))[..., 3]
    assert np.array_equal(pixels(client, name, image=b64(translucent()))[..., 3], alpha)


@pytest.mark.parametrize("name", ["remove_background", "crop_foreground"])
def test_a_cut_out_is_not_partly_transparent_with_preserve_alpha_false(
    client: TestClient, name: str
) -> None:
    image = {"image": b64(translucent())}
    kept = pixels(client, name, **image)[..., 3]
    solid = pixels(client, name, **image, preserve_alpha=False)[..., 3]
    assert ((kept > 0) & (kept < 255)).any()
    assert set(np.unique(solid)) <= {0, 255}


@pytest.mark.parametrize("name", ["remove_background", "crop_foreground", "replace_background"])
@pytest.mark.parametrize("sync", [True, False])
def test_a_wholly_transparent_image_is_not_cut_out(
    client: TestClient, name: str, sync: bool
) -> None:
    body = sent(EDIT + name, sync=sync, image=b64(invisible()))
    assert "transparent" in refused(client.post(EDIT + name, json=body), 400)["details"]


@pytest.mark.parametrize("name", ["crop_foreground", "replace_background"])
def test_force_background_detection_ignores_alpha(client: TestClient, name: str) -> None:
    forced = pixels(client, name, image=b64(invisible()), force_background_detection=True)
    assert np.array_equal(forced, pixels(client, name, image=b64(red_photo())))


def red_photo() -> bytes:
    """Return the colours of `invisible`, opaque."""
    return encode(Image.new("RGB", (320, 240), (200, 10, 10)))


@pytest.mark.parametrize("sync", [True, False])
def test_expand_refuses_transparent_edges(client: TestClient, sync: bool) -> None:
    alpha = np.full((240, 320, 1), 255, np.uint8)
    alpha[100:200, 0] = 0
    image = b64(encode(Image.fromarray(np.concatenate([noise(320, 240), alpha], axis=2))))
    body = {"image": image, "sync": sync, "aspect_ratio": "16:9"}
    assert "left edge" in refused(client.post(EDIT + "expand", json=body), 422)["details"]
    opaque = pixels(client, "expand", image=image, aspect_ratio="16:9", preserve_alpha=False)
    assert opaque.shape == (240, 427, 3)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"aspect_ratio": "16:9"}, (427, 240)),
        ({"aspect_ratio": 0.5}, (320, 640)),
        ({"aspect_ratio": "1.5"}, (360, 240)),
        ({"aspect_ratio": 21 / 9}, (560, 240)),
        ({"aspect_ratio": "4:3", "canvas_size": [9, "x"]}, (320, 240)),
        ({}, (1000, 1000)),
        (
            {"canvas_size": [], "original_image_size": [], "original_image_location": []},
            (1000,) * 2,
        ),
        ({"canvas_size": [400, 300], "original_image_location": [-20, 10]}, (400, 300)),
    ],
)
def test_the_canvas_of_expand(client: TestClient, fields: dict[str, Any], size: Any) -> None:
    made = picture(client, result(client, "expand", **fields))
    assert made.size == size


def test_expand_keeps_the_image_and_centres_it(client: TestClient) -> None:
    made = pixels(client, "expand", aspect_ratio="16:9")
    assert np.array_equal(made[:, 53:373], noise(320, 240))


@pytest.mark.parametrize(
    "fields",
    [
        {"aspect_ratio": "16:10"},
        {"aspect_ratio": 0.49},
        {"aspect_ratio": 3.1},
        {"canvas_size": [5001, 5000]},
        {"canvas_size": [100]},
        {"original_image_location": [5000, 0]},
        {"original_image_size": [0, 5]},
        {"seed": "x"},
        {"prompt": 5},
    ],
)
def test_wrong_fields_of_expand(client: TestClient, fields: dict[str, Any]) -> None:
    error = refused(client.post(EDIT + "expand", json={**IMAGE, **fields}), 400)
    assert next(iter(fields)) in error["details"]


def test_expand_makes_a_prompt_if_none_is_sent(generative: TestClient) -> None:
    for prompt in ("", " ", None):
        assert result(generative, "expand", prompt=prompt)["prompt"] == "a picture of noise"
    assert result(generative, "expand", prompt=" a wall ")["prompt"] == "a wall"
    assert result(generative, "expand", prompt="a wall", refine_prompt=7)["seed"] >= 0


def test_without_a_captioning_model_expand_has_no_prompt(client: TestClient) -> None:
    assert result(client, "expand")["prompt"] == ""


def test_gen_fill_tells_the_prompt_and_what_was_made_of_it(generative: TestClient) -> None:
    made = result(generative, "gen_fill", prompt="a dog", seed=1)
    assert made["prompt"] == "a dog"
    assert made["refined_prompt"] == "a dog, in fine detail"
    plain = result(generative, "gen_fill", prompt="a dog", seed=1, refine_prompt=False)
    assert (plain["prompt"], plain["refined_prompt"]) == ("a dog", None)
    assert not np.array_equal(picture(generative, made), picture(generative, plain))


@pytest.mark.parametrize("prompt", ["", " ", None])
def test_gen_fill_needs_a_prompt(generative: TestClient, prompt: str | None) -> None:
    body = {**IMAGE, "mask": b64(mask()), "prompt": prompt}
    assert "prompt" in refused(generative.post(EDIT + "gen_fill", json=body), 400)["details"]


@pytest.mark.parametrize("name", ["gen_fill", "expand", "replace_background"])
def test_a_negative_prompt_of_spaces_is_none(generative: TestClient, name: str) -> None:
    fields = {"prompt": "a meadow", "seed": 3}
    one = pixels(generative, name, **fields)
    assert np.array_equal(one, pixels(generative, name, **fields, negative_prompt=" "))
    assert np.array_equal(one, pixels(generative, name, **fields, negative_prompt=None))


class TestReplaceBackground:
    """replace_background."""

    def test_a_colour_needs_no_scene_model(self, client: TestClient) -> None:
        made = result(client, "replace_background", prompt="#FF0080", original_quality=True)
        assert made["refined_prompt"] is None
        assert picture(client, made).size == (320, 240)
        assert picture(client, made).getpixel((2, 2)) == (255, 0, 128)

    def test_a_scene_needs_its_model(self, client: TestClient) -> None:
        for sync in (True, False):
            body = {**IMAGE, "prompt": "a beach", "sync": sync}
            refused(client.post(EDIT + "replace_background", json=body), 506)

    def test_about_a_megapixel_by_default(self, generative: TestClient) -> None:
        made = picture(generative, result(generative, "replace_background", prompt="a beach"))
        assert 0.9e6 < made.width * made.height < 1.1e6

    def test_fast_has_no_negative_prompt(self, generative: TestClient) -> None:
        fields = {"prompt": "a beach", "seed": 1, "original_quality": True}
        both = {
            mode: [
                pixels(generative, "replace_background", mode=mode, negative_prompt=text, **fields)
                for text in ("", "people")
            ]
            for mode in ("base", "high_control", "fast")
        }
        assert np.array_equal(*both["fast"])
        assert not np.array_equal(*both["high_control"])
        assert np.array_equal(both["base"], both["high_control"])
        assert not np.array_equal(both["base"][0], both["fast"][0])
        default = pixels(generative, "replace_background", fast="false", **fields)
        assert np.array_equal(default, both["high_control"][0])

    def test_refined_prompt(self, generative: TestClient) -> None:
        fields = {"prompt": "a beach"}
        made = result(generative, "replace_background", **fields)
        assert made["refined_prompt"] == "a beach, in fine detail"
        plain = result(generative, "replace_background", **fields, refine_prompt=False)
        assert plain["refined_prompt"] is None

    @pytest.mark.parametrize("prompt", ["", " ", None])
    def test_reference_pictures_stand_for_a_prompt(
        self, generative: TestClient, prompt: str | None
    ) -> None:
        reference = b64(red_photo())
        fields = {"prompt": prompt, "seed": 1, "enhance_ref_images": False}
        one = pixels(generative, "replace_background", ref_images=reference, **fields)
        several = [reference, b64(photo(64, 64))]
        assert np.array_equal(
            one, pixels(generative, "replace_background", ref_images=several, **fields)
        )
        swapped = pixels(generative, "replace_background", ref_images=several[::-1], **fields)
        assert not np.array_equal(one, swapped)

    def test_a_job_with_reference_pictures(self, generative: TestClient) -> None:
        body = {**IMAGE, "ref_images": [b64(red_photo())], "seed": 1}
        state = finished(generative, generative.post(EDIT + "replace_background", json=body))
        now = pixels(generative, "replace_background", prompt="", **{**body, "seed": 1})
        assert np.array_equal(picture(generative, state["result"]), now)

    def test_a_reference_picture_is_enhanced_by_default(self, generative: TestClient) -> None:
        dim = encode(Image.fromarray(noise(64, 64) // 4))
        fields = {"prompt": "", "ref_images": [b64(dim)], "seed": 1}
        default = pixels(generative, "replace_background", **fields)
        plain = pixels(generative, "replace_background", **fields, enhance_ref_images=False)
        assert not np.array_equal(default, plain)

    @pytest.mark.parametrize("blank", [[], "", None, [""], [None, ""]])
    def test_blank_reference_pictures_stand_for_none(self, client: TestClient, blank: Any) -> None:
        assert result(client, "replace_background", prompt="white", ref_images=blank)["image_url"]
        body = {**IMAGE, "ref_images": blank}
        refused(client.post(EDIT + "replace_background", json=body), 400)

    @pytest.mark.parametrize(
        ("references", "code", "text"),
        [
            ([7], 400, "ref_images"),
            ({"a": 1}, 400, "ref_images"),
            (["%%%"], 400, "ref_images"),
            ([b64(photo()), b64(b"GIF89a")], 415, "ref_images.1"),
            ("http://127.0.0.1:1/a.png", 460, "ref_images"),
            ([b64(photo(8, 8))] * 9, 400, "ref_images"),
        ],
    )
    def test_wrong_reference_pictures(
        self, generative: TestClient, references: Any, code: int, text: str
    ) -> None:
        body = {**IMAGE, "ref_images": references}
        error = refused(generative.post(EDIT + "replace_background", json=body), code)
        assert text in error["details"]

    def test_both_a_prompt_and_reference_pictures(self, generative: TestClient) -> None:
        body = {**IMAGE, "prompt": "a beach", "ref_images": [b64(photo())]}
        refused(generative.post(EDIT + "replace_background", json=body), 400)

    @pytest.mark.parametrize("fields", [{"mode": "slow"}, {"enhance_ref_images": "x"}])
    def test_wrong_fields(self, client: TestClient, fields: dict[str, Any]) -> None:
        body = {**IMAGE, "prompt": "white", **fields}
        refused(client.post(EDIT + "replace_background", json=body), 400)

    def test_fields_of_others_are_ignored(self, client: TestClient) -> None:
        made = result(
            client, "replace_background", prompt="white", preserve_alpha="x", num_results=9
        )
        assert made["image_url"]


def test_the_scale_of_a_blur(client: TestClient) -> None:
    weak, strong = (pixels(client, "blur_background", scale=scale) for scale in (1, 5))
    assert strong.std() < weak.std()
    assert np.array_equal(pixels(client, "blur_background"), strong)
    for scale in (0, 6, "x"):
        refused(client.post(EDIT + "blur_background", json={**IMAGE, "scale": scale}), 400)


def test_increase_resolution(client: TestClient) -> None:
    small = {"image": b64(photo(40, 30))}
    for fields, size in (({}, (80, 60)), ({"desired_increase": 4}, (160, 120))):
        made = result(client, "increase_resolution", **small, **fields)
        assert picture(client, made).size == size
    assert picture(client, result(client, "increase_resolution", **small, scale=4)).width == 80
    body = {**small, "desired_increase": 3}
    assert (
        "2 and 4" in refused(client.post(EDIT + "increase_resolution", json=body), 400)["details"]
    )


def test_an_increase_beyond_the_largest_result(client: TestClient) -> None:
    large = b64(encode(Image.new("RGB", (2049, 2048))))
    body = {"image": large, "desired_increase": 4}
    refused(client.post(EDIT + "increase_resolution", json=body), 413)


def test_crop_foreground(client: TestClient) -> None:
    tight, padded = (pixels(client, "crop_foreground", padding=size) for size in (0, 10))
    assert np.array_equal(pixels(client, "crop_foreground"), tight)
    assert padded.shape == (tight.shape[0] + 20, tight.shape[1] + 20, 4)
    assert not padded[:10, :, 3].any()
    for padding, code in ((-1, 400), ("x", 400), (9000, 413)):
        body = {**IMAGE, "padding": padding}
        refused(client.post(EDIT + "crop_foreground", json=body), code)


class TestAllMasks:
    """all_masks."""

    def masks(self, client: TestClient, **fields: Any) -> list[dict[str, Any]]:
        """Return the masks of a picture."""
        answer = client.post(ALL_MASKS, json={**IMAGE, "sync": True, **fields})
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"].keys() == {"masks"}
        found: list[dict[str, Any]] = answer.json()["result"]["masks"]
        return found

    def test_each_mask_is_as_it_is_told(self, client: TestClient) -> None:
        found = self.masks(client)
        assert len(found) > 2
        assert [mask["id"] for mask in found] == list(range(1, len(found) + 1))
        sureness = [mask["confidence"] for mask in found]
        assert sureness == sorted(sureness, reverse=True)
        assert all(0 <= sure <= 1 for sure in sureness)
        for one in found:
            assert one.keys() == {"id", "area", "confidence", "image_url"}
            file = client.get(local(one["image_url"]), headers={"api_token": ""})
            assert file.headers["content-type"] == "image/png"
            white = np.asarray(Image.open(io.BytesIO(file.content)))
            assert white.shape == (240, 320)
            assert set(np.unique(white)) <= {0, 255}
            assert np.count_nonzero(white) == one["area"]

    def test_a_job_tells_the_same(self, client: TestClient) -> None:
        state = finished(client, client.post(ALL_MASKS, json=IMAGE))
        now = self.masks(client)
        assert [
            {name: value for name, value in one.items() if name != "image_url"}
            for one in state["result"]["masks"]
        ] == [{name: value for name, value in one.items() if name != "image_url"} for one in now]

    def test_a_picture_without_anything_visible_has_no_masks(self, client: TestClient) -> None:
        assert self.masks(client, image=b64(invisible())) == []
        state = finished(client, client.post(ALL_MASKS, json={"image": b64(invisible())}))
        assert (state["status"], state["result"]) == ("COMPLETED", {"masks": []})
