"""Lifestyle shots: placements, bounds, results and scenes of both routes, with fake models."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.roles import SCENE_GENERATION
from pipelines.common.placement_geometry import POSITIONS, layout_at
from server.app import create_app
from server.jobs import executor, picture_files
from server.settings import Settings
from server.v1.product_lifestyle_fields import LifestyleBody
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import GenerativeModels, SeedPainter
from tests.helpers.requests import TOKEN, b64, encode, noise, photo

Wait = Callable[[Callable[[], bool]], None]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
TEXT = "/v1/product/lifestyle_shot_by_text"
IMAGE = "/v1/product/lifestyle_shot_by_image"
COLOUR = (30, 144, 255)
BOX = np.s_[40:160, 60:220]


def cut_out() -> bytes:
    """Return a product of 160 x 120 noisy pixels, cut out of 320 x 240."""
    pixels = np.dstack([noise(320, 240), np.zeros((240, 320), np.uint8)])
    pixels[(*BOX, 3)] = 255
    return encode(Image.fromarray(pixels))


BODY = {"file": b64(cut_out()), "scene_description": "#1e90ff", "sync": True, "num_results": 1}
SMALL = {
    "placement_type": "custom_coordinates",
    "shot_size": [300, 200],
    "foreground_image_size": [16, 12],
}
"""A product that covers next to nothing."""
SCENE = {**BODY, "scene_description": "on a beach", "seed": 5}
BY_IMAGE = {
    "file": BODY["file"],
    "ref_image_file": b64(photo(90, 50)),
    "sync": True,
    "num_results": 1,
    "seed": 5,
}


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with generative models."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def results(client: TestClient, path: str, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the links, seeds and names of an answer."""
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: list[tuple[str, str, str]] = answer.json()["result"]
    return found


def pixels(client: TestClient, link: str) -> Pixels:
    """Return the pixels of a result, which must be opaque."""
    answer = client.get(local(link))
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content))
    assert image.mode == "RGB"
    return np.asarray(image)


def shots(client: TestClient, path: str = TEXT, **fields: Any) -> list[Pixels]:
    """Return the pictures of a request."""
    body = {**(BODY if path == TEXT else BY_IMAGE), **fields}
    return [pixels(client, link) for link, _, _ in results(client, path, body)]


def is_there(client: TestClient, link: str) -> bool:
    """Whether a link has an answer."""
    return bool(client.get(link).status_code != 404)


def box(made: Pixels) -> tuple[int, ...]:
    """Return left, top, width and height of what is not of the background's colour."""
    rows, columns = np.nonzero((made != COLOUR).any(axis=2))
    left, top = columns.min(), rows.min()
    return left, top, columns.max() + 1 - left, rows.max() + 1 - top


def test_original_keeps_the_place_of_the_product(client: TestClient) -> None:
    (whole,) = shots(client, original_quality=True)
    assert whole.shape == (240, 320, 3)
    assert np.array_equal(whole[BOX], noise(320, 240)[BOX])
    assert box(whole) == (60, 40, 160, 120)
    (megapixel,) = shots(client)
    assert megapixel.shape == (866, 1155, 3)


def test_automatic_gives_ten_positions_for_each_result(client: TestClient) -> None:
    body = {**BODY, "placement_type": "automatic", "shot_size": [90, 60], "num_results": 2}
    found = results(client, TEXT, {**body, "seed": 7})
    assert [seed for _, seed, _ in found] == ["7", "8"] * 10
    assert len({link for link, _, _ in found}) == 20
    made = [pixels(client, link) for link, _, _ in found]
    for position, first, second in zip(POSITIONS, made[::2], made[1::2], strict=True):
        _, size, location = layout_at((160, 120), position, (90, 60))
        assert size is not None
        assert location is not None
        assert box(first) == (*location, *size)
        assert np.array_equal(first, second)


def test_by_default_an_automatic_request_has_forty_results(client: TestClient) -> None:
    body = {**BODY, "placement_type": "automatic", "shot_size": [30, 20]}
    del body["num_results"]
    assert len(results(client, TEXT, body)) == 40


def test_the_links_alone_are_told_too(client: TestClient) -> None:
    answer = client.post(TEXT, json={**BODY, "num_results": 8, "sync": False}).json()
    assert answer["urls"] == [link for link, _, _ in answer["result"]]
    assert len(answer["urls"]) == 8


def test_prompt_is_another_name_of_the_description(client: TestClient) -> None:
    other = {"scene_description": "", "prompt": BODY["scene_description"]}
    (named,), (plain,) = shots(client, **other), shots(client)
    assert np.array_equal(named, plain)


