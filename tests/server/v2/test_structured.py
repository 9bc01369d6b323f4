"""The routes whose result is JSON text: no picture, no link, and the text makes what its words make."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from models.roles import CAPTIONING
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, photo
from tests.helpers.version2 import finished, picture, refused

IMAGE = b64(photo())
PROMPT, PROMPT_LITE = "/v2/structured_prompt/generate", "/v2/structured_prompt/generate/lite"
INSTRUCTION = "/v2/structured_instruction/generate"
SENT: dict[str, dict[str, Any]] = {
    PROMPT: {"prompt": "a lamp", "seed": 4},
    PROMPT_LITE: {"prompt": "a lamp", "seed": 4},
    INSTRUCTION: {"images": [IMAGE], "instruction": "make it red", "seed": 4},
}
KEYS = {
    PROMPT: {"structured_prompt", "seed"},
    PROMPT_LITE: {"structured_prompt", "seed"},
    INSTRUCTION: {"structured_instruction", "structured_prompt", "seed"},
}
EACH = pytest.mark.parametrize("url", SENT)
STRUCTURED = '{"short_description": "a lamp"}'


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def result(client: TestClient, url: str, **fields: Any) -> dict[str, Any]:
    """Return the result for a caller who waits."""
    answer = client.post(url, json={"sync": True, **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["result"]
    return made


def pixels(client: TestClient, url: str, **fields: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, result(client, url, **fields)))


@EACH
def test_both_ways_of_asking_give_the_same_text(generative: TestClient, url: str) -> None:
    now = result(generative, url, **SENT[url])
    later = generative.post(url, json=SENT[url])
    assert later.json().keys() == {"request_id", "status_url"}
    state = finished(generative, later)
    assert state["status"] == "COMPLETED", state
    assert now == state["result"]
    assert now.keys() == KEYS[url]
    assert now["seed"] == 4
    assert all(isinstance(json.loads(now[name]), dict) for name in now.keys() - {"seed"})


@pytest.mark.parametrize(
    "sources",
    [
        {"prompt": "a lamp"},
        {"images": [IMAGE]},
        {"images": [IMAGE], "prompt": "a ring"},
        {"structured_prompt": STRUCTURED, "prompt": "dim it"},
    ],
    ids=range(4),
)
@pytest.mark.parametrize("lite", ["", "/lite"])
def test_a_structured_prompt_makes_what_its_words_make(
    generative: TestClient, sources: dict[str, Any], lite: str
) -> None:
    text = result(generative, f"/v2/structured_prompt/generate{lite}", **sources)
    direct = pixels(generative, f"/v2/image/generate{lite}", **sources, seed=text["seed"])
    assert np.array_equal(direct, pixels(generative, f"/v2/image/generate{lite}", **text))


@pytest.mark.parametrize("masked", [{}, {"mask": b64(mask(320, 240))}], ids=["whole", "mask"])
def test_a_structured_instruction_makes_what_its_words_make(
    generative: TestClient, masked: dict[str, Any]
) -> None:
    sent = {**SENT[INSTRUCTION], **masked}
    text = result(generative, INSTRUCTION, **sent)
    assert text["structured_prompt"] == text["structured_instruction"]
    direct = pixels(generative, "/v2/image/edit", **sent)
    structured = {"structured_instruction": text["structured_instruction"], "seed": text["seed"]}
    again = pixels(generative, "/v2/image/edit", images=[IMAGE], **masked, **structured)
    assert np.array_equal(direct, again)


@EACH
def test_the_text_depends_on_the_words_and_not_on_the_seed(
    generative: TestClient, url: str
) -> None:
    field = "instruction" if url == INSTRUCTION else "prompt"
    plain, seeded, other = (
        result(generative, url, **{**SENT[url], **fields})["structured_prompt"]
        for fields in ({}, {"seed": 5}, {field: "a red boat"})
    )
    assert plain == seeded
    assert plain != other


@EACH
def test_a_seed_is_made_if_none_is_sent(generative: TestClient, url: str) -> None:
    sent = {name: value for name, value in SENT[url].items() if name != "seed"}
    first, second = (result(generative, url, **sent)["seed"] for _ in range(2))
    assert first != second


@EACH
def test_no_picture_is_linked(generative: TestClient, url: str, settings: Settings) -> None:
    assert "http" not in json.dumps(result(generative, url, **SENT[url]))
    files = [file for file in (settings.data_dir / "results").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json"}


WRONG: list[tuple[str, dict[str, Any]]] = [
    (PROMPT, {"prompt": None}),
    (PROMPT, {"prompt": 5}),
    (PROMPT, {"prompt": "x" * 10_001}),
    (PROMPT, {"images": [IMAGE, IMAGE]}),
    (PROMPT, {"images": [IMAGE], "structured_prompt": STRUCTURED}),
    (PROMPT, {"structured_prompt": "lamp"}),
    (PROMPT_LITE, {"prompt": " "}),
    (INSTRUCTION, {"images": None}),
    (INSTRUCTION, {"images": [IMAGE] * 5}),
    (INSTRUCTION, {"instruction": " "}),
    (INSTRUCTION, {"instruction": None}),
    (INSTRUCTION, {"seed": "x"}),
    (INSTRUCTION, {"mask": b64(mask(99, 240))}),
    (INSTRUCTION, {"images": [IMAGE] * 2, "mask": b64(mask(320, 240))}),
]


@pytest.mark.parametrize(("url", "fields"), WRONG, ids=range(len(WRONG)))
def test_wrong_fields_are_refused(generative: TestClient, url: str, fields: dict[str, Any]) -> None:
    for sync in (True, False):
        refused(generative.post(url, json={**SENT[url], "sync": sync, **fields}), 400)


@EACH
def test_what_has_no_effect_is_told(generative: TestClient, url: str) -> None:
    body = {**SENT[url], "sync": True, "ip_signal": True, "prompt_content_moderation": True}
    warning = generative.post(url, json=body).json()["warning"]
    assert "ip_signal" in warning
    assert "prompt_content_moderation" in warning


@EACH
def test_a_profile_without_a_model_names_one_that_has_it(client: TestClient, url: str) -> None:
    for sync in (True, False):
        error = refused(client.post(url, json={**SENT[url], "sync": sync}), 506)
        assert "Profile lite has no model for prompt refinement" in error["details"]
        assert "open" in error["details"]


def test_only_a_structured_prompt_of_a_picture_needs_a_model_that_describes_it(
    settings: Settings,
) -> None:
    models = GenerativeModels()
    fakes = GenerativeModels.fakes.items()
    models.fakes = {role: fake for role, fake in fakes if role != CAPTIONING}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        error = refused(client.post(PROMPT, json={"images": [IMAGE]}), 506)
        assert "captioning" in error["details"]
        made = result(client, INSTRUCTION, **SENT[INSTRUCTION])
        assert json.loads(made["structured_instruction"]).keys() == {"edit_instruction"}


@pytest.mark.parametrize("url", [PROMPT, INSTRUCTION])
def test_moderation_of_the_picture_is_on_by_default(generative: TestClient, url: str) -> None:
    red = b64(encode(Image.new("RGB", (64, 64), (255, 0, 0))))
    sent = {**SENT[url], "images": [red], "sync": True}
    refused(generative.post(url, json=sent), 422)
    off = {"visual_input_content_moderation": False}
    assert generative.post(url, json={**sent, **off}).status_code == 200


@pytest.mark.parametrize("url", [PROMPT, INSTRUCTION])
def test_a_wholly_transparent_picture_is_refused(generative: TestClient, url: str) -> None:
    clear = b64(encode(Image.new("RGBA", (64, 64), (9, 9, 9, 0))))
    refused(generative.post(url, json={**SENT[url], "images": [clear]}), 400)
