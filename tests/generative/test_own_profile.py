"""A user's own profile in the real server: BRIA's backends from local folders."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.tiny import bria
from server.app import create_app
from server.settings import Settings
from tests.helpers.generated import FILL, cut_out, hole, pixels
from tests.helpers.requests import TOKEN, b64, noise, photo

_ROLES = """
base = "tiny"
scene_generation = "bria-scene"
generative_fill = "bria-fill"
outpainting = "bria-expand"
inpainting = "tiny-bria-erase"
"""
_FOLDERS = {
    "briaai/erase": "erase",
    "briaai/BRIA-2.3": "slow",
    "briaai/BRIA-2.3-ControlNet-BG-Gen": "control",
    "briaai/BRIA-2.3-ControlNet-Generative-Fill": "control",
    "briaai/Expansion": "expansion",
    "briaai/Image-Prompt": "prompt",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with a profile that sets local folders."""
    folder = tmp_path_factory.mktemp("own")
    bria.make_repositories(folder / "bria")
    rows = [
        f'[repos."{repo}"]\npath = "{folder / "bria" / place}"\n'
        for repo, place in _FOLDERS.items()
    ]
    profile = folder / "mine.toml"
    profile.write_text(_ROLES + "".join(rows))
    pool = Pool.for_profile(str(profile), folder / "weights", device="cpu")
    with TestClient(
        create_app(Settings(data_dir=folder), LocalEngine(pool)), headers=TOKEN
    ) as client:
        yield client


def test_fill_and_eraser_change_nothing_outside_the_mask(client: TestClient) -> None:
    filled = client.post("/v1/gen_fill", json={**FILL, "num_results": 2, "seed": 3}).json()
    body = {"file": FILL["file"], "mask_file": FILL["mask_file"]}
    erased = client.post("/v1/eraser", json=body).json()
    assert filled["seed"] == [3, 4]
    for link in (*filled["urls"], erased["result_url"]):
        assert np.array_equal(pixels(client, link)[~hole()], noise(320, 240)[~hole()])


def test_an_expansion_preserves_the_picture(client: TestClient) -> None:
    body = {"file": FILL["file"], "canvas_size": [480, 360], "seed": 4, "prompt": "a beach"}
    answer = client.post("/v1/image_expansion", json=body).json()
    result = pixels(client, answer["result_url"])
    assert np.array_equal(result[60:300, 80:400], noise(320, 240))


@pytest.mark.parametrize(
    "scene", [{"bg_prompt": "on a beach"}, {"ref_image_file": b64(photo(64, 48))}]
)
def test_a_scene_preserves_the_subject(client: TestClient, scene: dict[str, Any]) -> None:
    body = {
        **scene,
        "file": b64(cut_out()),
        "sync": True,
        "num_results": 1,
        "original_quality": True,
    }
    answer = client.post("/v1/background/replace", json=body)
    assert answer.status_code == 200, answer.text
    result = pixels(client, answer.json()["result"][0][0])
    assert np.array_equal(result[60:180, 100:220], noise(320, 240)[60:180, 100:220])
