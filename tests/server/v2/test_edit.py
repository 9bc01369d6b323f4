"""POST /v2/image/edit: its fields, and the law that a structured instruction makes a result again."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, photo
from tests.helpers.version2 import finished, picture, refused

URL = "/v2/image/edit"
SENT = {"images": [b64(photo())], "instruction": "make it red", "seed": 4, "sync": True}


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def result(client: TestClient, **fields: Any) -> dict[str, Any]:
    """Return the answer to a request whose caller waits."""
    answer = client.post(URL, json={**SENT, **fields})
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def pixels(client: TestClient, **fields: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, result(client, **fields)["result"]))


def test_the_result_tells_seed_and_structured_instruction(generative: TestClient) -> None:
    made = result(generative)["result"]
    assert made["seed"] == 4
    assert json.loads(made["structured_instruction"])["edit_instruction"].startswith("make it red")
    assert made["structured_prompt"] == made["structured_instruction"]


def test_a_structured_instruction_makes_the_result_again(generative: TestClient) -> None:
    first = result(generative)["result"]
    structured = first["structured_instruction"]
    for sent in (structured, json.loads(structured)):
        again = pixels(generative, instruction=None, structured_instruction=sent)
        assert np.array_equal(again, np.asarray(picture(generative, first)))


def test_a_structured_instruction_is_used_alone(generative: TestClient) -> None:
    structured = '{"edit_instruction": "dim it"}'
    both = pixels(generative, structured_instruction=structured)
    assert np.array_equal(
        both, pixels(generative, instruction="", structured_instruction=structured)
    )


def test_later_gives_what_now_gives(generative: TestClient) -> None:
    state = finished(generative, generative.post(URL, json={**SENT, "sync": False}))
    assert np.array_equal(np.asarray(picture(generative, state["result"])), pixels(generative))


@pytest.mark.parametrize(
    "fields",
    [
        {"instruction": "make it blue"},
        {"seed": 5},
        {"negative_prompt": "people"},
        {"steps_num": 50},
        {"guidance_scale": 3.5},
        {"mask": b64(mask(320, 240))},
        {"images": [b64(photo()), b64(photo())]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_each_field_changes_the_result(generative: TestClient, fields: dict[str, Any]) -> None:
    plain, changed = pixels(generative), pixels(generative, **fields)
    assert not np.array_equal(plain, changed)


def test_output_type_and_ratio(generative: TestClient) -> None:
    assert picture(generative, result(generative, output_type="jpeg")["result"]).format == "JPEG"
    two = [b64(photo()), b64(photo())]
    made = picture(generative, result(generative, images=two, aspect_ratio="1:1")["result"])
    assert made.width == made.height


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"aspect_ratio": "16:9"}, "aspect_ratio"),
        ({"model_version": "FIBO-2"}, "model_version"),
        ({"structured_instruction": '{"edit_instruction": "dim it"}'}, "instruction"),
    ],
)
def test_what_has_no_effect_is_told(
    generative: TestClient, fields: dict[str, Any], named: str
) -> None:
    assert named in result(generative, **fields)["warning"]


@pytest.mark.parametrize(
    "fields",
    [
        {"images": []},
        {"images": None},
        {"images": [b64(photo())] * 5},
        {"instruction": " "},
        {"instruction": None},
        {"instruction": None, "structured_instruction": "dim it"},
        {"instruction": None, "structured_instruction": {}},
        {"instruction": "x" * 10_001},
        {"guidance_scale": 2},
        {"steps_num": 51},
        {"output_type": "gif"},
        {"aspect_ratio": "5"},
        {"images": [b64(photo())] * 2, "mask": b64(mask(320, 240))},
    ],
    ids=range(13),
)
def test_wrong_fields_are_refused(generative: TestClient, fields: dict[str, Any]) -> None:
    refused(generative.post(URL, json={**SENT, **fields}), 400)


def test_a_profile_without_a_model_names_one_that_has_it(client: TestClient) -> None:
    error = refused(client.post(URL, json=SENT), 506)
    assert "Profile lite has no model for instruction editing" in error["details"]


def test_moderation_is_on_by_default(generative: TestClient) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    sent = {**SENT, "images": [b64(encode(Image.fromarray(red)))]}
    refused(generative.post(URL, json=sent), 422)
    off = {"visual_input_content_moderation": False}
    assert generative.post(URL, json={**sent, **off}).status_code == 200


def test_pictures_that_are_too_many_pixels_together_are_refused(generative: TestClient) -> None:
    large = b64(encode(Image.new("RGB", (8000, 8000))))
    error = refused(
        generative.post(URL, json={**SENT, "images": [b64(photo()), large, large]}), 413
    )
    assert "100000000 pixels" in error["details"]
