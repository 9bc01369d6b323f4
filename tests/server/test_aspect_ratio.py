"""aspect_ratio of image_expansion: alone, as a name or a number, in every kind of body."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo

Read = Callable[[httpx.Response], Image.Image]
ROUTE = "/v1/image_expansion"
NAMES = {
    "1:1": (90, 90),
    "2:3": (90, 135),
    "3:2": (90, 60),
    "3:4": (90, 120),
    "4:3": (90, 68),  # 67.5
    "4:5": (90, 113),  # 112.5
    "5:4": (90, 72),
    "9:16": (90, 160),
    "16:9": (107, 60),  # 106.7
}
OTHERS: list[object] = [[16, 9], ["16:9", "1:1"], {"w": 1}, "9" * 10_000]


def body(**fields: Any) -> dict[str, Any]:
    return {"file": b64(photo(90, 60)), **fields}


@pytest.mark.parametrize(("ratio", "size"), NAMES.items())
def test_every_name_gives_its_size(
    client: TestClient, read: Read, ratio: str, size: tuple[int, int]
) -> None:
    result = read(client.post(ROUTE, json=body(aspect_ratio=ratio)))
    assert result.size == size
    left, top = (size[0] - 90) // 2, (size[1] - 60) // 2
    inner = np.asarray(result)[top : top + 60, left : left + 90]
    np.testing.assert_array_equal(inner, noise(90, 60))


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        (0.5, (90, 180)),
        (3, (180, 60)),
        (3.0, (180, 60)),
        (2, (120, 60)),
        ("1.25", (90, 72)),
        (" 16:9 ", (107, 60)),
        (1.5, (90, 60)),
    ],
)
def test_a_number_gives_its_size(
    client: TestClient, read: Read, ratio: Any, size: tuple[int, int]
) -> None:
    assert read(client.post(ROUTE, json=body(aspect_ratio=ratio))).size == size


@pytest.mark.parametrize("ratio", ["16:9", "2.5"])
def test_forms_and_the_query_may_hold_it(client: TestClient, read: Read, ratio: str) -> None:
    size = {"16:9": (107, 60), "2.5": (150, 60)}[ratio]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    form = urlencode(body(aspect_ratio=ratio))
    parts = {"file": ("a.png", photo(90, 60), "image/png")}
    answers = [
        client.post(ROUTE, data={"aspect_ratio": ratio}, files=parts),
        client.post(ROUTE, content=form, headers=kind),
        client.post(f"{ROUTE}?{urlencode({'aspect_ratio': ratio})}", json=body()),
    ]
    assert [read(answer).size for answer in answers] == [size] * 3


def test_the_three_other_fields_are_ignored_whatever_they_are(
    client: TestClient, read: Read
) -> None:
    alone = read(client.post(ROUTE, json=body(aspect_ratio="1:1", seed=4)))
    for others in (
        {"canvas_size": [300, 200], "original_image_size": [20, 20]},
        {"canvas_size": [9000, 9000], "original_image_location": [5000, 5000]},
        {"canvas_size": "wide", "original_image_size": [0], "original_image_location": {}},
    ):
        result = read(client.post(ROUTE, json=body(aspect_ratio="1:1", seed=4, **others)))
        np.testing.assert_array_equal(np.asarray(result), np.asarray(alone))


def test_an_equal_ratio_changes_nothing(client: TestClient, read: Read) -> None:
    result = read(client.post(ROUTE, json=body(aspect_ratio="3:2")))
    np.testing.assert_array_equal(np.asarray(result), noise(90, 60))


@pytest.mark.parametrize("ratio", [None, "", []])
def test_without_a_value_the_canvas_is_as_ever(
    client: TestClient, read: Read, ratio: object
) -> None:
    answer = client.post(ROUTE, json=body(aspect_ratio=ratio, canvas_size=[120, 100]))
    assert read(answer).size == (120, 100)


@pytest.mark.parametrize(
    "ratio",
    [
        "21:9",
        "16/9",
        "wide",
        0.49,
        3.01,
        "0.4",
        -1,
        0,
        True,
        "nan",
        "1e0",
        "0_1",
        "+1",
        "１.５",
        "inf",
        float("nan"),
        10**400,
        *OTHERS,
    ],
    ids=lambda ratio: str(ratio)[:12],
)
@pytest.mark.filterwarnings("ignore:Out of range float")
def test_any_other_value_is_refused(client: TestClient, fakes: FakeModels, ratio: object) -> None:
    text = json.dumps(body(aspect_ratio=ratio))
    answer = client.post(ROUTE, content=text, headers={"content-type": "application/json"})
    error = refused(answer, 400)
    assert error["parameter"] == "aspect_ratio"
    assert "1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, 16:9" in error["message"]
    assert "from 0.5 to 3.0" in error["message"]
    assert fakes.use_count == 0


@pytest.mark.parametrize(("size", "ratio"), [((1, 5000), 2), ((5000, 1), 0.5)])
def test_a_result_over_the_limit_is_brought_down_to_it(
    client: TestClient, read: Read, size: tuple[int, int], ratio: float
) -> None:
    picture = b64(encode(Image.new("RGB", size, (10, 120, 200))))
    result = read(client.post(ROUTE, json={"file": picture, "aspect_ratio": ratio}))
    assert 24_900_000 < result.width * result.height <= 25_000_000
    assert abs(result.width - ratio * result.height) <= 1


def test_a_turned_photograph_is_measured_upright(client: TestClient, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(noise(90, 60)), "JPEG", exif=exif)
    answer = client.post(ROUTE, json={"file": b64(data), "aspect_ratio": "1:1"})
    assert read(answer).size == (90, 90)
    answer = client.post(ROUTE, json={"file": b64(data), "aspect_ratio": "9:16"})
    assert read(answer).size == (60, 107)


@pytest.mark.parametrize("ratio", ["16:9", 1.1])
def test_a_job_keeps_it(
    settings: Settings, wait_until: Callable[[Callable[[], bool]], None], ratio: object
) -> None:
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        fields = body(aspect_ratio=ratio, seed=5)
        now = client.post(ROUTE, json=fields).json()
        later = client.post(ROUTE, json={**fields, "sync": False}).json()
        links = [local(answer["result_url"]) for answer in (now, later)]
        wait_until(lambda: client.get(links[1]).status_code == 200)
        assert client.get(links[0]).content == client.get(links[1]).content


def test_a_result_too_long_for_its_format_is_png(settings: Settings, read: Read) -> None:
    picture = b64(encode(Image.new("RGB", (16_384, 1))))
    webp = settings.model_copy(update={"result_format": "webp"})
    with TestClient(create_app(webp, FakeModels()), headers=TOKEN) as client:
        fields: dict[str, object] = {"file": picture, "canvas_size": [16_384, 2]}
        assert ".png?" in client.post(ROUTE, json=fields).json()["result_url"]
        fields["aspect_ratio"] = 3  # 8658 x 2886
        assert ".webp?" in client.post(ROUTE, json=fields).json()["result_url"]
