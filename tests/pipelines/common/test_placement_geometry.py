"""Canvases and places, exact to the pixel: aspect ratios, named positions, paddings."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from pipelines.common.placement_geometry import (
    MAX_CANVAS_AREA,
    POSITIONS,
    Layout,
    Position,
    layout_at,
    layout_for_ratio,
    layout_in_ratio,
    layout_with_padding,
    placement,
)
from pipelines.errors import OutsideCanvasError, PaddingTooLargeError

NAMED = [
    Fraction(*pair)
    for pair in ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9))
]
RATIOS = [*NAMED, Fraction(1, 2), Fraction(3), Fraction("1.37")]


@pytest.mark.parametrize(
    ("size", "ratio", "canvas", "location"),
    [
        ((600, 400), Fraction(1), (600, 600), (0, 100)),
        ((600, 400), Fraction(16, 9), (711, 400), (55, 0)),  # 711.1
        ((600, 400), Fraction(4, 3), (600, 450), (0, 25)),
        ((600, 400), Fraction(3, 2), (600, 400), (0, 0)),
        ((400, 600), Fraction(9, 16), (400, 711), (0, 55)),
        ((101, 101), Fraction(3, 2), (152, 101), (25, 0)),  # 151.5; the odd pixel is at the right
        ((1366, 768), Fraction(16, 9), (1366, 768), (0, 0)),  # the nearest size of this ratio
        ((1, 1), Fraction(16, 9), (2, 1), (0, 0)),
        ((1, 1), Fraction(4, 5), (1, 1), (0, 0)),
        ((1, 5000), Fraction(1, 2), (2500, 5000), (1249, 0)),
    ],
)
def test_the_canvas_is_the_nearest_size_that_holds_the_picture(
    size: tuple[int, int],
    ratio: Fraction,
    canvas: tuple[int, int],
    location: tuple[int, int],
) -> None:
    assert layout_for_ratio(size, ratio) == Layout(canvas, size, location)


def test_one_axis_grows_and_the_ratio_is_right_to_the_pixel() -> None:
    sides = [*np.random.default_rng(5).integers(1, 2500, 12).tolist(), 1, 2]
    for width, height in itertools.product(sides, sides):
        for ratio in RATIOS:
            canvas, size, location = layout_for_ratio((width, height), ratio)
            assert size == (width, height)
            assert location == ((canvas[0] - width) // 2, (canvas[1] - height) // 2)
            assert canvas[0] == width or canvas[1] == height
            assert canvas[0] >= width
            assert canvas[1] >= height
            if canvas != size:
                grown, wanted = (
                    (canvas[0], height * ratio)
                    if canvas[1] == height
                    else (canvas[1], width / ratio)
                )
                assert abs(grown - wanted) <= Fraction(1, 2)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(
    "size", [(8000, 8000), (6000, 4000), (1, 100_000), (100_000, 1), (1, 5000 * 3), (5001, 5000)]
)
def test_a_canvas_over_the_limit_is_brought_down_to_it(
    size: tuple[int, int], ratio: Fraction
) -> None:
    canvas, image, location = layout_for_ratio(size, ratio)
    assert image is not None
    area = canvas[0] * canvas[1]
    assert area <= MAX_CANVAS_AREA
    if size[0] * size[1] > MAX_CANVAS_AREA:
        assert area > 0.999 * MAX_CANVAS_AREA
    assert abs(canvas[0] - canvas[1] * ratio) <= max(Fraction(1), ratio)
    assert canvas[0] == image[0] or canvas[1] == image[1]  # flush on the axis that did not grow
    for axis in range(2):
        assert 1 <= image[axis] <= canvas[axis]
    wide = Fraction(size[0] * image[1], size[1])
    assert min(image) == 1 or abs(image[0] - wide) <= 2
    assert placement(size, Layout(canvas, image, location))[0] == image


def test_a_picture_over_the_limit_that_has_the_ratio_is_reduced_without_a_margin() -> None:
    assert layout_for_ratio((8000, 8000), Fraction(1)) == Layout((5000, 5000), (5000, 5000), (0, 0))


def test_a_smaller_limit_can_be_set() -> None:
    assert layout_for_ratio((600, 400), Fraction(1), 90_000) == Layout(
        (300, 300), (300, 200), (0, 50)
    )


def test_a_place_without_a_visible_pixel_is_an_error() -> None:
    with pytest.raises(OutsideCanvasError, match="outside the 100x100 canvas"):
        placement((50, 50), Layout((100, 100), None, (100, 0)))


@pytest.mark.parametrize(
    ("position", "size", "location"),
    [
        ("upper_left", (540, 270), (50, 50)),
        ("upper_right", (540, 270), (410, 50)),
        ("bottom_left", (540, 270), (50, 680)),
        ("bottom_right", (540, 270), (410, 680)),
        ("right_center", (540, 270), (410, 365)),
        ("left_center", (540, 270), (50, 365)),
        ("upper_center", (540, 270), (230, 50)),
        ("bottom_center", (540, 270), (230, 680)),
        ("center_vertical", (450, 225), (275, 387)),  # the odd pixel is at the bottom
        ("center_horizontal", (900, 450), (50, 275)),
    ],
)
def test_a_product_fills_the_box_of_its_position(
    position: Position, size: tuple[int, int], location: tuple[int, int]
) -> None:
    canvas = (1000, 1000)
    assert layout_at((200, 100), position, canvas) == Layout(canvas, size, location)


@pytest.mark.parametrize("canvas", [(1000, 1000), (900, 550), (5000, 5000), (3, 4000), (1, 1)])
def test_a_product_is_inside_the_margins_at_every_position(canvas: tuple[int, int]) -> None:
    for product in ((300, 200), (1, 999), (999, 1), (400, 400), (8000, 6000)):
        layouts = [layout_at(product, position, canvas) for position in POSITIONS]
        for layout in layouts:
            size, location, window = placement(product, layout)
            for axis in range(2):
                margin = canvas[axis] // 20
                assert location[axis] >= margin
                assert location[axis] + size[axis] <= canvas[axis] - margin
            assert (window[1].stop - window[1].start, window[0].stop - window[0].start) == size
            if min(size) > 50:
                assert size[0] / size[1] == pytest.approx(product[0] / product[1], rel=0.02)


def test_every_position_is_another_place_or_size() -> None:
    for product in ((300, 200), (200, 300), (400, 400), (100, 700), (700, 100)):
        assert len({layout_at(product, position, (1000, 1000)) for position in POSITIONS}) == 10


def test_a_padding_surrounds_the_product_at_its_own_size() -> None:
    assert layout_with_padding((200, 100), (20, 30, 40, 50)) == Layout(
        (250, 190), (200, 100), (20, 40)
    )
    assert layout_with_padding((5000, 4999), (0, 0, 0, 1)).canvas_size == (5000, 5000)
    with pytest.raises(PaddingTooLargeError, match=r"200 x 100 pixels.* 250 x 100100,"):
        layout_with_padding((200, 100), (20, 30, 50_000, 50_000))


@pytest.mark.parametrize("ratio", [*NAMED, Fraction(1, 2), Fraction(3), Fraction("1.25")])
def test_a_canvas_in_a_ratio_is_exact_and_about_a_megapixel(ratio: Fraction) -> None:
    for product in ((300, 200), (200, 300), (4000, 4000)):
        canvas, size, location = layout_in_ratio(product, ratio)
        assert size is not None
        assert location is not None
        assert Fraction(*canvas) == ratio
        assert canvas[0] * canvas[1] == pytest.approx(1_000_000, rel=0.02)
        assert max(size[0] / canvas[0], size[1] / canvas[1]) == pytest.approx(0.8, abs=0.002)
        assert location == ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)


@pytest.mark.parametrize("ratio", ["1.37", "1.333333", "0.777777", "2.99999", "0.5000001"])
def test_a_canvas_in_any_ratio_is_about_a_megapixel(ratio: str) -> None:
    canvas, _, _ = layout_in_ratio((300, 200), Fraction(ratio))
    assert canvas[0] / canvas[1] == pytest.approx(float(ratio), rel=0.01)
    assert canvas[0] * canvas[1] == pytest.approx(1_000_000, rel=0.15)
