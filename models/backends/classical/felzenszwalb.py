"""The segmentation model of profile `lite`: Felzenszwalb and Huttenlocher's graph segmentation.

It groups pixels of similar colour into parts. It does not know objects: a shirt, its collar and a
shadow on it are three parts, and each piece of a wall that is visible through a chair is a part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.graph_segmentation import graph_segments
from imaging.picture import Labels, Rgb
from imaging.resize import resize, resize_labels, within_side
from models.device import DeviceConfig

_COARSE_SIDE = 512  # the merging threshold holds for this size: parts grow with the pixel count
_SCALE = 300  # k of the paper, for colours 0..255: larger gives fewer, larger parts
_SIGMA = 0.8  # the smoothing that the paper uses
_SMALLEST = 0.002  # of the picture's area
_MOST = 60
_FINE_SIDE = 1024
_DOUBT = 2  # coarse pixels on each side of an edge that are assigned again at the fine size
_MOSTLY_EDGE = 0.2  # least share of a part that must be away from edges: with less it is a seam
_TILE = 512
_BLUR = 5  # side, in pixels of the fine map, of the square that votes on a pixel


class Felzenszwalb:
    """Implements the role `models.roles.Segmentation`.

    P. Felzenszwalb and D. Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004. The
    map has at most 60 parts of at least 0.2 % of the picture each. They cover the whole picture, so
    the map has no 0. Edges are found at a longest side of 1024 pixels; on larger pictures they are
    smooth.
    """

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls()

    def segment(self, rgb: Rgb) -> Labels:
        """Return the parts of `rgb`: height x width, uint8, 1..60, the largest first."""
        height, width = rgb.shape[:2]
        coarse, fine = (
            resize(rgb, within_side(width, height, side)) for side in (_COARSE_SIDE, _FINE_SIDE)
        )
        parts = _flood(fine, _keep_largest(_merge(coarse)))
        return _enlarge(parts, width, height)


def _merge(rgb: Rgb) -> NDArray[np.int32]:
    """Group the pixels of `rgb`. Return height x width numbers, from 0, in no order."""
    smallest = max(1, int(_SMALLEST * rgb.shape[0] * rgb.shape[1]))
    return graph_segments(rgb, _SCALE, _SIGMA, smallest)


def _keep_largest(parts: NDArray[np.int32]) -> Labels:
    """Assign numbers from 1 to the largest parts, the largest first. The other parts become 0."""
    areas = np.bincount(parts.ravel())
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] > 0][:_MOST]
    numbers = np.zeros(len(areas), np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[parts]


def _flood(rgb: Rgb, parts: Labels) -> Labels:
    """Find the parts' edges again on the larger `rgb`, by a watershed from the pixels away from edges.

    This also assigns the pixels without a part, and removes seams: graph segmentation makes extra
    parts from the blur along an edge.
    """
    height, width = rgb.shape[:2]
    markers = resize_labels(parts, (width, height))
    radius = _DOUBT * max(1, round(width / parts.shape[1]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    edge = cv2.dilate(markers, disc) != cv2.erode(markers, disc)
    whole, seeds = np.bincount(markers.ravel(), minlength=256), np.where(edge, 0, markers)
    left = np.bincount(seeds.ravel(), minlength=256)
    seeds[(left < _MOSTLY_EDGE * whole)[seeds]] = 0
    if not seeds.any():
        seeds = markers
    # The watershed never floods the outermost pixels. They are added here as a frame and removed again.
    frame = (1, 1, 1, 1, cv2.BORDER_REPLICATE)
    basins = cv2.copyMakeBorder(seeds, *frame).astype(np.int32)
    cv2.watershed(cv2.copyMakeBorder(cv2.GaussianBlur(rgb, (0, 0), 1), *frame), basins)
    flooded = np.maximum(basins[1:-1, 1:-1], 0).astype(np.uint8)
    while (lines := flooded == 0).any():
        flooded[lines] = cv2.dilate(flooded, np.ones((3, 3), np.uint8))[lines]
    return flooded


def _enlarge(parts: Labels, width: int, height: int) -> Labels:
    """Resize `parts` by a vote of the pixels around each pixel, then number the parts by area again."""
    enlarged = np.empty((height, width), np.uint8)
    areas = np.zeros(_MOST + 1, np.int64)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            tile = enlarged[top : top + _TILE, left : left + _TILE]
            _vote(parts, tile, (left, top), (width, height))
            areas += np.bincount(tile.ravel(), minlength=len(areas))
    order = np.argsort(-areas, kind="stable")
    numbers = np.zeros(len(areas), np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return cv2.LUT(enlarged, np.pad(numbers, (0, 256 - len(numbers)))).astype(np.uint8, copy=False)


def _vote(parts: Labels, tile: Labels, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Fill `tile` of a map with the part that is most frequent in `parts` around each pixel.

    corner: x and y of the tile in the map. size: width and height of the map.
    """
    halo = _BLUR // 2 + 1
    scales = [small / large for small, large in zip(parts.shape[::-1], size, strict=True)]
    starts = [max(0, int(at * scale) - halo) for at, scale in zip(corner, scales, strict=True)]
    ends = [
        int((at + side) * scale) + halo + 1
        for at, side, scale in zip(corner, tile.shape[::-1], scales, strict=True)
    ]
    window = parts[starts[1] : ends[1], starts[0] : ends[0]]
    found = np.flatnonzero(np.bincount(window.ravel()))
    tile[:] = found[0]
    if len(found) == 1:
        return
    # Pixel centres are at halves: 0.5 in the map is 0.5 * scale in `parts`.
    shift = [
        (at + 0.5) * scale - 0.5 - start
        for at, scale, start in zip(corner, scales, starts, strict=True)
    ]
    place = np.array([[scales[0], 0, shift[0]], [0, scales[1], shift[1]]])
    most = np.zeros(tile.shape, np.float32)
    for number in found:
        share = cv2.GaussianBlur((window == number).astype(np.float32), (_BLUR, _BLUR), 0)
        votes = cv2.warpAffine(
            share,
            place,
            tile.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        won = votes > most
        tile[won] = number
        most[won] = votes[won]
