"""The segmentation model of profile `lite`: Felzenszwalb and Huttenlocher's graph segmentation.

It groups pixels of similar colour into parts. It does not know objects: a shirt, its collar and a
shadow on it are three parts, and each piece of a wall that is visible through a chair is a part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from imaging.graph_segmentation import graph_segments
from imaging.label_edges import enlarge_labels, sharpen_edges
from imaging.label_map import MAX_PARTS, by_area
from imaging.picture import Labels, Rgb
from imaging.region_merging import merge_parts
from imaging.resize import resize, within_side
from models.device import DeviceConfig

_COARSE_SIDE = 512  # the merging threshold holds for this size: parts grow with the pixel count
_SCALE = 300  # k of the paper, for colours 0..255: larger gives fewer, larger parts
_SIGMA = 0.8  # the smoothing that the paper uses
_SMALLEST = 0.002  # of the picture's area
_MERGED = (
    0.8  # cost of a merge (`merge_parts`): 0.25 % of the picture that differs by 18 units stays
)
_MOST = 60
_FINE_SIDE = 1024


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
        parts = sharpen_edges(fine, _keep_largest(_group(coarse)))
        # Graph segmentation goes from pixel to pixel: it makes a part of each stripe of a cloth.
        merged = merge_parts(fine, parts.astype(np.int32) - 1, _MERGED, _MOST)
        return by_area(enlarge_labels((merged + 1).astype(np.uint8), (width, height)))


def _group(rgb: Rgb) -> NDArray[np.int32]:
    """Group the pixels of `rgb`. Return height x width numbers, from 0, in no order."""
    smallest = max(1, int(_SMALLEST * rgb.shape[0] * rgb.shape[1]))
    return graph_segments(rgb, _SCALE, _SIGMA, smallest)


def _keep_largest(parts: NDArray[np.int32]) -> Labels:
    """Assign numbers from 1 to the 255 largest parts, the largest first. The other parts become 0."""
    areas = np.bincount(parts.ravel())
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] > 0][:MAX_PARTS]
    numbers = np.zeros(len(areas), np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[parts]
