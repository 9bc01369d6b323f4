"""The routes that generate a picture from words: combinations, fields, and how a result is made again."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from models.roles import CAPTIONING, MODERATION, PROMPT_REFINEMENT, SUPER_RESOLUTION
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.version2 import finished, picture, refused

FULL, LITE = "/v2/image/generate", "/v2/image/generate/lite"
BOTH = pytest.mark.parametrize("url", [FULL, LITE])
STRUCTURED = '{"short_description": "a lamp", "context": "a test"}'
IMAGE = b64(photo())
SENT = {"prompt": "a red kite", "seed": 4, "sync": True}
COMBINATIONS: list[dict[str, Any]] = [
    {"prompt": "a red kite"},
    {"images": [IMAGE]},
    {"images": IMAGE},
    {"image_url": f"data:image/png;base64,{IMAGE}"},
    {"images": [IMAGE], "prompt": "as a painting"},
    {"structured_prompt": STRUCTURED, "seed": 5},
    {"structured_prompt": json.loads(STRUCTURED)},
    {"structured_prompt": STRUCTURED, "prompt": "dim it", "seed": 5},
]


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def result(client: TestClient, url: str = FULL, **fields: Any) -> dict[str, Any]:
    """Return the result for a caller who waits."""
    answer = client.post(url, json={"sync": True, **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["result"]
    return made


def pixels(client: TestClient, url: str = FULL, **fields: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, result(client, url, **{**SENT, **fields})))


@BOTH
@pytest.mark.parametrize("fields", COMBINATIONS, ids=range(len(COMBINATIONS)))
def test_a_structured_prompt_makes_the_result_again(
    generative: TestClient, url: str, fields: dict[str, Any]
) -> None:
    first = result(generative, url, **fields)
    assert first.keys() == {"image_url", "seed", "structured_prompt"}
    sent = {"structured_prompt": first["structured_prompt"], "seed": first["seed"]}
    again = result(generative, url, **sent)
    assert again["structured_prompt"] == first["structured_prompt"]
    one, other = (np.asarray(picture(generative, made)) for made in (first, again))
    assert np.array_equal(one, other)
    assert one.shape == (1024, 1024, 3)


@BOTH
def test_later_gives_what_now_gives(generative: TestClient, url: str) -> None:
    for fields in COMBINATIONS[:2]:
        later = generative.post(url, json={**fields, "seed": 4})
        state = finished(generative, later)
        now = result(generative, url, **fields, seed=4)
        assert state["result"].keys() == now.keys()
        assert state["result"]["seed"] == 4
        one, other = (np.asarray(picture(generative, made)) for made in (state["result"], now))
        assert np.array_equal(one, other)


def test_structured_prompts(generative: TestClient) -> None:
    prompted = result(generative, prompt="a kite")["structured_prompt"]
    assert json.loads(prompted) == {"short_description": "a kite, in fine detail"}
    inspired = json.loads(result(generative, images=[IMAGE])["structured_prompt"])
    assert inspired == {"short_description": "a picture of noise, in fine detail"}
    both = json.loads(result(generative, images=[IMAGE], prompt="a ring")["structured_prompt"])
    assert both == {
        "short_description": "a ring, in fine detail",
        "reference_description": "a picture of noise",
    }
    changed = result(generative, structured_prompt=STRUCTURED, prompt="dim it")
    again = result(
        generative, structured_prompt=changed["structured_prompt"], prompt="and turn it left"
    )
    assert json.loads(again["structured_prompt"]) == {
        **json.loads(STRUCTURED),
        "edit_instruction": "dim it; and turn it left",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a blue kite"},
        {"images": [IMAGE]},
        {"prompt": None, "structured_prompt": STRUCTURED},
        {"structured_prompt": STRUCTURED},
        {"seed": 5},
        {"negative_prompt": "people"},
        {"steps_num": 35},
        {"guidance_scale": 3.5},
        {"style": "watercolour"},
    ],
    ids=range(9),
)
def test_each_field_changes_the_result(generative: TestClient, fields: dict[str, Any]) -> None:
    assert not np.array_equal(pixels(generative), pixels(generative, **fields))


def test_lite_takes_other_steps(generative: TestClient) -> None:
    plain = pixels(generative, LITE)
    assert np.array_equal(plain, pixels(generative, LITE, steps_num=8))
    assert not np.array_equal(plain, pixels(generative, LITE, steps_num=30))
    for url, steps in ((LITE, 7), (LITE, 31), (FULL, 34), (FULL, 51), (FULL, 8)):
        refused(generative.post(url, json={**SENT, "steps_num": steps}), 400)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (1024, 1024)),
        ("2:3", (836, 1254)),
        ("16:9", (1365, 768)),
        ("16:10", (1295, 810)),
        ("21:9", (1564, 670)),
        ("5:1", (2290, 458)),
        (" 1:5 ", (458, 2290)),
    ],
)
def test_ratios_and_resolutions(generative: TestClient, ratio: str, size: tuple[int, int]) -> None:
    fields = {**SENT, "aspect_ratio": ratio}
    assert picture(generative, result(generative, **fields)).size == size
    double = picture(generative, result(generative, **fields, resolution="4MP"))
    assert double.size == (2 * size[0], 2 * size[1])


@pytest.mark.parametrize("has_model", [True, False])
def test_four_megapixels_are_enlarged(settings: Settings, has_model: bool) -> None:
    class Green:
        """Returns green pictures, which no other fake does."""

        def upscale(self, rgb: Any, factor: int) -> Any:
            size = (rgb.shape[0] * factor, rgb.shape[1] * factor, 3)
            return np.full(size, (0, 255, 0), np.uint8)

    models = GenerativeModels({SUPER_RESOLUTION: Green()} if has_model else None)
    if not has_model:
        fakes = GenerativeModels.fakes.items()
        models.fakes = {role: fake for role, fake in fakes if role != SUPER_RESOLUTION}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        one, four = (pixels(client, resolution=name) for name in ("1MP", "4MP"))
    assert four.shape == (2048, 2048, 3)
    assert bool((four == (0, 255, 0)).all()) is has_model
    if not has_model:
        assert np.array_equal(four[0, 0], one[0, 0])


def test_output_types_and_styles(generative: TestClient) -> None:
    for kind in ("png", "jpeg"):
        made = result(generative, **SENT, output_type=kind)
        assert picture(generative, made).format == kind.upper()
    styled = json.loads(result(generative, **SENT, style=" woodcut ")["structured_prompt"])
    assert styled["artistic_style"] == "woodcut"


@BOTH
@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": None},
        {"prompt": " ", "images": [], "structured_prompt": ""},
        {"prompt": "x" * 10_001},
        {"prompt": 5},
        {"images": [IMAGE, IMAGE]},
        {"images": "%%%"},
        {"prompt": None, "images": [IMAGE], "structured_prompt": STRUCTURED},
        {"images": [IMAGE], "structured_prompt": STRUCTURED},
        {"structured_prompt": "dim it"},
        {"structured_prompt": {}},
        {"structured_prompt": json.dumps({"a": "x" * 50_000})},
        {"aspect_ratio": "6:1"},
        {"aspect_ratio": "1:0"},
        {"aspect_ratio": "wide"},
        {"aspect_ratio": "1.5"},
        {"resolution": "2MP"},
        {"guidance_scale": 2.9},
        {"guidance_scale": 5.1},
        {"seed": "x"},
        {"style": "x" * 101},
        {"output_type": "webp"},
    ],
    ids=range(21),
)
def test_wrong_fields_are_refused(generative: TestClient, url: str, fields: dict[str, Any]) -> None:
    for sync in (True, False):
        refused(generative.post(url, json={**SENT, "sync": sync, **fields}), 400)


def test_a_structured_prompt_that_a_change_makes_too_long(generative: TestClient) -> None:
    longest = json.dumps({"short_description": "x" * 49_900})
    body = {"structured_prompt": longest, "sync": True}
    assert generative.post(FULL, json=body).status_code == 200
    refused(generative.post(FULL, json={**body, "prompt": "y" * 100}), 413)


def test_what_has_no_effect_is_told(generative: TestClient) -> None:
    for fields, named in (
        ({"model_version": "FIBO-9"}, "model_version"),
        ({"ip_signal": True}, "ip_signal"),
        ({"prompt_content_moderation": True}, "prompt_content_moderation"),
    ):
        assert named in generative.post(FULL, json={**SENT, **fields}).json()["warning"]
    assert "warning" not in generative.post(FULL, json={**SENT, "model_version": "FIBO"}).json()


@pytest.mark.parametrize("sync", [True, False])
@BOTH
def test_a_profile_without_a_model_names_one_that_has_it(
    client: TestClient, url: str, sync: bool
) -> None:
    for fields in COMBINATIONS:
        error = refused(client.post(url, json={**fields, "sync": sync}), 506)
        assert "Profile lite has no model for instruction editing" in error["details"]


def test_a_picture_needs_a_model_that_describes_it(settings: Settings) -> None:
    models = GenerativeModels()
    fakes = GenerativeModels.fakes.items()
    models.fakes = {role: fake for role, fake in fakes if role != CAPTIONING}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        assert client.post(FULL, json=SENT).status_code == 200
        error = refused(client.post(FULL, json={**SENT, "images": [IMAGE]}), 506)
        assert "captioning" in error["details"]


@pytest.mark.parametrize("blank", ["", " "])
def test_a_picture_that_the_model_has_no_words_for(settings: Settings, blank: str) -> None:
    class Silent:
        """Has no words."""

        def caption(self, rgb: Any) -> str:
            return blank

        def refine(self, prompt: str, caption: str = "", task: str = "scene") -> str:
            return blank

    models = GenerativeModels({CAPTIONING: Silent(), PROMPT_REFINEMENT: Silent()})
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        error = refused(client.post(FULL, json={"images": [IMAGE], "sync": True}), 422)
        assert "no words" in error["details"]
        state = finished(client, client.post(FULL, json={"images": [IMAGE]}))
        assert (state["status"], state["error"]["code"]) == ("ERROR", 422)
        made = result(client, images=[IMAGE], prompt="a ring")
        assert json.loads(made["structured_prompt"]) == {"short_description": "a ring"}


def test_moderation_is_on_by_default(generative: TestClient) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    sent = {**SENT, "images": [b64(encode(Image.fromarray(red)))]}
    refused(generative.post(FULL, json=sent), 422)
    off = {"visual_input_content_moderation": False}
    assert generative.post(FULL, json={**sent, **off}).status_code == 200


def test_an_inappropriate_result_is_withheld(settings: Settings) -> None:
    class Red:
        """Moderation that finds every picture inappropriate."""

        def score(self, rgb: Any) -> dict[str, float]:
            return {"nsfw": 1.0}

    with TestClient(
        create_app(settings, GenerativeModels({MODERATION: Red()})), headers=TOKEN
    ) as client:
        refused(client.post(FULL, json=SENT), 422)
        off = {"visual_output_content_moderation": False}
        assert client.post(FULL, json={**SENT, **off}).status_code == 200


def test_a_wholly_transparent_picture_is_refused(generative: TestClient) -> None:
    clear = b64(encode(Image.new("RGBA", (64, 64), (9, 9, 9, 0))))
    refused(generative.post(FULL, json={**SENT, "images": [clear]}), 400)
