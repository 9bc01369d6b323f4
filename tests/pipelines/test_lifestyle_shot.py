"""Lifestyle shots: the product's pixels, its place on every canvas, and the scenes behind it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from imaging.picture import Picture
from imaging.resize import Size
from models.roles import SCENE_GENERATION
from models.runtime.pool import Pool
from pipelines.background_replace import Mode, Scene, mode_is_fast
from pipelines.common.placement_geometry import (
    POSITIONS,
    Layout,
    layout_at,
    layout_in_ratio,
    layout_with_padding,
)
from pipelines.errors import NoForegroundError, OutsideCanvasError
from pipelines.lifestyle_shot import Shots, lifestyle_shots
from tests.helpers.fake_models import FakeModels, GenerativeModels, SeedPainter

TEAL = (0, 128, 128)
BOX = np.s_[30:110, 50:170]


@pytest.fixture
def product() -> Picture:
    """Return a cut-out of 120 x 80 noisy pixels, one of its corners half transparent."""
    rgb = np.random.default_rng(1).integers(0, 256, (150, 200, 3), np.uint8)
    alpha = np.zeros((150, 200), np.uint8)
    alpha[BOX] = 255
    alpha[100:110, 160:170] = 128
    return Picture(rgb, alpha)


def on_teal(product: Picture, layouts: Callable[[Size], Sequence[Layout]]) -> Sequence[Picture]:
    return lifestyle_shots(product, FakeModels(), TEAL, layouts, [1])


def box(picture: Picture, colour: tuple[int, int, int] = TEAL) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is not of the background's colour."""
    rows, columns = np.nonzero((picture.rgb != colour).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_at_its_own_size_the_opaque_pixels_are_those_of_the_picture(product: Picture) -> None:
    (shot,) = on_teal(product, lambda size: [layout_with_padding(size, (5, 6, 7, 8))])
    assert shot.alpha is None
    assert (shot.width, shot.height) == (5 + 120 + 6, 7 + 80 + 8)
    made, own = shot.rgb[7:87, 5:125], product.rgb[BOX]
    assert product.alpha is not None
    opaque = product.alpha[BOX] == 255
    assert np.array_equal(made[opaque], own[opaque])
    half = np.rint(own[~opaque] * (128 / 255) + np.array(TEAL) * (127 / 255))
    assert np.abs(made[~opaque] - half).max() <= 1
    made[:] = TEAL
    assert (shot.rgb == TEAL).all()


def test_every_position_is_where_its_layout_says(product: Picture) -> None:
    canvas = (900, 550)
    shots = on_teal(product, lambda size: [layout_at(size, place, canvas) for place in POSITIONS])
    assert len(shots) == 10
    for shot, position in zip(shots, POSITIONS, strict=True):
        _, size, location = layout_at((120, 80), position, canvas)
        assert size is not None
        assert location is not None
        right, bottom = location[0] + size[0], location[1] + size[1]
        assert box(shot) == (*location, right, bottom), position


def test_what_lies_outside_the_canvas_is_cut_off(product: Picture) -> None:
    layout = Layout((100, 90), (120, 80), (-50, 60))
    (shot,) = on_teal(product, lambda size: [layout])
    assert np.array_equal(shot.rgb[60:, :70], product.rgb[BOX][:30, 50:])
    assert (shot.rgb[:60] == TEAL).all()
    with pytest.raises(OutsideCanvasError):
        on_teal(product, lambda size: [Layout((100, 90), None, (-120, 0))])


def test_a_size_may_stretch_the_product(product: Picture) -> None:
    (shot,) = on_teal(product, lambda size: [Layout((400, 400), (50, 300), (20, 30))])
    assert box(shot) == (20, 30, 70, 330)


def test_resampling_mixes_no_hidden_colour_into_the_rim() -> None:
    rgb = np.full((100, 100, 3), (0, 255, 0), np.uint8)  # bright green beneath the alpha
    alpha = np.zeros((100, 100), np.uint8)
    rgb[20:80, 20:80], alpha[20:80, 20:80] = (200, 100, 50), 255
    for sides in (37, 261):
        layout = Layout((300, 300), (sides, sides), (10, 10))
        shots = lifestyle_shots(
            Picture(rgb, alpha), FakeModels(), (200, 100, 50), lambda size, at=layout: [at], [1]
        )
        assert (shots[0].rgb == (200, 100, 50)).all()


def test_each_seed_gives_the_same_picture_on_a_colour(product: Picture) -> None:
    shots = lifestyle_shots(
        product,
        FakeModels(),
        TEAL,
        lambda size: [layout_at(size, place, (80, 60)) for place in ("upper_left", "upper_right")],
        [1, 2, 3],
    )
    pictures = [*shots]
    assert len(pictures) == len(shots) == 6
    assert pictures[0] is pictures[1] is pictures[2]
    assert pictures[3] is pictures[5]
    assert not np.array_equal(pictures[0].rgb, pictures[3].rgb)
    assert np.array_equal(shots[0].rgb, pictures[0].rgb)
    assert len(shots[1:4]) == 3


def test_a_shot_is_composed_when_it_is_read() -> None:
    made: list[str] = []

    def maker(name: str) -> Callable[[], Any]:
        def make() -> Any:
            made.append(name)
            return name

        return make

    one, two = maker("one"), maker("two")
    shots = Shots([one, one, two])
    assert made == []
    assert [*shots] == ["one", "one", "two"]
    assert made == ["one", "two"]


class Recorder(SeedPainter):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def scenes(self, rgb: Any, alpha: Any, prompt: str, *rest: Any, **named: Any) -> Any:
        self.calls.append((rgb, alpha, prompt, rest[0], named))
        return super().scenes(rgb, alpha, prompt, *rest, **named)


def test_a_scene_is_made_for_each_place_and_seed(product: Picture) -> None:
    recorder = Recorder()
    models = GenerativeModels({SCENE_GENERATION: recorder})
    places = [Layout((300, 200), (120, 80), (left, 50)) for left in (10, 150)]
    scene = Scene("a beach", "people", fast=False)
    shots = [*lifestyle_shots(product, models, scene, lambda size: places, [1, 2])]
    assert [call[2:4] for call in recorder.calls] == [("a beach, in fine detail", "people")] * 2
    for rgb, alpha, *_ in recorder.calls:
        assert rgb.shape[:2] == alpha.shape
    first, second = (np.nonzero(alpha > 0.5)[1].mean() for _, alpha, *_ in recorder.calls)
    assert first < second
    assert len({shot.rgb.tobytes() for shot in shots}) == 4
    for shot, left in zip(shots, (10, 10, 150, 150), strict=True):
        opaque = product.alpha[BOX] == 255  # type: ignore[index]
        part = shot.rgb[50:130, left : left + 120]
        assert np.array_equal(part[opaque], product.rgb[BOX][opaque])


@pytest.mark.parametrize("influence", [0.0, 0.25, 1.0])
def test_the_influence_reaches_the_model(product: Picture, influence: float) -> None:
    recorder = Recorder()
    reference = Picture(np.full((40, 60, 3), (10, 200, 90), np.uint8))
    scene = Scene(reference=reference, influence=influence)
    models = GenerativeModels({SCENE_GENERATION: recorder})
    lifestyle_shots(product, models, scene, lambda size: [Layout((300, 200))], [1])
    named = recorder.calls[0][4]
    assert named["influence"] == influence
    assert (named["reference"] is None) == (influence == 0)


@pytest.mark.parametrize(
    ("mode", "fast"), [("base", False), ("high_control", False), ("fast", True)]
)
def test_only_the_mode_fast_is_fast(mode: Mode, fast: bool) -> None:
    assert mode_is_fast(mode) == fast


def test_a_picture_without_a_product_is_refused(product: Picture) -> None:
    empty = Picture(product.rgb, np.zeros((150, 200), np.uint8))
    with pytest.raises(NoForegroundError):
        on_teal(empty, lambda size: [Layout((10, 10))])


def test_force_rmbg_ignores_the_alpha(product: Picture) -> None:
    def shot(force_rmbg: bool) -> Picture:
        layouts = [Layout((300, 300))]
        (made,) = lifestyle_shots(
            product, FakeModels(), TEAL, lambda size: layouts, [1], force_rmbg
        )
        return made

    assert box(shot(False)) == (90, 110, 210, 190)
    left, top, right, bottom = box(shot(True))  # the ellipse of the fake matting
    assert (right - left, bottom - top) == (120, 90)


def test_a_photograph_is_cut_out_and_centred(photo: Callable[[str], Picture], lite: Pool) -> None:
    (shot,) = lifestyle_shots(
        photo("coffee"),
        lite,
        (255, 0, 255),
        lambda size: [layout_in_ratio(size, Fraction(4, 3))],
        [1],
    )
    assert (shot.width, shot.height) == (1156, 867)
    left, top, right, bottom = box(shot, (255, 0, 255))
    assert abs(left + right - 1156) <= 2
    assert abs(top + bottom - 867) <= 2
    assert not (shot.rgb[400:460, 500:600] == (255, 0, 255)).all(axis=2).any()
