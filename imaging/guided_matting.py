"""Refining a coarse matte: its edges follow the picture's own colours at full size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Matte, Rgb
from imaging.resize import shrink

Float = NDArray[np.float32]

_WORK_SIDE = 512
"""Longest side, in pixels, at which the matting equations are solved."""
_ROWS = 64
"""Rows that are fitted at once: what is read and written meanwhile stays in the processor's cache."""
_SURE = 0.03
_FULL, _EMPTY = 0.97, 0.03
_TILE = 192
"""About the side, in pixels of the full picture, of what is worked on at once."""


def refine(rgb: Rgb, coarse: Float) -> Matte:
    """Carry a coarse matte (0..1) of any size to the size of `rgb`, following hair and edges.

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


class _Guide:
    """A colour picture as guide: alpha is taken as linear in its colours within each window."""

    def __init__(self, picture: Float, radius: int, eps: float) -> None:
        """Prepare a guide, height x width x 3, 0..1, for windows of `radius`; eps: the least variance."""
        side = 2 * radius + 1
        self._kernel = np.full(side, 1 / side, np.float32)
        self._planes = [np.ascontiguousarray(picture[..., c]) for c in range(3)]
        self._means = [self._mean(plane) for plane in self._planes]
        self._scratch = np.empty_like(self._planes[0])
        self._factor(eps)

    def model(self, alpha: Float) -> list[Float]:
        """Fit `alpha` in every window; give slope R, G, B and offset averaged at every pixel."""
        fit = [self._mean(np.multiply(plane, alpha, out=self._scratch)) for plane in self._planes]
        fit.append(self._mean(alpha))
        for top in range(0, alpha.shape[0], _ROWS):
            self._fit(slice(top, top + _ROWS), *(plane[top : top + _ROWS] for plane in fit))
        return [self._mean(plane) for plane in fit]

    def solve(self, rough: Float, weight: Float, steps: int) -> Float:
        """Return the alpha that fits the colours and, as far as `weight` says, `rough`.

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
            alpha += np.multiply(way, length, out=self._scratch)
            rest -= np.multiply(image, length, out=image)
            np.multiply(scale, rest, out=pushed)
            previous, energy = energy, _dot(rest, pushed)
            way *= energy / previous
            way += pushed
        return np.clip(alpha, 0, 1, out=alpha)

    def _system(self, alpha: Float, weight: Float) -> Float:
        """Return the left side of the matting equations: the Laplacian and `weight` applied to `alpha`."""
        *slopes, smooth = self.model(alpha)
        for slope, plane in zip(slopes, self._planes, strict=True):
            smooth += np.multiply(slope, plane, out=slope)
        result = weight * alpha
        result += alpha
        result -= smooth
        return result

    def _mean(self, plane: Float) -> Float:
        """Return the mean of each window."""
        # Half-sample reflection keeps the matrix symmetric, which conjugate gradients need.
        mean = cv2.sepFilter2D(plane, -1, self._kernel, self._kernel, borderType=cv2.BORDER_REFLECT)
        return np.asarray(mean, np.float32)

    def _factor(self, eps: float) -> None:
        """Factor each window's covariance into L D L', which float32 bears where colours are nearly
        collinear; it does not bear the determinant."""

        def covariance(i: int, j: int) -> Float:
            joint = self._mean(np.multiply(self._planes[i], self._planes[j], out=self._scratch))
            joint -= np.multiply(self._means[i], self._means[j], out=self._scratch)
            if i == j:
                joint += np.float32(eps)
            return joint

        rr, rg, rb = covariance(0, 0), covariance(0, 1), covariance(0, 2)
        gg, gb, bb = covariance(1, 1), covariance(1, 2), covariance(2, 2)
        r_g, r_b = rg / rr, rb / rr
        gg -= r_g * rg
        gb -= r_g * rb
        g_b = gb / gg
        bb -= r_b * rb
        bb -= g_b * gb
        self._lower = r_g, r_b, g_b
        self._diagonal = 1 / rr, 1 / gg, 1 / bb

    def _fit(self, rows: slice, r: Float, g: Float, b: Float, offset: Float) -> None:
        """Turn means of colour times alpha, and of alpha, into slopes and offset, in place.

        The covariance of colours and alpha is divided by that of the colours.
        """
        scratch = self._scratch[rows]
        means = [mean[rows] for mean in self._means]
        r_g, r_b, g_b = (part[rows] for part in self._lower)
        for slope, mean in zip((r, g, b), means, strict=True):
            slope -= np.multiply(mean, offset, out=scratch)
        g -= np.multiply(r_g, r, out=scratch)
        b -= np.multiply(r_b, r, out=scratch)
        b -= np.multiply(g_b, g, out=scratch)
        for slope, inverse in zip((r, g, b), self._diagonal, strict=True):
            slope *= inverse[rows]
        g -= np.multiply(g_b, b, out=scratch)
        r -= np.multiply(r_g, g, out=scratch)
        r -= np.multiply(r_b, b, out=scratch)
        for slope, mean in zip((r, g, b), means, strict=True):
            offset -= np.multiply(slope, mean, out=scratch)


