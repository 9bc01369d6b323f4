"""The real server with the roles of profiles `open` and `studio` on tiny weights: what holds with any weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.catalog.profile import load_profile
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.helpers.generated import FILL, Pixels, cut_out, hole, pixels
from tests.helpers.requests import TOKEN, b64, noise, photo

PROFILE = """
base = "tiny"
segmentation = "tiny-sam2"
generative_fill = "tiny-{0}-fill"
scene_generation = "tiny-{0}-scene"
outpainting = "tiny-{0}-outpaint"
face_editing = "tiny-{0}-faces"
instruction_editing = "tiny-{0}-edit"
prompt_refinement = "tiny-{0}-refiner"
"""
OPEN = PROFILE.format("klein") + 'inpainting = "tiny-klein-erase"\n'
STUDIO = PROFILE.format("qwen")


@pytest.fixture(scope="module", params=[OPEN, STUDIO], ids=["open", "studio"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A client of a server with the cards of a profile, on tiny weights."""
    folder = tmp_path_factory.mktemp("tiny")
    profile = folder / "mine.toml"
    profile.write_text(request.param)
    pool = Pool.for_profile(str(profile), folder / "weights", device="cpu")
    settings = Settings(data_dir=folder, workers=2)
    with pytest.MonkeyPatch.context() as patch:
        # Qwen-Image-Edit's forty steps would show no more.
        patch.setattr("models.backends.diffusion.qwen_edit._STEPS", 4)
        with TestClient(create_app(settings, LocalEngine(pool)), headers=TOKEN) as client:
            yield client


@pytest.mark.parametrize(("name", "tiny"), [("open", OPEN), ("studio", STUDIO)])
def test_the_tiny_cards_have_the_classes_of_the_published_ones(
    name: str, tiny: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(tiny)
    made, published = (load_profile(one) for one in (str(tmp_path / "mine.toml"), name))
    assert made.keys() == published.keys()
    for role, card in published.items():
        kind = made[role].backend.replace(":Tiny", ":")
        assert kind == card.backend, role


def test_the_eraser_changes_nothing_outside_the_mask_and_repeats(client: TestClient) -> None:
    body = {"file": FILL["file"], "mask_file": FILL["mask_file"]}
    one, other = (
        pixels(client, client.post("/v1/eraser", json=body).json()["result_url"]) for _ in range(2)
    )
    assert np.array_equal(one[~hole()], noise(320, 240)[~hole()])
    assert not np.array_equal(one[hole()], noise(320, 240)[hole()])
    assert np.array_equal(one, other)


def fill(client: TestClient, **fields: Any) -> tuple[list[Pixels], list[int]]:
    """Return the results and seeds of gen_fill."""
    answer = client.post("/v1/gen_fill", json={**FILL, **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [pixels(client, link) for link in body["urls"]], body["seed"]


def test_gen_fill_changes_only_the_mask_and_depends_on_each_value(client: TestClient) -> None:
    (one, other), seeds = fill(client, seed=5, num_results=2)
    assert seeds == [5, 6]
    assert np.array_equal(one[~hole()], noise(320, 240)[~hole()])
    assert not np.array_equal(one, other)
    (again,), _ = fill(client, seed=6, num_results=1)
    assert np.array_equal(again, other)
    for fields in ({"prompt": "a blue boat"}, {"negative_prompt": "people"}):
        (said,), _ = fill(client, seed=6, num_results=1, **fields)
        assert not np.array_equal(said, again)


@pytest.mark.parametrize(
    "fields",
    [
        {"bg_prompt": "on a beach"},
        {"bg_prompt": "on a beach", "fast": False, "negative_prompt": "people"},
        {"ref_image_file": b64(photo(64, 48))},
    ],
)
def test_a_scene_preserves_the_subject_and_repeats(
    client: TestClient, fields: dict[str, Any]
) -> None:
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
