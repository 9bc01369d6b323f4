"""create on the real server with tiny models: every value of every action changes its region, and only that."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.backends.diffusion import sdxl_base
from models.backends.diffusion.face_regions import Region, soft_mask
from models.backends.diffusion.face_table import TABLE, Change
from models.roles import FACE_ANALYSIS
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from pipelines.people.actions import ACTIONS
from server.app import create_app
from server.settings import Settings
from tests.helpers.generated import Pixels, pixels
from tests.helpers.requests import TOKEN, b64, encode

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIDE = 320
REACH = 24
"""Pixels that a mask may grow when it is enlarged from a model's 64 pixels: four of them, twice."""
Create = Callable[..., Pixels]


def portrait() -> Pixels:
    """Return dark noise with a white square, in which the tiny detector sees a face."""
    picture = np.random.default_rng(5).integers(0, 90, (SIDE, SIDE, 3), np.uint8)
    picture[128:160, 128:160] = 255
    return picture


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Let SDXL take few steps, because only where and whether it changes is looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdxl_base, "LCM_MORE", replace(sdxl_base.LCM_MORE, steps=6))
        yield


@pytest.fixture(scope="module", params=["tiny-faces", "tiny-klein-faces"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    """The models of profile `tiny` with one of its two models for faces."""
    folder: Path = tmp_path_factory.mktemp("create")
    profile = folder / "mine.toml"
    profile.write_text(f'base = "tiny"\nface_editing = "{request.param}"\n')
    return LocalEngine(Pool.for_profile(str(profile), folder / "weights", device="cpu"))


@pytest.fixture(scope="module")
def client(models: LocalEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with these models."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), workers=2)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def create(client: TestClient) -> Create:
    """Return a function that changes the person of `portrait` and returns the result."""
    body = {"file": b64(encode(Image.fromarray(portrait())))}
    visual = client.post("/v1/register", json=body).json()["visual_id"]
    (person,) = client.get(f"/v1/{visual}/person/info").json()

    def created(**actions: Any) -> Pixels:
        changes = [{"id": person["id"], "actions": actions}]
        answer = client.post(f"/v1/{visual}/create", json={"changes": changes})
        assert answer.status_code == 200, answer.text
        return pixels(client, answer.json()["image_res"])

    return created


@pytest.fixture(scope="module")
def near(client: TestClient, models: LocalEngine) -> Callable[[set[Region]], Any]:
    """Return a function that marks the pixels which a change of some regions may reach.

    It asks the models of the running server, beside its other calls.
    """
    with models.use(FACE_ANALYSIS) as analysis:
        (face,) = analysis.analyse(portrait())

    def marked(regions: set[Region]) -> Any:
        mask = (soft_mask(face, regions, SIDE, SIDE) > 0).astype(np.uint8)
        return cv2.dilate(mask, np.ones((2 * REACH + 1, 2 * REACH + 1))) > 0

    return marked


def regions_of(name: str) -> set[Region]:
    action = TABLE[name]
    changes = [*action.words.values(), *action.kinds, *(level.change for level in action.levels)]
    return {region for change in changes if isinstance(change, Change) for region in change.regions}


@pytest.mark.parametrize("name", ACTIONS)
def test_every_value_changes_its_region_alone_and_each_in_its_own_way(
    create: Create, near: Callable[[set[Region]], Any], name: str
) -> None:
    action = ACTIONS[name]
    numbers = range(int(action.high) + 1) if action.whole else {action.low, action.high} - {0}
    words = [word for word in action.words if word != "original"]
    made = {value: create(**{name: value}) for value in [*words, *numbers]}
    region = near(regions_of(name))
    assert not region.all()
    for value, result in made.items():
        assert np.array_equal(result[~region], portrait()[~region]), value
        assert (result != portrait()).any(), value
    for one, other in combinations(words, 2):
        assert not np.array_equal(made[one], made[other]), (one, other)
    for low, high in combinations(numbers, 2):
        assert not np.array_equal(made[low], made[high]), (low, high)


def test_the_original_and_the_middle_of_each_range_change_nothing(create: Create) -> None:
    middles = {name: 0 for name, action in ACTIONS.items() if not action.whole}
    assert np.array_equal(create(**middles), portrait())
    assert np.array_equal(create(diversity="original"), portrait())


def test_a_request_repeats_bit_for_bit(create: Create) -> None:
    actions = {"glasses": "heavy", "Beard": "full", "age": 4.5}
    assert np.array_equal(create(**actions), create(**actions))


def test_two_actions_change_both_regions(
    create: Create, near: Callable[[set[Region]], Any]
) -> None:
    changed = (create(glasses="heavy", Beard="full") != portrait()).any(axis=2)
    assert (changed & ~near({"lower"})).any()
    assert (changed & ~near({"eyes"})).any()
    assert not (changed & ~near({"eyes", "lower"})).any()
