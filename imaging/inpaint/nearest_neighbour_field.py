"""Nearest-neighbour fields: for every pixel of a hole, the most similar place in the picture.

The search is that of PatchMatch (Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm
for Structural Image Editing", SIGGRAPH 2009). It runs for all pixels of the hole at once.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb

Field = NDArray[np.int32]
"""Height x width x 2: the displacement (rows, columns) from a pixel of the hole to its source."""

_PATCH = 7
_SWEEPS = ((8, 1), (4, 1), (2, 1), (1, 1), (1,), (1,))
"""Distances, in pixels, of the neighbours that each iteration propagates from."""


def descriptors(rgb: Rgb) -> NDArray[np.float32]:
    """Return each pixel's 7x7 patch as 16 numbers: low DCT terms in opponent colours.

    rgb: height x width x 3. The basis is orthonormal, so a distance between descriptors is the
    distance between the patches without their finest detail.
    """
    at = np.arange(_PATCH)
    dct = np.cos(np.pi * (2 * at[None] + 1) * at[:, None] / (2 * _PATCH)) * np.sqrt(2 / _PATCH)
    dct[0] /= np.sqrt(2)
    basis = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    planes = cv2.split(cv2.transform(rgb.astype(np.float32), basis))
    terms = [
        cv2.sepFilter2D(plane, cv2.CV_32F, dct[u], dct[v], borderType=cv2.BORDER_REFLECT)
        for plane, order in zip(planes, (3, 1, 1), strict=True)
        for v in range(order + 1)
        for u in range(order + 1 - v)
    ]
    return np.stack(terms, axis=-1)


def nearest_neighbour_field(coarse: Rgb, source: Mask, hole: Mask) -> Field:
    """Return, for each pixel of `hole`, the displacement to the pixel of `source` that looks most similar.

    Pixels are compared by the patch around them. hole, source: height x width, True inside. The
    result is 0 outside the hole.
    """
    search = _Search(coarse, source, hole)
    for steps in _SWEEPS:
        search.propagate(steps)
        search.explore()
    search.propagate((1, 1))
    return search.field()


class _Search:
    """The state of one PatchMatch search for all pixels of the hole.

    Every pixel starts with a random source. The seed is fixed.
    """

    def __init__(self, coarse: Rgb, source: Mask, hole: Mask) -> None:
        self.height, self.width = hole.shape
        inner = cv2.erode(source.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        self.allowed = inner if inner.any() else source
        self.features = descriptors(coarse)
        self.y, self.x = (axis.astype(np.int32) for axis in np.nonzero(hole))
        self.wanted = self.features[self.y, self.x]
        self.hole_pixels = np.arange(len(self.y))
        self.index = np.full((self.height, self.width), -1, np.int32)
        self.index[self.y, self.x] = self.hole_pixels
        self.random = np.random.default_rng(0)
        start_y, start_x = (axis.astype(np.int32) for axis in np.nonzero(self.allowed))
        start = self.random.integers(0, len(start_y), len(self.y))
        self.source_y, self.source_x = start_y[start], start_x[start]
        self.cost = self._distance(self.hole_pixels, self.source_y, self.source_x)

    def propagate(self, steps: tuple[int, ...]) -> None:
        """Try each pixel with the displacements of its neighbours."""
        for step in steps:
            for dy, dx in ((-step, 0), (step, 0), (0, -step), (0, step)):
                y, x = self.y + dy, self.x + dx
                inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
                pixels = self.hole_pixels[inside]
                neighbours = self.index[y[inside], x[inside]]
                pixels, neighbours = pixels[neighbours >= 0], neighbours[neighbours >= 0]
                source_y = self.source_y[neighbours] - dy
                source_x = self.source_x[neighbours] - dx
                self._try_sources(pixels, source_y, source_x, 1.0)

    def explore(self) -> None:
        """Try each pixel with random sources around its own, in smaller and smaller windows.

        A new source must be clearly better: displacements that neighbours share copy whole
        structures.
        """
        radius = max(self.height, self.width) // 2
        while radius >= 1:
            y, x = self.random.integers(-radius, radius + 1, (2, len(self.y)), dtype=np.int32)
            self._try_sources(self.hole_pixels, self.source_y + y, self.source_x + x, 0.9)
            radius //= 3

    def field(self) -> Field:
        """Return the displacements that were found."""
        field = np.zeros((self.height, self.width, 2), np.int32)
        field[self.y, self.x, 0] = self.source_y - self.y
        field[self.y, self.x, 1] = self.source_x - self.x
        return field

    def _distance(
        self, pixels: NDArray[np.int64], y: NDArray[np.int32], x: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the squared descriptor distance between pixels of the hole (by index) and sources."""
        difference = self.wanted[pixels] - self.features[y, x]
        distance: NDArray[np.float32] = np.einsum("ij,ij->i", difference, difference)
        return distance

    def _try_sources(
        self, pixels: NDArray[np.int64], y: NDArray[np.int32], x: NDArray[np.int32], factor: float
    ) -> None:
        """Set a new source for pixels of the hole (by index) if its cost is under `factor` times the old cost."""
        new = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        new &= (y != self.source_y[pixels]) | (x != self.source_x[pixels])
        pixels, y, x = pixels[new], y[new], x[new]
        allowed = self.allowed[y, x]
        pixels, y, x = pixels[allowed], y[allowed], x[allowed]
        cost = self._distance(pixels, y, x)
        better = cost < self.cost[pixels] * factor
        pixels = pixels[better]
        self.source_y[pixels], self.source_x[pixels] = y[better], x[better]
        self.cost[pixels] = cost[better]
