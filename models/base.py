"""The roles that models play, as Protocols with their tensor contracts.

Every array is a NumPy array in C order. Pictures are RGB, never BGR. Masks are True where a picture
is to be edited. Alpha is 1 on the subject and 0 on the background. A backend never changes its
inputs and is safe to call from several threads at once.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""Height x width x 3, 0..255, sRGB."""
Alpha = NDArray[np.float32]
"""Height x width, 0..1."""
Mask = NDArray[np.bool_]
"""Height x width, True where edited."""
Labels = NDArray[np.uint8]
"""Height x width, the number of the part that a pixel belongs to, from 1; 0 for none."""


class Matting(Protocol):
    """Tells the subject of a picture from its background."""

    def matte(self, rgb: Rgb) -> Alpha:
        """Give the subject's opacity at the size of `rgb`, soft at hair and edges."""
        ...


class Inpainting(Protocol):
    """Fills a hole from what surrounds it, without a prompt."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Give `rgb` with plausible texture where `hole` is True.

        Outside the hole the result is `rgb`, bit for bit. No texture is copied from where `avoid`
        is True (the subject, which must not be cloned). The same input gives the same output.

        Raises NothingToCopy when hole and avoid together leave no source pixel.
        """
        ...


class SuperResolution(Protocol):
    """Enlarges a picture."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Give `rgb` at `factor` (2 or 4) times its width and height."""
        ...


class Segmentation(Protocol):
    """Takes a picture apart into objects or parts."""

    def segment(self, rgb: Rgb) -> Labels:
        """Give the parts of `rgb` at its size, numbered from 1, the largest first; 255 at most.

        One map instead of a mask for each part: it cannot overlap, and 255 parts of a large picture
        take one byte a pixel. The numbers in use have no gap. The same input gives the same output.
        """
        ...


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the picture it was found in; what cannot be told is None.

    rect: x, y, width, height of the box around it; it may reach beyond the picture. landmarks: n x 2,
    x and y. age: youngest and oldest likely age in years. gender: "Female" or "Male".
    gender_probability: 0.5..1. score: the detector's confidence, larger is surer. yaw, roll: degrees,
    0 for a face seen from the front, upright.
    """

    rect: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float
    yaw: float
    roll: float
    age: tuple[int, int] | None = None
    gender: Literal["Female", "Male"] | None = None
    gender_probability: float | None = None


class FaceAnalysis(Protocol):
    """Finds faces and tells what can be told of them."""

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Give the faces of `rgb`, largest first."""
        ...


class Moderation(Protocol):
    """Scores what must not be shown."""

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Give a score 0..1 for each category, as `nsfw`; larger is worse."""
        ...


class NothingToCopy(Exception):  # noqa: N818 - a state of the picture, not a program error
    """The hole leaves no pixel to take texture from."""


class Models(Protocol):
    """Lends the model of each role; a lent model is never evicted.

    >>> with models.matting() as matting:
    ...     alpha = matting.matte(rgb)
    """

    def matting(self) -> AbstractContextManager[Matting]:
        """Lend the matting model."""
        ...

    def inpainting(self) -> AbstractContextManager[Inpainting]:
        """Lend the prompt-free inpainting model."""
        ...

    def super_resolution(self) -> AbstractContextManager[SuperResolution]:
        """Lend the super-resolution model."""
        ...

    def segmentation(self) -> AbstractContextManager[Segmentation]:
        """Lend the segmentation model."""
        ...

    def face_analysis(self) -> AbstractContextManager[FaceAnalysis]:
        """Lend the face analysis model."""
        ...

    def moderation(self) -> AbstractContextManager[Moderation]:
        """Lend the moderation model."""
        ...
