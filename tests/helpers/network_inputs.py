"""What networks are fed: recorders for onnxruntime, and pictures and arithmetic to hold the inputs against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Mask, Rgb
from tests.helpers.places import PHOTOS

Array = NDArray[Any]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and deviation of R, G and B in 0..1."""


_FOUND = 24
"""Pixels by which a tile is found in its picture."""


def _photo(name: str, rows: slice, columns: slice) -> Rgb:
    whole = np.asarray(Image.open(PHOTOS / f"{name}.jpg").convert("RGB"))
    return np.ascontiguousarray(whole[rows, columns])


PICTURES: Mapping[str, Rgb] = {
    "landscape": _photo("chelsea", slice(None), slice(None)),
    "portrait": _photo("astronaut", slice(20, 397), slice(110, 411)),
}
"""Photographs of which no side is a multiple of 8: 451 x 300 (no level reaches 255) and 301 x 377."""


def hole_of(rgb: Rgb) -> Mask:
    """Return a hole off the middle of a picture: about a twentieth of it."""
    height, width = rgb.shape[:2]
    hole = np.zeros((height, width), np.bool_)
    hole[height // 5 : height // 5 + height // 4, width // 2 : width // 2 + width // 5] = True
    return hole


def normalised(rgb: Array, figures: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Return 1 x 3 x height x width from R, G and B in 0..255: (value / 255 - mean) / deviation."""
    mean, deviation = (np.array(values) for values in figures)
    values: Array = (rgb / 255 - mean) / deviation
    return values.transpose(2, 0, 1)[None]


def assert_same(fed: Array, expected: Array, step: float, most: float = 1.01) -> None:
    """Assert that an input is what the publisher's transform gives.

    step: of one level, 1/255 of the range, in the units of the input. most: allowed levels in a pixel:
    1 for the rounding of a resampled picture. The mean may differ by a twentieth of that.
    """
    assert fed.shape == expected.shape
    levels = np.abs(np.asarray(fed, np.float64) - expected) / step
    assert levels.max() <= most
    assert levels.mean() <= most / 20


def assert_tiles(planes: Sequence[Array], rgb: Rgb, margin: int, step: float) -> None:
    """Assert that tiles cover a picture once, each with a mirrored margin, as 3 x height x width in 0..1.

    A tile may reach beyond the picture, which is mirrored there too.
    """
    beyond = margin + max(max(tile.shape[1:]) for tile in planes)
    framed = np.pad(rgb, ((margin, beyond), (margin, beyond), (0, 0)), mode="reflect") / 255
    covered = np.zeros(rgb.shape[:2], int)
    for tile in planes:
        high, wide = (side - 2 * margin for side in tile.shape[1:])
        found = min(_FOUND, wide, rgb.shape[1])
        row = tile[:, margin, margin : margin + found].T  # of the first one without the margin
        rows = np.lib.stride_tricks.sliding_window_view(rgb, (found, 3), axis=(1, 2))[:, :, 0]
        apart = np.abs(rows - np.rint(row * 255)).max((-2, -1))
        top, left = np.unravel_index(int(apart.argmin()), apart.shape)
        expected = framed[top : top + tile.shape[1], left : left + tile.shape[2]]
        assert_same(tile, expected.transpose(2, 0, 1), step, most=0.01)
        covered[top : top + high, left : left + wide] += 1
    assert (covered == 1).all()


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Array]]:
    """Return a list that gets what every onnxruntime session is fed from now on, call by call."""
    fed: list[dict[str, Array]] = []
    run = ort.InferenceSession.run

    def watched(self: Any, names: Any, inputs: Any, *others: Any) -> Any:
        fed.append({name: np.array(value) for name, value in inputs.items()})
        return run(self, names, inputs, *others)

    monkeypatch.setattr(ort.InferenceSession, "run", watched)
    return fed


def sampled(rgb: Rgb, scale: float, start: tuple[float, float], side: int) -> Array:
    """Return side x side pixels, interpolated linearly, black outside the picture.

    scale: pixels of the result for one of `rgb`. start: column and row of `rgb` that the first pixel shows.
    """
    framed = np.pad(rgb.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    places = np.arange(side) / scale
    for axis in (0, 1):
        exact = np.clip(places + start[1 - axis] + 1, 0, framed.shape[axis] - 1.001)
        low = np.floor(exact).astype(int)
        share = (exact - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        one, other = (np.take(framed, low + step, axis) for step in (0, 1))
        framed = one * (1 - share) + other * share
    return framed
