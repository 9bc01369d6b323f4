"""A simple, slow implementation of matte refinement, to compare the fast one with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha, Rgb

Double = NDArray[np.float64]


def refine(rgb: Rgb, coarse: NDArray[np.float32]) -> Alpha:
    """Return what `imaging.guided_matting.refine` returns: in float64, whole planes, exact inverses."""
    height, width = rgb.shape[:2]
    step = -(-max(height, width) // 512)
    down, across = min(step, height), min(step, width)
    padded = np.pad(rgb, [(0, -height % down), (0, -width % across), (0, 0)], mode="edge")
    rows, columns = padded.shape[0] // down, padded.shape[1] // across
    blocks = padded.reshape(rows, down, columns, across, 3).mean((1, 3))
    guide = np.rint(blocks) / 255
    rough, weight = _constraints(coarse, rows, columns)
    work = _solved(guide, rough, weight)
    *slopes, offset = _model(guide, work, radius=2, eps=1e-4)
    alpha = _enlarged(offset, down, across)[:height, :width]
    for c, slope in enumerate(slopes):
        alpha += _enlarged(slope, down, across)[:height, :width] * rgb[..., c] / 255
    return ((alpha - 0.03) / 0.94).clip(0, 1).astype(np.float32)


def _constraints(coarse: NDArray[np.float32], rows: int, columns: int) -> tuple[Double, Double]:
    steep = coarse * coarse * (3 - 2 * coarse)
    near = np.ones((3, 3), np.uint8)
    sure = (cv2.erode(steep, near) > 0.97) | (cv2.dilate(steep, near) < 0.03)
    trust = cv2.resize(sure.astype(np.float32), (columns, rows))
    rough = cv2.resize(steep, (columns, rows), interpolation=cv2.INTER_CUBIC)
    rough = np.where(trust > 0.5, np.rint(rough), rough).clip(0, 1)
    return rough.astype(np.float64), 10 * trust.astype(np.float64) + 0.02


def _solved(guide: Double, rough: Double, weight: Double) -> Double:
    def system(alpha: Double) -> Double:
        *slopes, offset = _model(guide, alpha, radius=4, eps=1e-5)
        smooth = offset + sum(slope * guide[..., c] for c, slope in enumerate(slopes))
        return (1 + weight) * alpha - smooth

    alpha, rest = rough.copy(), weight * rough - system(rough)
    way = pushed = rest / (1 + weight)
    for _ in range(5):
        energy = (rest * pushed).sum()
        if energy <= 1e-9 * rough.size:
            break
        image = system(way)
        length = energy / (way * image).sum()
        alpha, rest = alpha + length * way, rest - length * image
        pushed = rest / (1 + weight)
        way = pushed + (rest * pushed).sum() / energy * way
    return alpha.clip(0, 1)


def _model(guide: Double, alpha: Double, radius: int, eps: float) -> list[Double]:
    def mean(plane: Double) -> Double:
        size = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(plane, size, borderType=cv2.BORDER_REFLECT), np.float64)

    colour = mean(guide).reshape(guide.shape)
    product = mean((guide[..., :, None] * guide[..., None, :]).reshape(*alpha.shape, 9))
    spread = product.reshape(*alpha.shape, 3, 3) - colour[..., :, None] * colour[..., None, :]
    joint = mean(guide * alpha[..., None]).reshape(guide.shape) - colour * mean(alpha)[..., None]
    slopes = np.linalg.solve(spread + eps * np.eye(3), joint[..., None])[..., 0]
    offset = mean(alpha) - (slopes * colour).sum(-1)
    return [*(mean(slopes[..., c]) for c in range(3)), mean(offset)]


def _enlarged(plane: Double, down: int, across: int) -> Double:
    framed = np.pad(plane, 1, mode="edge")
    size = (framed.shape[1] * across, framed.shape[0] * down)
    large = cv2.resize(framed, size, interpolation=cv2.INTER_LINEAR)
    return np.array(large[down:, across:], np.float64)
