"""The named edits of version 2: each field with and without, and the law of structured instructions."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from imaging.toning import luminance
from server import v2
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo
from tests.helpers.version2 import finished, picture, refused

EDIT = "/v2/image/edit/"
IMAGE = b64(photo())
OTHER = b64(photo(64, 48))
TWO = {
    "add_object_by_text": ({"instruction": "Add a cat"}, {"instruction": "Add a dog"}),
    "replace_object_by_text": ({"instruction": "A pear for it"}, {"instruction": "A fig for it"}),
    "erase_by_text": ({"object_name": "the lamp"}, {"object_name": "the table"}),
    "blend": ({"instruction": "On the shirt"}, {"instruction": "On the wall"}),
    "rewrite_text": ({"new_text": "Fresh bread"}, {"new_text": "Stale bread"}),
    "reseason": ({"season": "winter"}, {"season": "the monsoon"}),
    "relight": ({"light_type": "midday"}, {"light_type": "moonlight lighting"}),
    "restyle": ({"style": "anime"}, {"style": "a stained glass window"}),
    "colorize": ({"color": "color_vivid"}, {"color": "color_contemporary"}),
    "sketch_to_colored_image": ({}, {"prompt": "a fox"}),
    "restore": ({}, None),
}
"""By route: the fields of two requests with two results; the first is all that the route needs."""
NEEDED = [(name, next(iter(one))) for name, (one, _) in TWO.items() if one]
"""Each route with a field of its own that it needs."""


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def answer_of(client: TestClient, name: str, **fields: Any) -> dict[str, Any]:
    """Return the answer to a request whose caller waits."""
    body = {"image": IMAGE, "seed": 4, "sync": True, **TWO[name][0], **fields}
    answer = client.post(EDIT + name, json=body)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def pixels(client: TestClient, name: str, **fields: Any) -> NDArray[np.uint8]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, answer_of(client, name, **fields)["result"]))


@pytest.mark.parametrize("name", TWO)
def test_a_structured_instruction_makes_the_result_again(generative: TestClient, name: str) -> None:
    overlay = {"overlay": OTHER} if name == "blend" else {}
    made = answer_of(generative, name, negative_prompt="people", **overlay)["result"]
    told = made["structured_instruction"]
    assert made["structured_prompt"] == told
    assert json.loads(told)["edit_instruction"]
    body = {
        "images": [IMAGE, *overlay.values()],
        "structured_instruction": told,
        "seed": made["seed"],
        "negative_prompt": "people",
        "sync": True,
    }
    again = generative.post("/v2/image/edit", json=body)
    assert again.status_code == 200, again.text
    same = picture(generative, again.json()["result"])
    assert np.array_equal(same, picture(generative, made))
    assert same.size == (320, 240)


@pytest.mark.parametrize("name", [name for name, (_, other) in TWO.items() if other])
def test_two_values_give_two_pictures(generative: TestClient, name: str) -> None:
    first, second = (pixels(generative, name, **fields) for fields in TWO[name])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize(
    "fields", [{"seed": 5}, {"negative_prompt": "people"}], ids=["seed", "negative_prompt"]
)
def test_the_shared_fields_change_the_picture(
    generative: TestClient, name: str, fields: dict[str, Any]
) -> None:
    assert not np.array_equal(pixels(generative, name), pixels(generative, name, **fields))


@pytest.mark.parametrize("name", TWO)
def test_later_gives_what_now_gives(generative: TestClient, name: str) -> None:
    body = {"image": IMAGE, "seed": 4, **TWO[name][0]}
    state = finished(generative, generative.post(EDIT + name, json=body))
    assert state["status"] == "COMPLETED", state
    assert state["result"]["seed"] == 4
    assert np.array_equal(picture(generative, state["result"]), pixels(generative, name))


@pytest.mark.parametrize("name", TWO)
def test_a_profile_without_a_model_names_one_that_has_it(client: TestClient, name: str) -> None:
    for sync in (True, False):
        body = {"image": IMAGE, "sync": sync, **TWO[name][0]}
        error = refused(client.post(EDIT + name, json=body), 506)
        assert "has no model for instruction editing" in error["details"]


@pytest.mark.parametrize(("name", "field"), NEEDED)
@pytest.mark.parametrize("value", [None, "", " ", 5, ["a"], "x" * 10_001])
def test_a_field_that_is_needed(generative: TestClient, name: str, field: str, value: Any) -> None:
    body = {"image": IMAGE, **TWO[name][0], field: value}
    assert field in refused(generative.post(EDIT + name, json=body), 400)["details"]


@pytest.mark.parametrize("name", TWO)
def test_an_image_is_needed(generative: TestClient, name: str) -> None:
    body = TWO[name][0]
    assert "image" in refused(generative.post(EDIT + name, json=body), 400)["details"]
    clear = b64(encode(Image.new("RGBA", (40, 40))))
    refused(generative.post(EDIT + name, json={**body, "image": clear}), 400)


@pytest.mark.parametrize("name", TWO)
def test_moderation_is_on_by_default(generative: TestClient, name: str) -> None:
    red = b64(encode(Image.new("RGB", (64, 64), (255, 0, 0))))
    body = {**TWO[name][0], "image": red, "sync": True}
    refused(generative.post(EDIT + name, json=body), 422)
    off = {"visual_input_content_moderation": False}
    assert generative.post(EDIT + name, json={**body, **off}).status_code == 200


@pytest.mark.parametrize("name", TWO)
def test_what_has_no_effect_is_told(generative: TestClient, name: str) -> None:
    assert "warning" not in answer_of(generative, name)
    told = answer_of(generative, name, ip_signal=True, prompt_content_moderation=True)["warning"]
    assert "ip_signal" in told
    assert "prompt_content_moderation" in told


def test_every_direction_changes_the_light(generative: TestClient) -> None:
    made = {
        pixels(generative, "relight", light_direction=direction).tobytes()
        for direction in (None, "front", "side", "bottom", "top-down")
    }
    assert len(made) == 5
    for wrong in ("inside", 3):
        body = {"image": IMAGE, "light_type": "midday", "light_direction": wrong}
        error = refused(generative.post(EDIT + "relight", json=body), 400)
        assert "light_direction" in error["details"]


@pytest.mark.parametrize(
    ("name", "field", "known"),
    [("relight", "light_type", "fog-diffused lighting"), ("colorize", "color", "sepia_vintage")],
)
def test_an_unknown_word_is_refused_with_the_known_ones(
    generative: TestClient, name: str, field: str, known: str
) -> None:
    body = {"image": IMAGE, field: "plaid"}
    error = refused(generative.post(EDIT + name, json=body), 400)
    assert field in error["details"]
    assert known in error["details"]


def test_spellings_of_programs(generative: TestClient) -> None:
    for name, field, sent, meant in (
        ("colorize", "color", "contemporary color", "color_contemporary"),
        ("colorize", "style", "color_contemporary", "color_contemporary"),
        ("relight", "light_type", "starlight nighttime", "starlight lighting nighttime"),
        ("restyle", "style", "oil painting", "oil_painting"),
    ):
        first = next(iter(TWO[name][0]))
        one = pixels(generative, name, **{first: None, field: sent})
        assert np.array_equal(one, pixels(generative, name, **{first: meant}))


def test_blend_with_and_without_an_overlay(generative: TestClient) -> None:
    with_one = pixels(generative, "blend", overlay=OTHER)
    assert not np.array_equal(pixels(generative, "blend"), with_one)
    body = {"image": IMAGE, "instruction": "On the shirt", "overlay": "bm90IGEgcGljdHVyZQ=="}
    assert "overlay" in refused(generative.post(EDIT + "blend", json=body), 415)["details"]


class TestColorizeWithoutAModel:
    """Black and white, and sepia."""

    @pytest.mark.parametrize(
        "color", ["black_and_white", "black and white colors", "sepia_vintage", "sepia vintage"]
    )
    def test_it_works_without_the_model(self, client: TestClient, color: str) -> None:
        answer = answer_of(client, "colorize", color=color)
        assert answer["result"]["seed"] == 4
        assert json.loads(answer["result"]["structured_instruction"])["edit_instruction"]
        made = np.asarray(picture(client, answer["result"]))
        assert made.shape == (240, 320, 3)
        grey = luminance(noise(320, 240))
        is_grey = np.array_equal(made, np.dstack([grey] * 3))
        assert is_grey == color.startswith("black")

    def test_later(self, client: TestClient) -> None:
        body = {"image": IMAGE, "color": "sepia_vintage"}
        state = finished(client, client.post(EDIT + "colorize", json=body))
        made = picture(client, state["result"])
        assert np.array_equal(made, pixels(client, "colorize", color="sepia_vintage"))

    def test_alpha(self, generative: TestClient) -> None:
        alpha = np.broadcast_to(np.linspace(0, 255, 320).astype(np.uint8), (240, 320))
        sent = b64(encode(Image.fromarray(np.dstack([noise(320, 240), alpha]))))
        for color in ("black_and_white", "sepia_vintage", "color_vivid"):
            kept = pixels(generative, "colorize", image=sent, color=color)
            assert np.array_equal(kept[..., 3], alpha)
            opaque = pixels(generative, "colorize", image=sent, color=color, preserve_alpha=False)
            assert opaque.shape == (240, 320, 3)

    def test_what_it_cannot_do_is_told(self, client: TestClient) -> None:
        rows = client.get("/capabilities").json()["operations"]
        row = next(row for row in rows if row["path"] == EDIT + "colorize")
        assert row["available"]
        assert any("black_and_white" in text for text in row["limits"])


def test_named_edits_are_unavailable_without_the_model(client: TestClient) -> None:
    rows = {row["path"]: row for row in client.get("/capabilities").json()["operations"]}
    for name in TWO:
        assert rows[EDIT + name]["available"] == (name == "colorize")
    assert {EDIT + name for name in TWO} <= {operation.url for operation in v2.OPERATIONS}
