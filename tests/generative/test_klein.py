"""FLUX.2 klein: tiny random weights of the real classes, loaded and run by the recipe of the real ones."""

from pathlib import Path

import numpy as np
import pytest

from imaging.picture import Mask, Rgb
from models.backends.diffusion.klein import KleinEdit
from models.device import DeviceConfig
from models.tiny.klein import make_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
SIZE = 64, 64
RED = "make it red"


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


FIRST, SECOND = noise(0), noise(1)
HOLE = np.pad(np.ones((32, 16), np.bool_), ((16, 16), (16, 32)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("klein")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def klein(folder: Path) -> KleinEdit:
    return KleinEdit.load([folder], CPU, side=64)


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(
    ("count", "hole"), [(0, None), (1, None), (1, HOLE), (2, None), (4, None), (4, HOLE)]
)
def test_a_request_repeats_bit_for_bit(klein: KleinEdit, count: int, hole: Mask | None) -> None:
    pictures = [FIRST, SECOND, noise(2, 40, 100), noise(3, 300, 200)][:count]
    one, other = (klein.edit(pictures, RED, "", 7, SIZE, hole=hole) for _ in range(2))
    assert np.array_equal(one, other)
    assert one.shape == (64, 64, 3)
    assert one.dtype == np.uint8


def test_words_seed_and_negative_words_each_have_an_effect(klein: KleinEdit) -> None:
    base = klein.edit([FIRST], RED, "", 7, SIZE)
    for words, negative, seed in (("make it blue", "", 7), (RED, "", 8), (RED, "ugly", 7)):
        assert difference(base, klein.edit([FIRST], words, negative, seed, SIZE)) > 2
    one, other = (klein.edit([FIRST], RED, words, 7, SIZE) for words in ("ugly", "blurred"))
    assert difference(one, other) > 2
