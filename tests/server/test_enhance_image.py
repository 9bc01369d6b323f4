"""POST /v1/enhance_image."""

import io
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.answers import local, refused
from tests.helpers.requests import b64, encode, noise, photo

ROUTE = "/v1/enhance_image"
Read = Callable[[httpx.Response], Image.Image]


def test_the_size_is_doubled_and_the_seed_is_returned(client: TestClient, read: Read) -> None:
    answer = client.post(ROUTE, json={"file": b64(photo()), "seed": 681794})
    assert read(answer).size == (640, 480)
    assert answer.json()["seed"] == 681794


def test_without_a_seed_the_answer_has_one_and_the_picture_is_the_same(
    client: TestClient, read: Read
) -> None:
    answers = [client.post(ROUTE, json={"file": b64(photo(80, 60))}) for _ in range(2)]
    seeds = [answer.json()["seed"] for answer in answers]
    assert all(isinstance(seed, int) for seed in seeds)
    assert seeds[0] != seeds[1]
    first, second = (np.asarray(read(answer)) for answer in answers)
    assert np.array_equal(first, second)


def test_the_body_of_a_public_caller_works(client: TestClient, read: Read) -> None:
    body = {
        "content_moderation": False,
        "resolution": "1MP",
        "steps_num": 20,
        "sync": True,
        "image_file": b64(photo(500, 500)),
    }
    assert read(client.post(ROUTE, json=body)).size == (1000, 1000)


@pytest.mark.parametrize(
    "wrong", [{"steps_num": 9}, {"steps_num": 51}, {"resolution": "8MP"}, {"seed": "x"}]
)
def test_values_out_of_bounds_are_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    answer = client.post(ROUTE, json={"file": b64(photo(40, 30)), **wrong})
    assert refused(answer, 400)["parameter"] == next(iter(wrong))


@pytest.mark.parametrize(("preserve", "mode"), [(None, "RGBA"), (True, "RGBA"), (False, "RGB")])
def test_preserve_alpha_decides_on_the_alpha_channel(
    client: TestClient, read: Read, preserve: bool | None, mode: str
) -> None:
    pixels = np.dstack([noise(40, 30), np.full((30, 40), 90, np.uint8)])
    body = {"file": b64(encode(Image.fromarray(pixels))), "preserve_alpha": preserve}
    assert read(client.post(ROUTE, json=body)).mode == mode


def test_with_sync_false_the_link_works_later(
    client: TestClient, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    answer = client.post(ROUTE, json={"file": b64(photo(40, 30)), "sync": False, "seed": 3}).json()
    assert answer["seed"] == 3
    link = local(answer["result_url"])
    wait_until(lambda: client.get(link).status_code == 200)
    assert Image.open(io.BytesIO(client.get(link).content)).size == (80, 60)
