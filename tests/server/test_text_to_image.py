"""POST /v1/text-to-image/... and /v1/prompt_enhancer: fields, sizes, answers and refusals."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from server.v1.text_to_image import BLOCKED
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import GenerativeModels, SeedPainter
from tests.helpers.requests import TOKEN, b64, photo

HD = "/v1/text-to-image/hd/2.2"
BASE = "/v1/text-to-image/base/3.2"
FAST = "/v1/text-to-image/fast/2.3"
SENT = {"prompt": "a red balloon", "num_results": 1, "sync": True, "seed": 4}
Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def rows(client: TestClient, route: str = BASE, **fields: Any) -> list[dict[str, Any]]:
    """Return the results of a request."""
    answer = client.post(route, json={**SENT, **fields})
    assert answer.status_code == 200, answer.text
    made: list[dict[str, Any]] = answer.json()["result"]
    return made


def picture(client: TestClient, row: dict[str, Any]) -> Image.Image:
    """Return the picture of a result."""
    answer: httpx.Response = client.get(local(row["urls"][0]), headers={"api_token": ""})
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content))


def pixels(client: TestClient, route: str = BASE, **fields: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of the first result, at the size of a thumbnail."""
    return np.asarray(picture(client, rows(client, route, **fields)[0]).resize((8, 8)))


@pytest.mark.parametrize(
    ("route", "ratio", "size"),
    [
        (HD, "16:9", (1920, 1080)),
        (HD, "1:1", (1536, 1536)),
        (BASE, "1:1", (1024, 1024)),
        (FAST, "4:3", (1182, 887)),
    ],
)
def test_each_route_has_its_size(
    generative: TestClient, route: str, ratio: str, size: tuple[int, int]
) -> None:
    made = picture(generative, rows(generative, route, aspect_ratio=ratio)[0])
    assert (made.size, made.format, made.mode) == (size, "PNG", "RGB")


def test_each_result_has_its_seed_and_a_name(generative: TestClient) -> None:
    made = rows(generative, num_results=3)
    assert [row["seed"] for row in made] == [4, 5, 6]
    assert len({row["uuid"] for row in made}) == 3
    assert all(row["uuid"] in row["urls"][0] for row in made)
    again = rows(generative, num_results=1, seed=6)[0]
    assert picture(generative, again).tobytes() == picture(generative, made[2]).tobytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a blue balloon"},
        {"seed": 5},
        {"negative_prompt": "people"},
        {"steps_num": 50},
        {"text_guidance_scale": 7.5},
        {"medium": "photography"},
        {"prompt_enhancement": 1},
        {"enhance_image": True},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_each_field_changes_the_result(generative: TestClient, fields: dict[str, Any]) -> None:
    assert not np.array_equal(pixels(generative), pixels(generative, **fields))


def test_guidance_pictures_change_the_result_and_give_it_their_shape(
    generative: TestClient,
) -> None:
    shown = {"guidance_method_1": "controlnet_canny", "guidance_method_1_image_file": b64(photo())}
    made = picture(generative, rows(generative, BASE, **shown)[0])
    assert made.width / made.height == pytest.approx(320 / 240, abs=0.01)
    plain = pixels(generative, BASE)
    variants = [
        {**shown, "guidance_method_1_scale": 0},
        shown,
        {**shown, "guidance_method_1": "controlnet_depth"},
        {"image_prompt_file": b64(photo())},
        {"image_prompt_file": b64(photo()), "image_prompt_mode": "style_only"},
    ]
    different = [pixels(generative, BASE, **fields) for fields in variants]
    assert np.array_equal(different[0], plain)
    assert len({one.tobytes() for one in different}) == len(variants)


