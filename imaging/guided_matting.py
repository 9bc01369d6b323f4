"""Matte refinement: the edges of a coarse matte follow the picture's colours at full size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Matte, Rgb
from imaging.resize import shrink

Float = NDArray[np.float32]

_WORK_SIDE = 512
"""Longest side, in pixels, at which the matting equations are solved."""
_ROWS = 64
"""Rows that are fitted at once: few enough that their data stays in the processor's cache."""
_SURE = 0.03
"""The coarse matte counts as certain where it is closer than this to 0 or 1."""
_FULL, _EMPTY = 0.97, 0.03
"""An alpha above or below is rounded to 1 or 0."""
_TILE = 192
"""Approximate side, in pixels of the full picture, of the tiles that are processed one by one."""


def refine(rgb: Rgb, coarse: Float) -> Matte:
    """Return a matte at the size of `rgb`. Its edges follow hair and outlines in the picture.

    coarse: height x width of any size, float32, from 0 (background) to 1 (subject). Where it is
    certain, it stays. Elsewhere alpha solves the matting equations of the guided filter's linear
    colour model, at a longest side of about 512 (He, Sun and Tang, "Fast matting using large kernel
    matting Laplacian matrices", CVPR 2010). The model's coefficients, not the alpha, are then
    enlarged and applied to the full picture (He and Sun, "Fast guided filter", 2015).
    """
    height, width = rgb.shape[:2]
    step = -(-max(height, width) // _WORK_SIDE)
    block = min(step, height), min(step, width)
    guide = _block_means(rgb, block)
    rough, sure = _constraints(coarse, guide.shape[0], guide.shape[1])
    work = _Guide(guide, radius=4, eps=1e-5).solve(rough, weight=10 * sure + 0.02, steps=5)
    return _apply(_Guide(guide, radius=2, eps=1e-4).model(work), work, rgb, block)


class _Guide:
    """The guide of a guided filter: in each window of the picture, alpha is a linear function of the colours.

    picture: height x width x 3, float32, 0..1. radius: of the windows, in pixels. eps: added to
    each variance, so that it is never 0.
    """

    def __init__(self, picture: Float, radius: int, eps: float) -> None:
        side = 2 * radius + 1
        self._kernel = np.full(side, 1 / side, np.float32)
        self._planes = [np.ascontiguousarray(picture[..., c]) for c in range(3)]
        self._means = [self._mean(plane) for plane in self._planes]
        self._scratch = np.empty_like(self._planes[0])
        self._factor(eps)

    def model(self, alpha: Float) -> list[Float]:
        """Fit `alpha` in every window.

        Return the slopes for R, G and B and the offset, averaged per pixel.
        """
        fit = [self._mean(np.multiply(plane, alpha, out=self._scratch)) for plane in self._planes]
        fit.append(self._mean(alpha))
        for top in range(0, alpha.shape[0], _ROWS):
            self._fit(slice(top, top + _ROWS), *(plane[top : top + _ROWS] for plane in fit))
        return [self._mean(plane) for plane in fit]

    def solve(self, rough: Float, weight: Float, steps: int) -> Float:
        """Return the alpha, 0..1, that fits the colours and is close to `rough` where `weight` is large.

        The method is conjugate gradients with a diagonal preconditioner. The filter is I minus the
        Laplacian.
        """
        alpha = rough.copy()
        residual = weight * rough - self._system(alpha, weight)
        scale = 1 / (1 + weight)
        preconditioned = scale * residual
        direction = preconditioned.copy()
        energy = _dot(residual, preconditioned)
        for _ in range(steps):
            if energy <= 1e-9 * rough.size:
                break
            image = self._system(direction, weight)
            length = energy / _dot(direction, image)
            alpha += np.multiply(direction, length, out=self._scratch)
            residual -= np.multiply(image, length, out=image)
            np.multiply(scale, residual, out=preconditioned)
            previous, energy = energy, _dot(residual, preconditioned)
            direction *= energy / previous
            direction += preconditioned
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
        # Half-sample reflection keeps the matrix symmetric: conjugate gradients need that.
        mean = cv2.sepFilter2D(plane, -1, self._kernel, self._kernel, borderType=cv2.BORDER_REFLECT)
        return np.asarray(mean, np.float32)

    def _factor(self, eps: float) -> None:
        """Factor each window's covariance matrix into L D L'.

        If the colours are nearly collinear, float32 is exact enough for this, but not for the
        determinant.
        """

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
        """Turn the means of colour times alpha, and of alpha, into slopes and offset, in place.

        The slopes are the covariance of colours and alpha, divided by the covariance of the
        colours.
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
    """Return the coarse matte at height x width, and its certainty there (0..1).

    Uncertainty inside a subject is not transparency: a smoothstep moves it towards 0 and 1. At
    edges the picture's colours decide.
    """
    coarse = coarse * coarse * (3 - 2 * coarse)
    near = np.ones((3, 3), np.uint8)
    sure = (cv2.erode(coarse, near) > 1 - _SURE) | (cv2.dilate(coarse, near) < _SURE)
    size = (width, height)
    trust = np.asarray(cv2.resize(sure.astype(np.float32), size), np.float32)
    rough = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(np.where(trust > 0.5, np.rint(rough), rough), 0, 1), trust


def _apply(model: list[Float], work: Float, rgb: Rgb, block: tuple[int, int]) -> Matte:
    """Apply the model to the full picture, tile by tile, and only where alpha is neither 0 nor 1."""
    down, across = block
    # Values near 0 and 1 become 0 and 1. It is cheaper to do this once, on the coefficients.
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
            cv2.add(fit, blue, dst=out, dtype=cv2.CV_8U)  # rounds, and clips to 0..255
    return matte


def _block_means(rgb: Rgb, block: tuple[int, int]) -> Float:
    """Return the mean of each block of rows x columns, 0..1.

    An incomplete last block repeats its neighbour. With whole blocks, every tile of the result
    matches its tile of the picture exactly.
    """
    rows, columns = rgb.shape[0] // block[0], rgb.shape[1] // block[1]
    small = shrink(rgb[: rows * block[0], : columns * block[1]], columns, rows)
    rest = [(0, int(side % size > 0)) for side, size in zip(rgb.shape[:2], block, strict=True)]
    return np.pad(small, [*rest, (0, 0)], mode="edge").astype(np.float32) / np.float32(255)


def _dot(a: Float, b: Float) -> float:
    """Return the sum of products of two planes."""
    return float(np.dot(a.ravel(), b.ravel()))
