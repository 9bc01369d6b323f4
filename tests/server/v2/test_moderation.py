"""The moderation switches of version 2: pictures are scored, prompts are not, and the caller is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from models.roles import MODERATION
from server import v2
from server.app import create_app
from server.settings import Settings
from server.v2.fields import TextBody
from tests.helpers.fake_models import FakeModels, GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, photo
from tests.helpers.route_needs import SENT
from tests.helpers.version2 import finished, refused

EDIT = "/v2/image/edit/"
ROUTES = [operation.url for operation in v2.OPERATIONS]
BY_WORDS = [
    operation.url
    for operation in v2.OPERATIONS
    if operation.body.model_fields["visual_input_content_moderation"].default
]
"""The routes whose switches are on by default."""
PICTURES = {
    EDIT.rstrip("/"): "images",
    EDIT + "product/integrate": "scene",
    EDIT + "product/holding": "person_image",
    EDIT + "product/virtual-tryon": "person_image",
    **{
        f"/v2/{name}/generate{end}": "images"
        for name in ("structured_instruction", "image", "structured_prompt")
        for end in ("", "/lite")
    },
}
"""The field of the picture, where it is not `image`."""
PROMPTED = [operation.url for operation in v2.OPERATIONS if issubclass(operation.body, TextBody)]
RED = b64(encode(Image.new("RGB", (320, 240), (255, 0, 0))))
"""A picture that the fake model scores 1."""


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def sent(route: str, **fields: Any) -> dict[str, Any]:
    """Return a body of a route: what it needs, and these fields."""
    return {"image": b64(photo()), **SENT.get(route, {}), **fields}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("sync", [True, False])
def test_an_inappropriate_image_is_refused_at_once_where_asked(
    generative: TestClient, route: str, sync: bool
) -> None:
    field = PICTURES.get(route, "image")
    body = sent(route, sync=sync, visual_input_content_moderation=True, **{field: RED})
    assert field in refused(generative.post(route, json=body), 422)["details"]
    del body["visual_input_content_moderation"]
    if route in BY_WORDS:
        refused(generative.post(route, json=body), 422)
        body |= {f"visual_{end}_content_moderation": False for end in ("input", "output")}
    assert generative.post(route, json=body).status_code in (200, 202)


def test_an_inappropriate_reference_picture_is_named(generative: TestClient) -> None:
    body = {"image": b64(photo()), "ref_images": [RED], "visual_input_content_moderation": True}
    error = refused(generative.post(EDIT + "replace_background", json=body), 422)
    assert "ref_images" in error["details"]


@pytest.mark.parametrize("name", ["erase_foreground", "increase_resolution", "blur_background"])
def test_an_inappropriate_result_is_withheld(client: TestClient, name: str) -> None:
    body = {"image": RED, "visual_output_content_moderation": True}
    refused(client.post(EDIT + name, json={**body, "sync": True}), 422)
    state = finished(client, client.post(EDIT + name, json=body))
    assert state.keys() == {"status", "request_id", "error"}
    assert (state["status"], state["error"]["code"]) == ("ERROR", 422)
    assert "result" in state["error"]["details"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("end", ["input", "output"])
def test_without_a_model_the_switches_are_refused(settings: Settings, route: str, end: str) -> None:
    models = GenerativeModels()
    models.fakes = {role: fake for role, fake in models.fakes.items() if role != MODERATION}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        switches = [f"visual_{one}_content_moderation" for one in ("input", "output")]
        off = sent(route, **dict.fromkeys(switches, False))
        body = off | {f"visual_{end}_content_moderation": True}
        assert "moderation" in refused(client.post(route, json=body), 506)["details"]
        assert client.post(route, json=off).status_code == 202


@pytest.mark.parametrize("route", PROMPTED)
@pytest.mark.parametrize("sync", [True, False])
def test_a_caller_who_asks_for_moderated_prompts_is_warned(
    generative: TestClient, route: str, sync: bool
) -> None:
    code = 200 if sync else 202

    def warning(**fields: Any) -> str | None:
        answer = generative.post(route, json=sent(route, sync=sync, **fields))
        assert answer.status_code == code, answer.text
        text: str | None = answer.json().get("warning", "absent")
        return text

    assert "no prompt is moderated" in str(warning(prompt_content_moderation=True))
    assert "protected names" in str(warning(ip_signal=True))
    both = str(warning(prompt_content_moderation=True, ip_signal=True))
    assert "prompt_content_moderation" in both
    assert "ip_signal" in both
    for fields in ({}, {"prompt_content_moderation": False, "ip_signal": False}):
        assert warning(**fields) == "absent"


@pytest.mark.parametrize("route", PROMPTED)
@pytest.mark.parametrize("field", ["prompt_content_moderation", "ip_signal"])
def test_the_switches_of_prompts_are_checked(
    generative: TestClient, route: str, field: str
) -> None:
    error = refused(generative.post(route, json=sent(route, **{field: "perhaps"})), 400)
    assert field in error["details"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in PROMPTED])
def test_other_routes_have_no_warning(generative: TestClient, route: str) -> None:
    body = sent(route, prompt_content_moderation=True, ip_signal="x")
    assert generative.post(route, json=body).json().keys() == {"request_id", "status_url"}


def test_the_state_has_no_warning(generative: TestClient) -> None:
    route = EDIT + "expand"
    accepted = generative.post(route, json=sent(route, prompt_content_moderation=True))
    assert finished(generative, accepted).keys() == {"status", "request_id", "result"}


def test_a_mask_is_scored_too(settings: Settings) -> None:
    class Contrast:
        def score(self, rgb: Any) -> dict[str, float]:
            return {"contrast": float(rgb.std() > 100)}

    models = FakeModels({MODERATION: Contrast()})
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        body = {
            "image": b64(photo()),
            "mask": b64(mask()),
            "visual_input_content_moderation": True,
        }
        assert "mask" in refused(client.post(EDIT + "erase", json=body), 422)["details"]
