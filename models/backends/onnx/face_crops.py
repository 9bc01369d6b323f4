"""Upright crops of a face from its landmarks, as the networks for age, gender and expression expect them."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from imaging.resize import resize

_LEAST_SPREAD = 1e-3
_PROBES = 8


class Template(NamedTuple):
    """Where landmarks lie in a crop.

    points: n x 2, x and y. weights: n; how much each landmark decides. side: of the square in which
    the points are given.
    """

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    side: float


DLIB = Template(
    np.array([[0.24, 0.208], [0.76, 0.208], [0.5, 0.54], [0.282, 0.782], [0.718, 0.782]]),
    np.array([1.0, 1.0, 0.5, 0.0, 0.0]),
    1.0,
)
"""The square of dlib's `get_face_chip` without padding, in which its mean face of five other landmarks
lies. The positions are the means of a detector's landmarks in that square, over 43 faces, made
symmetric. The mouth opens, so it does not decide. The corners of a crop differ from dlib's by 5 % of
its side."""
ARCFACE = Template(
    np.array(
        [
            [38.2946, 51.6963],
            [73.5318, 51.5014],
            [56.0252, 71.7366],
            [41.5493, 92.3655],
            [70.7299, 92.2041],
        ]
    ),
    np.ones(5),
    112.0,
)
"""The template of ArcFace, 112 x 112 (https://github.com/deepinsight/insightface)."""


def aligned_crop(
    rgb: Rgb, landmarks: NDArray[np.float32], template: Template, side: int, padding: float = 0.0
) -> Rgb:
    """Return a face moved, turned and scaled so that its landmarks fit a template: side x side x 3.

    It is black outside the picture. padding: margin on each side, as a share of the template's
    square; that of `get_face_chip` is 0.2 or 0.25.
    """
    points = template.points / template.side
    target = (points + padding) / (1 + 2 * padding) * side
    return affine_crop(rgb, similarity(landmarks, target, template.weights), side)


def visible_share(
    rgb: Rgb, landmarks: NDArray[np.float32], template: Template, padding: float
) -> float:
    """Return the share (0..1) of a crop of `aligned_crop` that shows the picture, to about 2 %."""
    places = (np.arange(_PROBES) + 0.5) / _PROBES
    target = (template.points / template.side + padding) / (1 + 2 * padding)
    inverse = cv2.invertAffineTransform(similarity(landmarks, target, template.weights))
    grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
    shown = grid @ inverse[:, :2].T + inverse[:, 2]
    inside = (shown >= 0) & (shown < (rgb.shape[1], rgb.shape[0]))
    return float(inside.all(axis=1).mean())


def similarity(
    source: NDArray[np.float32], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the rotation, scale and translation (2 x 3) that moves points nearest to a target.

    source, target: n x 2. The sum of the squared distances times `weights` is least (Umeyama 1991,
    without reflection).
    """
    shares = (weights / weights.sum())[:, None]
    start, end = (shares * source).sum(axis=0), (shares * target).sum(axis=0)
    a, b = source - start, target - end
    spread = max(float((shares * a * a).sum()), _LEAST_SPREAD)
    cosine = float((shares * a * b).sum()) / spread
    sine = float((shares[:, 0] * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum()) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, end - turn @ start])


def affine_crop(rgb: Rgb, transform: NDArray[np.float64], side: int) -> Rgb:
    """Return side x side x 3 pixels of a picture under a similarity (2 x 3); black outside the picture.

    Where the crop is smaller than what it shows, that part is averaged by area first: warpAffine
    samples only four pixels.
    """
    part, (left, top) = _part(rgb, transform, side)
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ (left, top)
    scale = math.sqrt(abs(float(np.linalg.det(transform[:, :2]))))
    while scale <= 0.5 and min(part.shape[:2]) > 1:
        height, width = part.shape[:2]
        part = resize(part, (width // 2, height // 2))
        ratios = np.array([width / part.shape[1], height / part.shape[0]])
        moved[:, 2] += moved[:, :2] @ (ratios - 1) / 2  # between the centres of the pixels
        moved[:, :2] *= ratios
        scale *= 2
    return cv2.warpAffine(part, moved, (side, side), flags=cv2.INTER_LINEAR).astype(np.uint8)


def _part(rgb: Rgb, transform: NDArray[np.float64], side: int) -> tuple[Rgb, tuple[int, int]]:
    """Return the part of a picture that a crop shows, at least one pixel, and its left and top."""
    height, width = rgb.shape[:2]
    inverse = np.asarray(cv2.invertAffineTransform(transform), np.float64)
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ inverse.T
    low = np.floor(corners.min(axis=0)).clip(-1, (width, height)).astype(int) - 2
    high = np.ceil(corners.max(axis=0)).clip(-1, (width, height)).astype(int) + 2
    left, top = np.minimum(low.clip(0), (width - 1, height - 1)).tolist()
    right, bottom = high.clip(1).tolist()
    return rgb[top : max(bottom, top + 1), left : max(right, left + 1)], (left, top)