def test_minus_one_is_a_seed_of_the_servers_choice(generative: TestClient) -> None:
    seeds = {rows(generative, seed=-1)[0]["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert min(seeds) >= 0


def test_later_gives_what_now_gives(generative: TestClient, wait_until: Wait) -> None:
    answer = generative.post(BASE, json={**SENT, "sync": False, "num_results": 2})
    assert answer.status_code == 200, answer.text
    later = answer.json()["result"]
    wait_until(lambda: generative.head(local(later[1]["urls"][0])).status_code == 200)
    now = rows(generative, num_results=2)
    for one, other in zip(later, now, strict=True):
        assert picture(generative, one).tobytes() == picture(generative, other).tobytes()


class RedPainter(SeedPainter):
    """Paints what moderation blocks, for every second seed."""

    def colour(self, seed: int, prompt: str) -> tuple[int, int, int]:
        """Return red, or what a painter returns."""
        return super().colour(seed, prompt) if seed % 2 else (255, 0, 0)


def test_a_blocked_result_is_told_in_its_place(settings: Settings) -> None:
    models = GenerativeModels()
    models.fakes = {
        role: RedPainter if fake is SeedPainter else fake for role, fake in models.fakes.items()
    }
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        made = rows(client, num_results=2, content_moderation=True)
        assert made[0]["urls"] == [BLOCKED]
        assert made[1]["urls"][0].startswith("http")
        assert client.post(BASE, json={**SENT, "content_moderation": True}).status_code == 422


@pytest.mark.parametrize("version", ["2.2", "3.2-beta", "HD_1"])
def test_any_version_is_accepted(generative: TestClient, version: str) -> None:
    assert rows(generative, f"/v1/text-to-image/base/{version}")


@pytest.mark.parametrize("version", ["2 2", "%2e%2e%2f", "x" * 33, "é"])
def test_what_is_no_version_is_refused(generative: TestClient, version: str) -> None:
    answer = generative.post(f"/v1/text-to-image/base/{version}", json=SENT)
    assert answer.status_code in (400, 404)


def test_the_version_in_the_path_counts(generative: TestClient) -> None:
    assert rows(generative, model_version="2 2")


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        (HD, {"prompt": None}),
        (HD, {"prompt": "x" * 10_001}),
        (HD, {"num_results": 5}),
        (HD, {"num_results": 0}),
        (HD, {"aspect_ratio": "7:5"}),
        (HD, {"steps_num": 19}),
        (HD, {"steps_num": 51}),
        (FAST, {"steps_num": 30}),
        (HD, {"text_guidance_scale": 11}),
        (HD, {"text_guidance_scale": "nan"}),
        (HD, {"medium": "film"}),
        (BASE, {"guidance_method_1": "controlnet_canny"}),
        (BASE, {"guidance_method_2_image_file": b64(photo())}),
        (BASE, {"guidance_method_1_scale": 1.5}),
        (BASE, {"image_prompt_mode": "loud"}),
    ],
    ids=str,
)
def test_wrong_fields_are_refused(
    generative: TestClient, route: str, fields: dict[str, Any]
) -> None:
    name = next(iter(fields)).removesuffix("_image_file")
    assert name in refused(generative.post(route, json={**SENT, **fields}), 400)["description"]


def test_a_profile_without_the_models_refuses_with_the_reason(client: TestClient) -> None:
    for route in (HD, BASE, FAST):
        assert "Profile lite" in refused(client.post(route, json=SENT), 506)["description"]
    answer = client.post("/v1/prompt_enhancer", json={"prompt": "a lamp"})
    assert "Profile lite" in refused(answer, 506)["description"]


@pytest.mark.parametrize("sync", [True, False, None])
def test_a_prompt_is_refined_at_once(generative: TestClient, sync: bool | None) -> None:
    answer = generative.post("/v1/prompt_enhancer", json={"prompt": "a lamp", "sync": sync})
    assert answer.status_code == 200
    assert answer.json() == {"prompt variations": "a lamp, in fine detail"}


@pytest.mark.parametrize("fields", [{}, {"prompt": ""}, {"prompt": "x" * 10_001}, {"prompt": [1]}])
def test_no_prompt_is_refused(generative: TestClient, fields: dict[str, Any]) -> None:
    answer = generative.post("/v1/prompt_enhancer", json=fields)
    assert "prompt" in refused(answer, 400)["description"]
