"""The routes by words on profile `tiny`: each value changes the picture, and the laws hold with a real class."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.helpers.requests import TOKEN, b64, encode, noise, photo
from tests.helpers.version2 import picture

EDIT = "/v2/image/edit/"
IMAGE = b64(photo(96, 64))
OTHER = b64(photo(40, 40))
OFF = {"visual_input_content_moderation": False, "visual_output_content_moderation": False}
VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "add_object_by_text": ({"instruction": "Add a cat"}, {"instruction": "Add a dog"}),
    "replace_object_by_text": ({"instruction": "A pear for it"}, {"instruction": "A fig for it"}),
    "erase_by_text": ({"object_name": "the lamp"}, {"object_name": "the table"}),
    "blend": ({"instruction": "On the shirt"}, {"instruction": "On the shirt", "overlay": OTHER}),
    "rewrite_text": ({"new_text": "Fresh bread"}, {"new_text": "Stale bread"}),
    "reseason": ({"season": "winter"}, {"season": "summer"}),
    "relight": ({"light_type": "midday"}, {"light_type": "midday", "light_direction": "side"}),
    "restyle": ({"style": "anime"}, {"style": "cubism"}),
    "colorize": ({"color": "color_vivid"}, {"color": "color_contemporary"}),
    "sketch_to_colored_image": ({}, {"prompt": "a fox"}),
    "restore": ({}, {"negative_prompt": "scratches"}),
    "product/holding": (
        {"person_image": IMAGE, "product_images": [OTHER]},
        {"person_image": IMAGE, "product_images": [OTHER, OTHER]},
    ),
    "product/virtual-tryon": (
        {"person_image": IMAGE, "garment_images": [OTHER]},
        {"person_image": IMAGE, "garment_images": [OTHER], "instruction": "Roll up the sleeves."},
    ),
}
"""By route: the fields of two requests with two results."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with profile `tiny`."""
    folder = tmp_path_factory.mktemp("tiny")
    pool = Pool.for_profile("tiny", folder / "weights", device="cpu")
    settings = Settings(data_dir=folder, workers=2)
    with TestClient(create_app(settings, LocalEngine(pool)), headers=TOKEN) as client:
        yield client


def result(client: TestClient, path: str, **fields: Any) -> dict[str, Any]:
    """Return the result of a request whose caller waits."""
    answer = client.post(path, json={"seed": 4, "sync": True, **OFF, **fields})
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()["result"]
    return read


def pixels(client: TestClient, made: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the pixels of a result."""
    return np.asarray(picture(client, made))


@pytest.mark.parametrize("name", VALUES)
def test_two_values_give_two_pictures_and_a_request_repeats(client: TestClient, name: str) -> None:
    first, again, other = (
        pixels(client, result(client, EDIT + name, image=IMAGE, **VALUES[name][index]))
        for index in (0, 0, 1)
    )
    assert first.shape == (64, 96, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", VALUES)
def test_a_structured_instruction_makes_the_result_again(client: TestClient, name: str) -> None:
    fields = VALUES[name][1]
    made = result(client, EDIT + name, image=IMAGE, **fields)
    further = [fields["overlay"]] if "overlay" in fields else []
    again = result(
        client,
        "/v2/image/edit",
        images=[IMAGE, *further, *fields.get("product_images", fields.get("garment_images", ()))],
        structured_instruction=made["structured_instruction"],
        negative_prompt=fields.get("negative_prompt", ""),
    )
    assert np.array_equal(pixels(client, made), pixels(client, again))


def test_products_are_blended_in_and_the_rest_of_the_scene_stays(client: TestClient) -> None:
    alpha = np.zeros((30, 20), np.uint8)
    alpha[10:20] = alpha[:, 5:15] = 255
    product = b64(encode(Image.fromarray(np.dstack([noise(20, 30), alpha]))))
    box = {"x": 30, "y": 20, "width": 20, "height": 30}
    products = [{"image": product, "coordinates": box}]
    path = EDIT + "product/integrate"
    one, other = (
        pixels(client, result(client, path, scene=IMAGE, products=products, seed=seed))
        for seed in (4, 5)
    )
    far = np.ones((64, 96), np.bool_)
    far[20 - 8 : 50 + 8, 30 - 8 : 50 + 8] = False
    assert np.array_equal(one[far], noise(96, 64)[far])
    assert np.array_equal(one[20:50, 35:45], noise(20, 30)[:, 5:15])
    assert not np.array_equal(one, other)