def test_the_selected_positions_are_in_their_order(client: TestClient) -> None:
    selected = ["bottom_center", "upper_center"]
    fields = {"placement_type": "manual_placement", "shot_size": [900, 550]}
    low, high = shots(client, **fields, manual_placement_selection=selected)
    assert low.shape == high.shape == (550, 900, 3)
    assert box(low)[1] > box(high)[1]
    for sent in ("bottom_center, upper_center", '["bottom_center", "upper_center"]'):
        again = shots(client, **fields, manual_placement_selection=sent)
        assert np.array_equal(again[0], low)
        assert len(again) == 2
    (default,) = shots(client, **fields)
    assert box(default)[:2] == (45, 27)


def test_a_padding_is_around_the_product_at_its_own_size(client: TestClient) -> None:
    for padding in ([20, 30, 40, 50], "20,30,40,50"):
        (made,) = shots(client, placement_type="manual_padding", padding_values=padding)
        assert made.shape == (120 + 40 + 50, 160 + 20 + 30, 3)
        assert np.array_equal(made[40:160, 20:180], noise(320, 240)[BOX])


def test_coordinates_place_the_product_on_the_shot(client: TestClient) -> None:
    fields = {"placement_type": "custom_coordinates", "shot_size": [400, 300]}
    (made,) = shots(
        client, **fields, foreground_image_size=[50, 80], foreground_image_location=[100, 10]
    )
    assert made.shape == (300, 400, 3)
    assert box(made) == (100, 10, 50, 80)
    (default,) = shots(client, **fields)
    assert np.array_equal(default[90:210, 120:280], noise(320, 240)[BOX])
    (cropped,) = shots(client, **fields, foreground_image_location=[-100, 250])
    assert np.array_equal(cropped[250:, :60], noise(320, 240)[BOX][:50, 100:])


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("1:1", (1000, 1000)), ("4:3", (1156, 867)), ("9:16", (747, 1328)), (1.25, (1120, 896))],
)
def test_a_ratio_gives_a_centred_product(client: TestClient, ratio: Any, size: Any) -> None:
    (made,) = shots(client, placement_type="automatic_aspect_ratio", aspect_ratio=ratio)
    assert (made.shape[1], made.shape[0]) == size
    left, top, width, height = box(made)
    assert abs(2 * left + width - size[0]) <= 1
    assert abs(2 * top + height - size[1]) <= 1


def test_fields_of_other_placements_are_ignored(client: TestClient) -> None:
    odd = {
        "aspect_ratio": "7:1",
        "shot_size": [0, 0],
        "foreground_image_size": "none",
        "manual_placement_selection": ["somewhere"],
        "padding_values": [-1],
    }
    (made,) = shots(client, **odd, original_quality=True)
    assert made.shape == (240, 320, 3)
    del odd["padding_values"]
    (padded,) = shots(client, **odd, placement_type="manual_padding", original_quality=True)
    assert padded.shape == (120, 160, 3)


@pytest.mark.parametrize("path", [TEXT, IMAGE])
@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        ("somewhere", {}, "placement_type"),
        ("automatic", {"shot_size": [5001, 5000]}, "shot_size"),
        ("automatic", {"shot_size": [5000, 5000], "num_results": 2}, "shot_size"),
        ("automatic", {"shot_size": [0, 10]}, "shot_size"),
        ("automatic", {"shot_size": [10]}, "shot_size"),
        ("manual_placement", {"manual_placement_selection": ["middle"]}, "manual_placement"),
        (
            "manual_placement",
            {"manual_placement_selection": ["upper_left"] * 11},
            "manual_placement_selection",
        ),
        ("manual_padding", {"padding_values": [1, 2, 3]}, "padding_values"),
        ("manual_padding", {"padding_values": [1, 2, 3, -4]}, "padding_values"),
        ("manual_padding", {"padding_values": [100_001, 0, 0, 0]}, "padding_values"),
        ("manual_padding", {"padding_values": [5000, 0, 5000, 0]}, "padding_values"),
        ("custom_coordinates", {"foreground_image_size": [0, 5]}, "foreground_image_size"),
        ("custom_coordinates", {"foreground_image_size": [9000, 9000]}, "foreground_image_size"),
        (
            "custom_coordinates",
            {"foreground_image_location": [1000, 0]},
            "foreground_image_location",
        ),
        (
            "custom_coordinates",
            {"foreground_image_location": [-320, 0]},
            "foreground_image_location",
        ),
        ("automatic_aspect_ratio", {}, "aspect_ratio"),
        ("automatic_aspect_ratio", {"aspect_ratio": "1:9"}, "aspect_ratio"),
        ("original", {"num_results": 9}, "num_results"),
        ("original", {"num_results": 0}, "num_results"),
        ("original", {"mode": "slow"}, "mode"),
    ],
)
@pytest.mark.parametrize("sync", [True, False])
def test_what_cannot_be_made_is_refused_at_once(
    generative: TestClient, path: str, kind: str, fields: dict[str, Any], named: str, sync: bool
) -> None:
    body = {**(BODY if path == TEXT else BY_IMAGE), "placement_type": kind, **fields}
    refusal = refused(generative.post(path, json={**body, "sync": sync}), 400)
    assert named in refusal["description"]


