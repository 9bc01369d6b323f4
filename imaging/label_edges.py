"""Label maps at a larger size: their edges are found again in the picture, or made smooth."""

import cv2
import numpy as np

from imaging.picture import Labels, Rgb
from imaging.resize import Size, resize_labels

_DOUBT = 2  # coarse pixels on each side of an edge that are assigned again at the fine size
_MOSTLY_EDGE = 0.2  # least share of a part that must be away from edges: with less it is a seam
_TILE = 512
_BLUR = 5  # side, in pixels of the smaller map, of the square that votes on a pixel


def sharpen_edges(rgb: Rgb, parts: Labels) -> Labels:
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


def enlarge_labels(parts: Labels, size: Size) -> Labels:
    """Return `parts` at a larger size (width, height), by a vote of the pixels around each pixel."""
    enlarged = np.empty((size[1], size[0]), np.uint8)
    for top in range(0, size[1], _TILE):
        for left in range(0, size[0], _TILE):
            _vote(parts, enlarged[top : top + _TILE, left : left + _TILE], (left, top), size)
    return enlarged


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
