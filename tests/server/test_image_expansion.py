"""The answer of image_expansion: whether the result may be unsafe."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.errors import ModelUnavailableError
from models.roles import INPAINTING, MODERATION, Role
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode

Wait = Callable[[Callable[[], bool]], None]
BODY = {
    "file": b64(encode(Image.new("RGB", (100, 100), (0, 200, 0)))),
    "canvas_size": [400, 400],
    "original_image_size": [40, 40],
}
SAFE = {"status": "SUCCESS", "message": "Finished sucessfully"}
UNSAFE = {"status": "NSFW", "message": "Content might not be safe for work"}


class RedFill:
    """Fills with red, which the fake moderation scores above the threshold."""

    def fill(self, rgb: Any, hole: Any, avoid: Any = None) -> Any:
        """Return `rgb` with a red hole."""
        filled = rgb.copy()
        filled[hole] = (255, 0, 0)
        return filled


class WithoutModeration(FakeModels):
    """A profile without a moderation model."""

    fakes = {role: fake for role, fake in FakeModels.fakes.items() if role != MODERATION}


class UnusableModeration(FakeModels):
    """Models whose moderation must not be used."""

    def before(self, role: Role[Any]) -> None:
        """Fail if the role is moderation."""
        if role == MODERATION:
            raise ModelUnavailableError("nobody reads this score")


def send(settings: Settings, models: FakeModels, **fields: Any) -> Any:
    """Return the answer to an expansion."""
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        return client.post("/v1/image_expansion", json={**BODY, **fields})


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (FakeModels({INPAINTING: RedFill()}), UNSAFE),
        (FakeModels(), SAFE),
        (WithoutModeration({INPAINTING: RedFill()}), SAFE),
    ],
    ids=["unsafe", "safe", "without a model"],
)
def test_the_answer_says_whether_the_result_is_unsafe(
    settings: Settings, models: FakeModels, expected: dict[str, str]
) -> None:
    answer = send(settings, models)
    assert answer.status_code == 200
    body = answer.json()
    assert {name: body[name] for name in expected} == expected
    assert (body["code"], body["description"]) == (200, "SUCCESS")


def test_an_unsafe_result_can_be_read(settings: Settings) -> None:
    models = FakeModels({INPAINTING: RedFill()})
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        link = local(client.post("/v1/image_expansion", json=BODY).json()["result_url"])
        picture = Image.open(io.BytesIO(client.get(link).content))
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_content_moderation_refuses_an_unsafe_result(settings: Settings) -> None:
    answer = send(settings, FakeModels({INPAINTING: RedFill()}), content_moderation=True)
    assert refused(answer, 422)["parameter"] == "result"


def test_an_answer_before_the_result_is_the_published_success(
    settings: Settings, wait_until: Wait
) -> None:
    models = UnusableModeration({INPAINTING: RedFill()})
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        body = client.post("/v1/image_expansion", json={**BODY, "sync": False}).json()
        assert {name: body[name] for name in SAFE} == SAFE
        wait_until(lambda: client.get(local(body["result_url"])).status_code == 200)


def test_other_routes_score_nothing_without_content_moderation(settings: Settings) -> None:
    with TestClient(create_app(settings, UnusableModeration()), headers=TOKEN) as client:
        assert client.post("/v1/crop", json={"file": BODY["file"]}).status_code == 200