def test_a_padding_that_only_the_product_shows_to_be_too_large_is_400(client: TestClient) -> None:
    body = {**BODY, "placement_type": "manual_padding", "padding_values": [4900, 0, 4900, 0]}
    assert "5060 x 5020" in refused(client.post(TEXT, json=body), 400)["description"]


def test_a_place_that_only_the_product_shows_to_be_outside_is_400(client: TestClient) -> None:
    fields = {"placement_type": "custom_coordinates", "foreground_image_location": [-200, 0]}
    refusal = refused(client.post(TEXT, json={**BODY, **fields}), 400)
    assert "foreground_image_location" in refusal["description"]


@pytest.mark.parametrize("text", ["", "  ", None])
def test_a_description_is_required(client: TestClient, text: str | None) -> None:
    body = {**BODY, "scene_description": text}
    assert "scene_description" in refused(client.post(TEXT, json=body), 400)["description"]


def test_links_come_at_once_by_default_and_work_later(client: TestClient, wait_until: Wait) -> None:
    body = {**BODY, "num_results": 2, "original_quality": True, "seed": 3}
    del body["sync"]
    found = results(client, TEXT, body)
    assert [seed for _, seed, _ in found] == ["3", "4"]
    links = [local(link) for link, _, _ in found]
    wait_until(lambda: all(client.get(link).status_code == 200 for link in links))
    assert client.get(links[0]).content == client.get(links[1]).content
    assert np.array_equal(pixels(client, found[0][0]), shots(client, original_quality=True)[0])
    assert all(
        link.rpartition("/")[2].startswith(name)
        for link, (_, _, name) in zip(links, found, strict=True)
    )


def test_a_failed_job_says_so_at_each_link(client: TestClient, wait_until: Wait) -> None:
    fields = {"placement_type": "manual_padding", "padding_values": [4900, 0, 4900, 0]}
    found = results(client, TEXT, {**BODY, **fields, "sync": False, "num_results": 2})
    for link, _, _ in found:
        wait_until(partial(is_there, client, local(link)))
        refused(client.get(local(link)), 400)


def test_moderation_blocks_single_results(settings: Settings) -> None:
    class OneRed(SeedPainter):
        def colour(self, seed: int, prompt: str) -> tuple[int, int, int]:
            return (255, 0, 0) if seed == 6 else (0, 90, 90)

    app = create_app(settings, GenerativeModels({SCENE_GENERATION: OneRed()}))
    with TestClient(app, headers=TOKEN) as client:
        found = results(
            client,
            TEXT,
            {**SCENE, **SMALL, "num_results": 3, "content_moderation": True},
        )
    assert [link == "blocked" for link, _, _ in found] == [False, True, False]


def test_scenes_differ_by_seed_and_keep_the_product(generative: TestClient) -> None:
    fields = {"placement_type": "custom_coordinates", "shot_size": [300, 200]}
    fields |= {"foreground_image_location": [70, 40]}
    one, other = shots(generative, **{**SCENE, **fields, "num_results": 2})
    for made in (one, other):
        assert np.array_equal(made[40:160, 70:230], noise(320, 240)[BOX])
    assert not np.array_equal(one[0, 0], other[0, 0])
    (again,) = shots(generative, **{**SCENE, **fields, "seed": 6})
    assert np.array_equal(again, other)


def corner(client: TestClient, path: str = TEXT, **fields: Any) -> tuple[int, ...]:
    """Return a pixel of the first scene."""
    base = SCENE if path == TEXT else BY_IMAGE
    return tuple(shots(client, path, **{**base, **fields})[0][0, 0])


def test_the_mode_decides_over_exclude_elements(generative: TestClient) -> None:
    fast, base, control = (corner(generative, mode=m) for m in ("fast", "base", "high_control"))
    assert fast != base == control
    assert corner(generative) == fast
    assert corner(generative, exclude_elements="people") == fast  # it counts outside fast alone
    excluded = corner(generative, mode="base", exclude_elements="people")
    assert excluded != base
    # Programs that know no mode send fast.
    assert corner(generative, fast=False) == base
    assert corner(generative, fast="true") == fast
    assert corner(generative, fast=False, exclude_elements="people") == excluded
    assert corner(generative, fast=False, mode="fast") == fast


def test_a_description_is_optimized_unless_refused(generative: TestClient) -> None:
    optimized = corner(generative)
    assert optimized != corner(generative, optimize_description=False)
    assert optimized == corner(
        generative, scene_description="on a beach, in fine detail", optimize_description=False
    )


