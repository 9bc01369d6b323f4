"""The texture sources of a hole: parts that reach it, not separate objects."""

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Matte, Picture, Rgb
from models.backends.classical.felzenszwalb import Felzenszwalb
from models.backends.classical.patchmatch import PatchMatch
from models.roles import INPAINTING, MATTING, SEGMENTATION
from pipelines.common.texture_sources import _bodies, isolated_objects
from pipelines.erase_foreground import erase_foreground
from pipelines.image_expansion import image_expansion
from tests.helpers.fake_models import FakeModels

RED, GREEN = (220, 40, 40), (40, 170, 60)


class MiddleMatting:
    """A matting model whose subject is the middle tenth of each axis."""

    def matte(self, rgb: Rgb) -> Matte:
        height, width = rgb.shape[:2]
        matte = np.zeros((height, width), np.uint8)
        matte[height * 9 // 20 : height * 11 // 20, width * 9 // 20 : width * 11 // 20] = 255
        return matte


class ReddestInpainting:
    """An inpainting model that fills with the reddest pixel that it may copy."""

    copies_texture = True

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        source = rgb[~hole if avoid is None else ~(hole | avoid)].astype(int)
        filled = rgb.copy()
        filled[hole] = source[np.argmax(source[:, 0] - source[:, 1])]
        return filled


REAL = {MATTING: MiddleMatting(), INPAINTING: PatchMatch(), SEGMENTATION: Felzenszwalb()}
MODELS = FakeModels(REAL)
"""Models with the real segmentation and inpainting, and a small subject in the middle."""
REDDEST = FakeModels({**REAL, INPAINTING: ReddestInpainting()})
"""The same with `ReddestInpainting`, which copies red wherever it may."""


def wall(height: int = 240, width: int = 320) -> Rgb:
    rgb = np.full((height, width, 3), (120, 130, 150), np.uint8)
    return rgb + np.random.default_rng(5).integers(0, 12, rgb.shape, dtype=np.uint8)


def red(rgb: Rgb) -> Mask:
    found: Mask = (rgb[..., 0] > 180) & (rgb[..., 1] < 90)
    return found


def margin() -> Mask:
    outside = np.ones((500, 700), np.bool_)
    outside[130:370, 190:510] = False
    return outside


def test_an_object_away_from_the_border_is_not_repeated_in_the_margin() -> None:
    rgb = wall()
    cv2.circle(rgb, (70, 70), 30, RED, -1)
    result = image_expansion(Picture(rgb), REDDEST, (700, 500), (320, 240), (190, 130))
    assert not red(result.rgb[margin()]).any()


@pytest.mark.slow
def test_a_stripe_that_reaches_the_border_continues_in_the_margin() -> None:
    rgb = wall()
    rgb[160:190] = RED
    result = image_expansion(Picture(rgb), MODELS, (700, 500), (320, 240), (190, 130))
    assert red(result.rgb[300:310, :190]).mean() > 0.6
    assert red(result.rgb[300:310, 510:]).mean() > 0.6


def test_an_object_apart_from_the_subject_is_not_copied_into_its_place() -> None:
    rgb = wall()
    cv2.circle(rgb, (60, 60), 30, RED, -1)
    result = erase_foreground(Picture(rgb), REDDEST)
    assert red(result.rgb).sum() == red(rgb).sum()


def test_only_parts_that_reach_the_hole_are_texture_sources() -> None:
    rgb, nothing = wall(), np.zeros((240, 320), np.bool_)
    cv2.circle(rgb, (70, 120), 30, RED, -1)
    rgb[:, 200:] = GREEN
    hole = nothing.copy()
    hole[:12], hole[-12:] = True, True
    isolated = isolated_objects(rgb, hole, nothing, MODELS)
    assert isolated[red(rgb)].all()
    assert not isolated[20:-20, 210:].any()
    assert not isolated[20:70, 130:190].any()


def test_parts_that_look_alike_are_texture_sources_at_any_place() -> None:
    rgb, nothing = wall(), np.zeros((240, 320), np.bool_)
    rgb[100:140, 100:160] += 4
    hole = nothing.copy()
    hole[:12] = True
    assert not isolated_objects(rgb, hole, nothing, MODELS).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (3, 2), (20, 3000)])
def test_there_is_always_a_texture_source(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    hole = np.zeros(size, np.bool_)
    hole[0, 0] = True
    isolated = isolated_objects(rgb, hole, np.zeros_like(hole), MODELS)
    assert isolated.shape == hole.shape
    assert hole.size == 1 or (~(isolated | hole)).any()


def test_a_hole_without_known_neighbours_excludes_nothing() -> None:
    rgb, hole = wall(), np.ones((240, 320), np.bool_)
    assert not isolated_objects(rgb, hole, ~hole, MODELS).any()
    assert not isolated_objects(rgb, ~hole, ~hole, MODELS).any()


@pytest.mark.parametrize(("middle", "is_body"), [("ground", False), (GREEN, True)])
def test_a_body_looks_like_nothing_elsewhere(middle: object, is_body: bool) -> None:
    """The ground between two legs lies where a body is likely, but it is the ground around them too."""
    rgb = wall()
    parts = np.ones(rgb.shape[:2], np.uint8)
    rgb[10:236, 20:180], parts[10:236, 20:180] = RED, 2  # larger than a body should be
    rgb[110:200, 80:108] = wall()[110:200, 80:108] if middle == "ground" else middle
    parts[110:200, 80:108] = 3
    likely = np.zeros(rgb.shape[:2], np.bool_)
    likely[50:215, 60:130] = True
    bodies = _bodies(rgb, parts, likely)
    assert bodies[parts == 3].all() == is_body
    assert not bodies[parts != 3].any()
