"""Products in a scene, in hands and on people: the fields of these routes, with and without each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo
from tests.helpers.version2 import finished, picture, refused

EDIT = "/v2/image/edit/"
PRODUCT = EDIT + "product/"
SCENE = b64(photo())
RED = b64(encode(Image.new("RGB", (320, 240), (255, 0, 0))))
BOX = {"x": 40, "y": 50, "width": 60, "height": 80}


def cut_out() -> str:
    """Return a product with alpha, without an empty margin: an opaque bar between clear corners."""
    alpha = np.zeros((80, 60), np.uint8)
    alpha[20:60] = alpha[:, 15:45] = 255
    return b64(encode(Image.fromarray(np.dstack([noise(60, 80), alpha]))))


INTEGRATE = {"scene": SCENE, "products": [{"image": cut_out(), "coordinates": BOX}]}
PEOPLE = {
    "holding": {"person_image": SCENE, "product_images": [cut_out()]},
    "virtual-tryon": {"person_image": SCENE, "garment_images": [cut_out()]},
}
FURTHER = {"holding": "product_images", "virtual-tryon": "garment_images"}
ALL: dict[str, dict[str, Any]] = {"integrate": INTEGRATE, **PEOPLE}


@pytest.fixture
def generative(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    with TestClient(create_app(settings, GenerativeModels()), headers=TOKEN) as client:
        yield client


def result(client: TestClient, name: str, **fields: Any) -> dict[str, Any]:
    """Return the result of a request whose caller waits."""
    body = {"seed": 4, "sync": True, **ALL[name], **fields}
    answer = client.post(PRODUCT + name, json=body)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()["result"]
    return read


def pixels(client: TestClient, name: str, **fields: Any) -> NDArray[np.uint8]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, result(client, name, **fields)))


def product(**fields: Any) -> list[dict[str, Any]]:
    """Return the field of a product, these members changed."""
    return [{"image": cut_out(), "coordinates": BOX, **fields}]


@pytest.mark.parametrize("name", ALL)
def test_later_gives_what_now_gives(generative: TestClient, name: str) -> None:
    state = finished(generative, generative.post(PRODUCT + name, json={**ALL[name], "seed": 4}))
    assert state["status"] == "COMPLETED", state
    assert state["result"]["seed"] == 4
    assert np.array_equal(picture(generative, state["result"]), pixels(generative, name))


@pytest.mark.parametrize("name", ALL)
def test_a_profile_without_a_model_names_one_that_has_it(client: TestClient, name: str) -> None:
    for sync in (True, False):
        error = refused(client.post(PRODUCT + name, json={**ALL[name], "sync": sync}), 506)
        assert "has no model for instruction editing" in error["details"]


@pytest.mark.parametrize("name", ALL)
def test_the_seed_changes_the_picture(generative: TestClient, name: str) -> None:
    assert not np.array_equal(pixels(generative, name), pixels(generative, name, seed=5))


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize(
    "fields",
    [{"instruction": "Sit down."}, {"negative_prompt": "rings"}, {"aspect_ratio": "1:1"}],
    ids=lambda fields: next(iter(fields)),
)
def test_each_field_changes_the_picture(
    generative: TestClient, name: str, fields: dict[str, Any]
) -> None:
    assert not np.array_equal(pixels(generative, name), pixels(generative, name, **fields))


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("ratio", [None, "1:1"])
def test_a_structured_instruction_makes_the_result_again(
    generative: TestClient, name: str, ratio: str | None
) -> None:
    further = [cut_out(), SCENE, RED]
    off = {"visual_input_content_moderation": False}
    made = result(generative, name, **{FURTHER[name]: further}, aspect_ratio=ratio, **off)
    body = {
        "images": [SCENE, *further],
        "structured_instruction": made["structured_instruction"],
        "seed": 4,
        "aspect_ratio": ratio,
        "sync": True,
        **off,
    }
    again = generative.post("/v2/image/edit", json=body)
    assert again.status_code == 200, again.text
    assert np.array_equal(picture(generative, again.json()["result"]), picture(generative, made))


@pytest.mark.parametrize("name", PEOPLE)
def test_wrong_pictures_of_people(generative: TestClient, name: str) -> None:
    field = FURTHER[name]
    for fields, code, named in (
        ({"person_image": None}, 400, "person_image"),
        ({field: None}, 400, field),
        ({field: []}, 400, field),
        ({field: [SCENE] * 4}, 400, field),
        ({field: [SCENE, "bm90IGEgcGljdHVyZQ=="]}, 415, f"{field}.1"),
        ({field: [SCENE, RED]}, 422, f"{field}.1"),
        ({"aspect_ratio": "5"}, 400, "aspect_ratio"),
    ):
        answer = generative.post(PRODUCT + name, json={**ALL[name], **fields})
        assert named in refused(answer, code)["details"]
    one = pixels(generative, name, **{field: SCENE})
    assert np.array_equal(one, pixels(generative, name, **{field: [SCENE]}))


class TestIntegrate:
    """product/integrate."""

    def test_the_product_is_in_its_box_and_the_rest_of_the_scene_as_it_was(
        self, generative: TestClient
    ) -> None:
        made, scene = pixels(generative, "integrate"), noise(320, 240)
        far = np.ones((240, 320), np.bool_)
        far[50 - 16 : 130 + 16, 40 - 16 : 100 + 16] = False
        assert np.array_equal(made[far], scene[far])
        assert np.array_equal(made[50:130, 55:85], noise(60, 80)[:, 15:45])
        assert not np.array_equal(made[132:140, 60:80], scene[132:140, 60:80])

    def test_each_coordinate_moves_or_scales_the_product(self, generative: TestClient) -> None:
        made = {
            pixels(
                generative, "integrate", products=product(coordinates={**BOX, name: BOX[name] + 9})
            ).tobytes()
            for name in BOX
        }
        assert len(made) == 4

    def test_two_products(self, generative: TestClient) -> None:
        second = {"image": SCENE, "coordinates": {"x": 200, "y": 20, "width": 80, "height": 60}}
        one = pixels(generative, "integrate")
        both = pixels(generative, "integrate", products=[*product(), second])
        assert np.array_equal(one[50:130, 55:85], both[50:130, 55:85])
        assert np.array_equal(one[150:], both[150:])
        assert not np.array_equal(one[:, 180:], both[:, 180:])

    def test_a_box_over_the_edge_is_taken(self, generative: TestClient) -> None:
        over = {"x": -30, "y": 200, "width": 60, "height": 80}
        made = pixels(generative, "integrate", products=product(coordinates=over))
        assert made.shape == (240, 320, 3)

    @pytest.mark.parametrize(
        ("fields", "code", "named"),
        [
            ({"scene": None}, 400, "scene"),
            ({"scene": "bm90IGEgcGljdHVyZQ=="}, 415, "scene"),
            ({"products": None}, 400, "products"),
            ({"products": []}, 400, "products"),
            ({"products": "x"}, 400, "products"),
            ({"products": product() * 9}, 400, "products"),
            ({"products": product(image=None)}, 400, "products.0.image"),
            ({"products": product(image="")}, 400, "products.0.image"),
            ({"products": product(image=5)}, 400, "products.0.image"),
            ({"products": product(image="%%%")}, 400, "products.0.image"),
            ({"products": product(image=RED)}, 422, "products.0.image"),
            ({"scene": RED}, 422, "scene"),
            ({"products": product(coordinates=None)}, 400, "products.0.coordinates"),
            ({"products": product(coordinates={**BOX, "x": "a"})}, 400, "coordinates.x"),
            ({"products": product(coordinates={**BOX, "x": 320})}, 400, "outside the scene"),
            ({"products": product(coordinates={**BOX, "y": -80})}, 400, "outside the scene"),
            ({"products": product(coordinates={**BOX, "width": 321})}, 400, "larger than"),
            ({"products": product(coordinates={**BOX, "height": 0})}, 400, "coordinates.height"),
            ({"products": product(coordinates={**BOX, "x": 10**9})}, 400, "coordinates.x"),
            ({"seed": "x"}, 400, "seed"),
        ],
        ids=range(20),
    )
    def test_wrong_fields(
        self, generative: TestClient, fields: dict[str, Any], code: int, named: str
    ) -> None:
        answer = generative.post(PRODUCT + "integrate", json={**INTEGRATE, **fields})
        assert named in refused(answer, code)["details"]

    def test_what_is_invisible_is_refused(self, generative: TestClient) -> None:
        clear = b64(encode(Image.new("RGBA", (40, 40))))
        for fields, named in (
            ({"scene": clear}, "scene"),
            ({"products": product(image=clear, coordinates={**BOX, "width": 20})}, "products.0"),
        ):
            answer = generative.post(PRODUCT + "integrate", json={**INTEGRATE, **fields})
            assert named in refused(answer, 400)["details"]

    def test_products_are_together_as_large_as_a_body_at_most(
        self, generative: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.listed_pictures.MAX_PIXELS", 9000)
        assert generative.post(PRODUCT + "integrate", json=INTEGRATE).status_code == 202
        body = {**INTEGRATE, "products": product() * 2}
        assert (
            "pixels" in refused(generative.post(PRODUCT + "integrate", json=body), 413)["details"]
        )