def test_a_scene_needs_a_model(client: TestClient) -> None:
    refusal = refused(client.post(TEXT, json=SCENE), 506)
    assert refusal["status"] == "NOT_IN_PROFILE"
    refused(client.post(IMAGE, json=BY_IMAGE), 506)


def test_a_reference_is_needed(generative: TestClient) -> None:
    for blank in ({}, {"ref_image_urls": []}, {"ref_image_urls": [""], "ref_image_file": ""}):
        body = {n: v for n, v in BY_IMAGE.items() if n != "ref_image_file"} | blank
        refusal = refused(generative.post(IMAGE, json=body), 400)
        assert "ref_image_urls" in refusal["description"]


def test_addresses_come_before_a_file(generative: TestClient) -> None:
    other = "data:image/png;base64," + b64(encode(Image.new("RGB", (60, 50), (9, 90, 200))))
    own = corner(generative, IMAGE)
    for sent in (other, [other], ["", other], [other, other], f'["{other}"]'):
        changed = corner(generative, IMAGE, ref_image_urls=sent)
        assert changed == corner(generative, IMAGE, ref_image_file=other)
        assert changed != own
    assert corner(generative, IMAGE, ref_image_file=[BY_IMAGE["ref_image_file"]]) == own


def test_every_reference_is_checked_and_their_number_is_bounded(generative: TestClient) -> None:
    good = "data:image/png;base64," + b64(photo(20, 20))
    bad = "data:image/png;base64," + b64(b"nothing to see")
    body = {**BY_IMAGE, "ref_image_urls": [good, bad]}
    assert "ref_image_urls.1" in refused(generative.post(IMAGE, json=body), 415)["description"]
    body["ref_image_urls"] = [good] * 9
    refused(generative.post(IMAGE, json=body), 400)


def test_influence_and_enhancement_of_a_reference_count(generative: TestClient) -> None:
    whole = corner(generative, IMAGE)
    assert corner(generative, IMAGE, ref_image_influence=1) == whole
    seen = {
        influence: corner(generative, IMAGE, ref_image_influence=influence)
        for influence in (0, 0.5)
    }
    assert len({whole, *seen.values()}) == 3
    other = b64(encode(Image.new("RGB", (60, 50), (9, 90, 200))))
    assert corner(generative, IMAGE, ref_image_influence=0, ref_image_file=other) == seen[0]
    assert corner(generative, IMAGE, enhance_ref_image=False) != whole


@pytest.mark.parametrize("influence", [-0.1, 1.1, "much", "nan"])
def test_an_influence_is_between_0_and_1(generative: TestClient, influence: Any) -> None:
    body = {**BY_IMAGE, "ref_image_influence": influence}
    refused(generative.post(IMAGE, json=body), 400)


def test_a_stored_job_keeps_its_mode_and_its_reference(
    generative: TestClient, wait_until: Wait
) -> None:
    for path, body in (
        (TEXT, {**SCENE, "fast": False}),
        (IMAGE, {**BY_IMAGE, "ref_image_influence": 0.5}),
    ):
        ((link, _, _),) = results(generative, path, {**body, "sync": False})
        wait_until(partial(is_there, generative, local(link)))
        ((now, _, _),) = results(generative, path, body)
        assert np.array_equal(pixels(generative, link), pixels(generative, now))


def test_a_sku_is_a_text_or_a_number(client: TestClient) -> None:
    fields = {"original_quality": True}
    plain = shots(client, **fields)[0]
    for sku in ("SKU-1", 1234):
        assert np.array_equal(shots(client, **fields, sku=sku)[0], plain)


def test_a_body_is_the_same_after_a_job_was_stored() -> None:
    body = LifestyleBody.model_validate(
        {
            "placement_type": "manual_placement",
            "manual_placement_selection": "upper_left,bottom_left",
        }
    )
    again = LifestyleBody.model_validate(body.model_dump(mode="json"))
    assert again == body


@pytest.mark.parametrize(("positions", "files"), [(["upper_left"], 1), (["upper_left"] * 2, 2)])
def test_copies_of_a_picture_are_scored_and_encoded_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, positions: list[str], files: int
) -> None:
    encoded: list[object] = []
    scored: list[object] = []

    def encode_one(picture: Any, format_: Any) -> bytes:
        encoded.append(picture)
        return b"a file"

    def score_one(picture: Any, *_: Any) -> bool:
        scored.append(picture)
        return False

    monkeypatch.setattr(picture_files, "encode", encode_one)
    monkeypatch.setattr(executor, "is_blocked", score_one)
    fields = {
        "content_moderation": True,
        "placement_type": "manual_placement",
        "manual_placement_selection": positions,
    }
    assert len(results(client, TEXT, {**BODY, **fields, "num_results": 4})) == 4 * len(positions)
    assert len(encoded) == files
    assert len(scored) == 1 + files  # the picture that was sent, too
