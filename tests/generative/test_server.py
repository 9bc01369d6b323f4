"""The real server with profile `tiny`: guarantees that hold with any weights."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.helpers.generated import FILL, Pixels, cut_out, hole, pixels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with profile `tiny`."""
    folder = tmp_path_factory.mktemp("tiny")
    pool = Pool.for_profile("tiny", folder / "weights", device="cpu")
    settings = Settings(data_dir=folder, workers=2)
    with TestClient(create_app(settings, LocalEngine(pool)), headers=TOKEN) as client:
        yield client


def fill(client: TestClient, **fields: Any) -> tuple[list[Pixels], list[int]]:
    """Return the results and seeds of gen_fill."""
    answer = client.post("/v1/gen_fill", json={**FILL, **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [pixels(client, link) for link in body["urls"]], body["seed"]


def test_gen_fill_changes_only_the_mask_and_depends_on_seed_and_prompt(client: TestClient) -> None:
    (one, other), seeds = fill(client, seed=5, num_results=2)
    assert seeds == [5, 6]
    assert np.array_equal(one[~hole()], noise(320, 240)[~hole()])
    assert not np.array_equal(one, other)
    (again,), _ = fill(client, seed=6, num_results=1)
    assert np.abs(again.astype(int) - other).max() <= 2
    (said,), _ = fill(client, seed=6, num_results=1, prompt="a blue boat")
    assert not np.array_equal(said, again)


def test_a_seed_repeats_its_picture_during_other_requests(client: TestClient) -> None:
    (alone,), _ = fill(client, seed=9, num_results=1)
    with ThreadPoolExecutor(3) as callers:
        beside = list(callers.map(lambda s: fill(client, seed=s, num_results=1)[0][0], [9, 10, 9]))
    assert np.array_equal(beside[0], alone)
    assert np.array_equal(beside[2], alone)


def test_the_eraser_changes_nothing_outside_the_mask(client: TestClient) -> None:
    body = {"file": FILL["file"], "mask_file": FILL["mask_file"]}
    answer = client.post("/v1/eraser", json=body).json()
    result = pixels(client, answer["result_url"])
    assert np.array_equal(result[~hole()], noise(320, 240)[~hole()])


@pytest.mark.parametrize(
    "fields",
    [
        {"bg_prompt": "on a beach"},
        {"bg_prompt": "on a beach", "fast": False, "negative_prompt": "people"},
        {"ref_image_file": b64(photo(64, 48))},
    ],
)
def test_a_scene_preserves_the_subject(client: TestClient, fields: dict[str, Any]) -> None:
    body = {
        **fields,
        "file": b64(cut_out()),
        "sync": True,
        "num_results": 1,
        "original_quality": True,
    }
    answer = client.post("/v1/background/replace", json=body)
    assert answer.status_code == 200, answer.text
    ((link, seed, _),) = answer.json()["result"]
    result = pixels(client, link)
    assert np.array_equal(result[60:180, 100:220], noise(320, 240)[60:180, 100:220])
    again = client.post("/v1/background/replace", json={**body, "seed": int(seed)}).json()
    assert np.array_equal(pixels(client, again["result"][0][0]), result)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("by_text", {"scene_description": "on a beach"}),
        (
            "by_text",
            {"scene_description": "on a beach", "mode": "base", "exclude_elements": "rain"},
        ),
        ("by_image", {"ref_image_urls": ["data:image/png;base64," + b64(photo(64, 48))]}),
        ("by_image", {"ref_image_file": b64(photo(64, 48)), "ref_image_influence": 0.5}),
    ],
)
def test_a_lifestyle_shot_preserves_the_product_in_each_place(
    client: TestClient, path: str, fields: dict[str, Any]
) -> None:
    body = {
        **fields,
        "file": b64(cut_out()),
        "sync": True,
        "num_results": 1,
        "seed": 5,
        "placement_type": "manual_padding",
        "padding_values": [20, 30, 40, 10],
    }
    route = f"/v1/product/lifestyle_shot_{path}"
    made = client.post(route, json=body)
    assert made.status_code == 200, made.text
    ((link, _, _),) = made.json()["result"]
    result = pixels(client, link)
    alpha = np.asarray(Image.open(io.BytesIO(cut_out())))[..., 3]
    rows, columns = np.nonzero(alpha)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    opaque = alpha[box] == 255
    product = result[40:-10, 20:-30]
    assert np.array_equal(product[opaque], noise(320, 240)[box][opaque])
    again = client.post(route, json=body).json()
    assert np.array_equal(pixels(client, again["result"][0][0]), result)
    places = {"placement_type": "manual_placement", "shot_size": [200, 160]}
    selected = {"manual_placement_selection": ["upper_left", "bottom_right"]}
    several = client.post(route, json={**body, **places, **selected, "num_results": 2}).json()
    seen = [pixels(client, link) for link, _, _ in several["result"]]
    assert [seed for _, seed, _ in several["result"]] == ["5", "6"] * 2
    assert len({one.tobytes() for one in seen}) == 4


def test_the_influence_of_a_reference_changes_a_lifestyle_shot(client: TestClient) -> None:
    body = {"file": b64(cut_out()), "sync": True, "num_results": 1, "seed": 5}
    body |= {"ref_image_file": b64(photo(64, 48)), "original_quality": True, "mode": "base"}

    def made(influence: float) -> Pixels:
        sent = {**body, "ref_image_influence": influence}
        answer = client.post("/v1/product/lifestyle_shot_by_image", json=sent).json()
        return pixels(client, answer["result"][0][0])

    assert len({made(influence).tobytes() for influence in (0.0, 0.5, 1.0)}) == 3


def test_an_expansion_preserves_the_picture_and_returns_its_prompt(client: TestClient) -> None:
    body = {"file": FILL["file"], "canvas_size": [480, 360], "seed": 4}
    answer = client.post("/v1/image_expansion", json=body).json()
    result = pixels(client, answer["result_url"])
    assert np.array_equal(result[60:300, 80:400], noise(320, 240))
    again = client.post("/v1/image_expansion", json={**body, "prompt": answer["prompt"]}).json()
    assert np.array_equal(pixels(client, again["result_url"]), result)


def test_an_enlargement_has_the_right_size(client: TestClient) -> None:
    body = {"file": FILL["file"], "desired_increase": 4}
    answer = client.post("/v1/image/increase_resolution", json=body).json()
    assert pixels(client, answer["result_url"]).shape == (960, 1280, 3)


def test_only_the_chosen_person_changes(client: TestClient) -> None:
    # The tiny detector detects white squares.
    picture = np.full((240, 320, 3), 40, np.uint8)
    picture[64:96, 64:96] = 255
    picture[64:96, 224:256] = 255
    data = encode(Image.fromarray(picture))
    visual = client.post("/v1/register", json={"file": b64(data)}).json()["visual_id"]
    people = client.get(f"/v1/{visual}/person/info").json()
    assert people
    chosen = min(people, key=lambda person: person["rect"]["x"])
    body = {"changes": [{"id": chosen["id"], "actions": {"age": "mid-60", "haircolor": 2}}]}
    answer = client.post(f"/v1/{visual}/create", json=body)
    assert answer.status_code == 200, answer.text
    result = pixels(client, answer.json()["image_res"])
    changed = (result != picture).any(axis=2)
    assert changed.any()
    assert not changed[:, 192:].any()


def test_moderation_runs_with_any_weights(client: TestClient) -> None:
    body = {"file": FILL["file"], "content_moderation": True}
    assert client.post("/v1/crop", json=body).status_code in (200, 422, 506)
