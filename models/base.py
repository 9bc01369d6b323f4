"""The roles that models play, as Protocols with their tensor contracts.

Every array is a NumPy array in C order. Pictures are RGB, never BGR. Masks are True where a picture
is to be edited. Alpha is 1 on the subject and 0 on the background. A backend never changes its
inputs and is safe to call from several threads at once.
"""

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""Height x width x 3, 0..255, sRGB."""
Alpha = NDArray[np.float32]
"""Height x width, 0..1."""
Mask = NDArray[np.bool_]
"""Height x width, True where edited."""


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


