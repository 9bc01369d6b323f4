"""Which views of a picture are scored, and when it is blocked."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.backends.onnx.open_nsfw import OpenNsfw
from models.roles import MODERATION
from pipelines.common.moderation import highest_score, is_blocked, views
from tests.helpers.fake_models import FakeModels


class Redness:
    """A moderation model: the score of `red` is the share of red pixels."""

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        red = (rgb[..., 0] > 200) & (rgb[..., 1:].max(axis=2) < 60)
        return {"red": float(red.mean()), "mild": 0.01}


RED = FakeModels({MODERATION: Redness()})
SKY = np.array([90, 140, 220], np.uint8)


def plain(height: int, width: int, colour: tuple[int, int, int]) -> Rgb:
    return np.full((height, width, 3), colour, np.uint8)


def test_the_category_with_the_highest_score_is_returned() -> None:
    assert highest_score(Picture(plain(60, 60, (255, 0, 0))), RED) == ("red", 1.0)
    assert highest_score(Picture(plain(60, 60, (0, 0, 255))), RED) == ("mild", 0.01)


def test_a_picture_is_blocked_at_the_threshold() -> None:
    half = plain(60, 60, (255, 0, 0))
    half[:, 30:] = 255
    assert is_blocked(Picture(half), RED, threshold=0.5)
    assert not is_blocked(Picture(half), RED, threshold=0.51)


def test_transparent_pixels_are_not_scored() -> None:
    picture = Picture(plain(60, 60, (255, 0, 0)), np.zeros((60, 60), np.uint8))
    assert highest_score(picture, RED)[1] < 0.1


def test_an_opaque_alpha_changes_nothing() -> None:
    rgb = plain(60, 60, (255, 0, 0))
    assert highest_score(Picture(rgb, np.full((60, 60), 255, np.uint8)), RED) == ("red", 1.0)


@pytest.mark.parametrize("level", [0, 255])
def test_a_drawing_in_the_alpha_channel_is_scored(level: int) -> None:
    alpha = np.zeros((80, 80), np.uint8)
    alpha[20:60, 20:60] = 255
    seen = list(views(Picture(plain(80, 80, (level,) * 3), alpha)))
    assert max(view.std() for view in seen) > 100


def test_hidden_colours_do_not_dilute_visible_ones() -> None:
    # Every second pixel is red and opaque; the others are cyan and transparent.
    side = 2400
    board = (np.indices((side, side)).sum(axis=0) % 2).astype(bool)
    rgb = plain(side, side, (0, 255, 255))
    rgb[board] = (255, 0, 0)
    black = list(views(Picture(rgb, board * np.uint8(255))))[-1]
    assert black[..., 1:].max() < 10
    assert black[..., 0].mean() == pytest.approx(127, abs=3)


def test_half_transparent_pixels_mix_with_the_background() -> None:
    white, black = views(Picture(plain(20, 20, (200, 100, 0)), np.full((20, 20), 128, np.uint8)))
    assert np.allclose(white[5, 5], (227, 177, 127), atol=1)
    assert np.allclose(black[5, 5], (100, 50, 0), atol=1)


def test_a_panorama_is_scored_in_parts_of_usual_ratio() -> None:
    rgb = np.tile(SKY, (100, 800, 1))
    rgb[:, :200] = (255, 0, 0)
    assert highest_score(Picture(rgb), RED) == ("red", 1.0)
    assert highest_score(Picture(np.ascontiguousarray(rgb.transpose(1, 0, 2))), RED) == ("red", 1.0)


def test_a_picture_of_usual_ratio_is_scored_once() -> None:
    assert len(list(views(Picture(plain(100, 150, (1, 2, 3)))))) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 3_000_000), (3_000_000, 1), (4000, 4000)])
def test_the_size_of_the_views_is_bounded(shape: tuple[int, int]) -> None:
    picture = Picture(np.zeros((*shape, 3), np.uint8), np.full(shape, 100, np.uint8))
    seen = list(views(picture))
    assert 2 <= len(seen) <= 10
    assert all(1 <= view.shape[0] * view.shape[1] <= 1_000_000 for view in seen)
    assert all(view.shape[2] == 3 for view in seen)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_safe_photographs_pass_the_real_model(photo: Callable[[str], Picture], name: str) -> None:
    models = FakeModels({MODERATION: OpenNsfw()})
    category, score = highest_score(photo(name), models)
    assert category == "nsfw"
    assert score < 0.2
    assert not is_blocked(photo(name), models, threshold=0.8)
