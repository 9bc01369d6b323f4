"""Stand-ins for models: exact, quick and telling, so that the server's own behaviour is what is tested."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from models.base import (
    Alpha,
    Face,
    FaceAnalysis,
    Inpainting,
    Labels,
    Mask,
    Matting,
    Moderation,
    NothingToCopy,
    Rgb,
    Segmentation,
    SuperResolution,
)


class EllipseMatting:
    """Takes a centred ellipse for the subject."""

    def matte(self, rgb: Rgb) -> Alpha:
        """Give 1 within the ellipse and 0 outside."""
        height, width = rgb.shape[:2]
        y, x = np.ogrid[:height, :width]
        inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.09
        matte: Alpha = inside.astype(np.float32)
        return matte


class MeanInpainting:
    """Fills with the mean colour of what is left."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Give `rgb` with its hole in one colour."""
        source = ~hole if avoid is None else ~(hole | avoid)
        if not source.any():
            raise NothingToCopy
        filled = rgb.copy()
        filled[hole] = rgb[source].mean(axis=0).astype(np.uint8)
        return filled


class PlainResolution:
    """Enlarges by interpolation."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Give `rgb` enlarged."""
        size = (rgb.shape[1] * factor, rgb.shape[0] * factor)
        return cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


class BandSegmentation:
    """Takes a picture apart into three bands."""

    def segment(self, rgb: Rgb) -> Labels:
        """Give 1, 2 and 3 from top to bottom, the first the largest."""
        rows = np.minimum(np.arange(rgb.shape[0]) * 5 // rgb.shape[0], 4)
        bands = np.array([1, 1, 2, 2, 3], np.uint8)[rows]
        return np.ascontiguousarray(np.broadcast_to(bands[:, None], rgb.shape[:2]))


class NoFaces:
    """Finds nobody."""

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Give no face."""
        return []


class RedModeration:
    """Takes offence at red."""

    def score(self, rgb: Rgb) -> dict[str, float]:
        """Give how red the picture is, 0..1."""
        red, green, blue = rgb.reshape(-1, 3).mean(axis=0) / 255
        return {"nsfw": float(np.clip(red - max(green, blue), 0, 1))}


class FakeModels:
    """Lends the stand-ins; counts what was lent, so that a test can tell that no work began."""

    def __init__(self) -> None:
        self.lent = 0

    @contextmanager
    def matting(self) -> Iterator[Matting]:
        """Lend the ellipse."""
        self.lent += 1
        yield EllipseMatting()

    @contextmanager
    def inpainting(self) -> Iterator[Inpainting]:
        """Lend the mean colour."""
        self.lent += 1
        yield MeanInpainting()

    @contextmanager
    def super_resolution(self) -> Iterator[SuperResolution]:
        """Lend the interpolation."""
        self.lent += 1
        yield PlainResolution()

    @contextmanager
    def segmentation(self) -> Iterator[Segmentation]:
        """Lend the bands."""
        self.lent += 1
        yield BandSegmentation()

    @contextmanager
    def face_analysis(self) -> Iterator[FaceAnalysis]:
        """Lend what finds nobody."""
        self.lent += 1
        yield NoFaces()

    @contextmanager
    def moderation(self) -> Iterator[Moderation]:
        """Lend what takes offence at red; no work, so it is not counted."""
        yield RedModeration()

    def warm_up(self) -> None:
        """Have nothing to load."""
