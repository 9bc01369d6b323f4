"""Refining a coarse matte: its edges follow the picture's own colours at full size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.base import Alpha, Rgb

Float = NDArray[np.float32]

_WORK_SIDE = 512
"""Longest side, in pixels, at which the matting equations are solved."""
_SURE = 0.03
_FULL, _EMPTY = 0.97, 0.03
_TILE = 64


def refine(rgb: Rgb, coarse: Float) -> Alpha:
    """Carry a coarse matte of any size to the size of `rgb`, following hair and edges.

    Where the coarse matte is sure, it stands; between, alpha solves the matting equations of the
    guided filter's linear colour model (He, Sun, Tang 2010, "Fast matting using large kernel
    matting Laplacian matrices") at a longest side of about 512. The model's coefficients, not the
    alpha, are then enlarged and applied to the full picture (He, Sun 2015, "Fast guided filter").
    """
    height, width = rgb.shape[:2]
    step = -(-max(height, width) // _WORK_SIDE)
    block = min(step, height), min(step, width)
    guide = _block_means(rgb, block)
    rough, sure = _constraints(coarse, guide.shape[0], guide.shape[1])
    work = _Guide(guide, radius=4, eps=1e-5).solve(rough, weight=10 * sure + 0.02, steps=5)
    return _apply(_Guide(guide, radius=2, eps=1e-4).model(work), work, rgb, block)


def shrink(rgb: Rgb, width: int, height: int) -> Rgb:
    """Give `rgb` at width x height: averaged where it shrinks, interpolated where it grows."""
    area = rgb.shape[1] >= width and rgb.shape[0] >= height
    how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)


class _Guide:
    """A colour picture as guide: alpha is taken as linear in its colours within each window."""

    def __init__(self, picture: Float, radius: int, eps: float) -> None:
        self._size = (2 * radius + 1, 2 * radius + 1)
        self._planes = [np.ascontiguousarray(picture[..., c]) for c in range(3)]
        self._means = [self._mean(plane) for plane in self._planes]
        self._inverse = self._inverse_covariance(eps)

    def model(self, alpha: Float) -> list[Float]:
        """Fit `alpha` in every window; give slope R, G, B and offset averaged at every pixel."""
        offset = self._mean(alpha)
        r, g, b = (
            self._mean(plane * alpha) - mean * offset
            for plane, mean in zip(self._planes, self._means, strict=True)
        )
        slopes = [x * r + y * g + z * b for x, y, z in self._inverse]
        for slope, mean in zip(slopes, self._means, strict=True):
            offset -= slope * mean
        return [self._mean(slope) for slope in slopes] + [self._mean(offset)]

    def solve(self, rough: Float, weight: Float, steps: int) -> Float:
        """Give the alpha that fits the colours and, as far as `weight` says, `rough`.

        Conjugate gradients with a diagonal preconditioner; the filter is I minus the Laplacian.
        """
        alpha = rough.copy()
        rest = weight * rough - self._system(alpha, weight)
        scale = 1 / (1 + weight)
        pushed = scale * rest
        way = pushed.copy()
        energy = _dot(rest, pushed)
        for _ in range(steps):
            if energy <= 1e-9 * rough.size:
                break
            image = self._system(way, weight)
            length = energy / _dot(way, image)
            alpha += length * way
            rest -= length * image
            pushed = scale * rest
            previous, energy = energy, _dot(rest, pushed)
            way *= energy / previous
            way += pushed
        return np.clip(alpha, 0, 1)

    def _system(self, alpha: Float, weight: Float) -> Float:
        *slopes, smooth = self.model(alpha)
        for slope, plane in zip(slopes, self._planes, strict=True):
            smooth += slope * plane
        return (1 + weight) * alpha - smooth

    def _mean(self, plane: Float) -> Float:
        # Half-sample reflection keeps the matrix symmetric, which conjugate gradients need.
        mean = cv2.boxFilter(plane, -1, self._size, borderType=cv2.BORDER_REFLECT)
        return np.asarray(mean, np.float32)

    def _inverse_covariance(self, eps: float) -> list[list[Float]]:
        # In float64: the determinant of nearly collinear colours vanishes in float32.
        def covariance(i: int, j: int) -> NDArray[np.float64]:
            joint = self._mean(self._planes[i] * self._planes[j])
            return (joint - self._means[i] * self._means[j] + eps * (i == j)).astype(np.float64)

        rr, rg, rb = covariance(0, 0), covariance(0, 1), covariance(0, 2)
        gg, gb, bb = covariance(1, 1), covariance(1, 2), covariance(2, 2)
        a, b, c = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        d, e, f = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        determinant = rr * a + rg * b + rb * c
        rows = (a, b, c), (b, d, e), (c, e, f)
        return [[(x / determinant).astype(np.float32) for x in row] for row in rows]


def _constraints(coarse: Float, height: int, width: int) -> tuple[Float, Float]:
    """Give the coarse matte at height x width, and how sure it is there (0..1).

    Doubt inside a subject is not transparency: a smoothstep draws it towards 0 and 1. At edges the
    picture's colours decide anyway.
    """
    coarse = coarse * coarse * (3 - 2 * coarse)
    near = np.ones((3, 3), np.uint8)
    sure = (cv2.erode(coarse, near) > 1 - _SURE) | (cv2.dilate(coarse, near) < _SURE)
    size = (width, height)
    trust = np.asarray(cv2.resize(sure.astype(np.float32), size), np.float32)
    rough = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(np.where(trust > 0.5, np.rint(rough), rough), 0, 1), trust


def _apply(model: list[Float], work: Float, rgb: Rgb, block: tuple[int, int]) -> Alpha:
    """Apply the model to the full picture, tile by tile, and only where alpha is in between."""
    down, across = block
    padded = cv2.copyMakeBorder(cv2.merge(model), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    alpha = np.empty(rgb.shape[:2], np.float32)
    for y in range(0, work.shape[0], _TILE):
        for x in range(0, work.shape[1], _TILE):
            out = alpha[y * down : (y + _TILE) * down, x * across : (x + _TILE) * across]
            around = work[max(0, y - 5) : y + _TILE + 5, max(0, x - 5) : x + _TILE + 5]
            if around.max() < _EMPTY or around.min() > _FULL:
                out[:] = around.flat[0] > 0.5
                continue
            part = padded[y : y + _TILE + 2, x : x + _TILE + 2]
            size = (part.shape[1] * across, part.shape[0] * down)
            large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
            large = large[down:, across:][: out.shape[0], : out.shape[1]]
            tile = rgb[y * down : (y + _TILE) * down, x * across : (x + _TILE) * across]
            fit = large[..., 3] - np.float32(_EMPTY)
            for c in range(3):
                fit += large[..., c] * tile[..., c] * np.float32(1 / 255)
            np.clip(fit / np.float32(_FULL - _EMPTY), 0, 1, out=out)
    return alpha


def _block_means(rgb: Rgb, block: tuple[int, int]) -> Float:
    """Average blocks of `block` rows and columns to 0..1; a broken last one repeats its neighbour.

    Whole blocks make every tile of the result match its tile of the picture exactly.
    """
    rows, columns = rgb.shape[0] // block[0], rgb.shape[1] // block[1]
    small = shrink(rgb[: rows * block[0], : columns * block[1]], columns, rows)
    rest = [(0, int(side % size > 0)) for side, size in zip(rgb.shape[:2], block, strict=True)]
    return np.pad(small, [*rest, (0, 0)], mode="edge").astype(np.float32) / np.float32(255)


def _dot(a: Float, b: Float) -> float:
    return float(np.dot(a.ravel(), b.ravel()))