def _constraints(coarse: Float, height: int, width: int) -> tuple[Float, Float]:
    """Return the coarse matte at height x width, and how sure it is there (0..1).

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


def _apply(model: list[Float], work: Float, rgb: Rgb, block: tuple[int, int]) -> Matte:
    """Apply the model to the full picture, tile by tile, and only where the matte is in between."""
    down, across = block
    # What is nearly nothing becomes nothing, and nearly all all: done once, on the coefficients.
    contrast = np.float32(255 / (_FULL - _EMPTY))
    *slopes, offset = (plane * contrast for plane in model)
    offset -= np.float32(_EMPTY) * contrast
    coefficients = [*(slope * np.float32(1 / 255) for slope in slopes), offset]
    padded = [cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_REPLICATE) for plane in coefficients]
    matte = np.zeros(rgb.shape[:2], np.uint8)
    rows, columns = (max(1, _TILE // side) for side in block)
    for y in range(0, work.shape[0], rows):
        for x in range(0, work.shape[1], columns):
            around = work[max(0, y - 5) : y + rows + 5, max(0, x - 5) : x + columns + 5]
            if around.max() < _EMPTY:
                continue
            tile = slice(y * down, (y + rows) * down), slice(x * across, (x + columns) * across)
            out = matte[tile]
            if around.min() > _FULL:
                out[:] = 255
                continue
            parts = [plane[y : y + rows + 2, x : x + columns + 2] for plane in padded]
            size = (parts[0].shape[1] * across, parts[0].shape[0] * down)
            inner = slice(down, down + out.shape[0]), slice(across, across + out.shape[1])
            *large, base = (
                cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)[inner] for part in parts
            )
            fit = np.asarray(base, np.float32)
            red, green, blue = (
                np.asarray(cv2.multiply(slope, plane, dtype=cv2.CV_32F), np.float32)
                for slope, plane in zip(large, cv2.split(rgb[tile]), strict=True)
            )
            fit += red
            fit += green
            cv2.add(fit, blue, dst=out, dtype=cv2.CV_8U)  # rounded, and held to 0..255
    return matte


def _block_means(rgb: Rgb, block: tuple[int, int]) -> Float:
    """Average blocks of `block` rows and columns to 0..1; a broken last one repeats its neighbour.

    Whole blocks make every tile of the result match its tile of the picture exactly.
    """
    rows, columns = rgb.shape[0] // block[0], rgb.shape[1] // block[1]
    small = shrink(rgb[: rows * block[0], : columns * block[1]], columns, rows)
    rest = [(0, int(side % size > 0)) for side, size in zip(rgb.shape[:2], block, strict=True)]
    return np.pad(small, [*rest, (0, 0)], mode="edge").astype(np.float32) / np.float32(255)


def _dot(a: Float, b: Float) -> float:
    """Return the sum of products of two planes."""
    return float(np.dot(a.ravel(), b.ravel()))
