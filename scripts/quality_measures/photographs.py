"""Photographs by name, and the two halves: rules are tuned on one and reported on the other."""

import hashlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from imaging.picture import Matte, Rgb

Half = Literal["tune", "report"]
HALVES: tuple[Half, ...] = ("report", "tune")
_LONGEST = 1024
_LEAST_HIDDEN = 0.02
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def half_of(name: str) -> Half:
    """Return the half of a photograph: "tune" if the first byte of its name's SHA-256 is even."""
    return "report" if hashlib.sha256(name.encode()).digest()[0] % 2 else "tune"


class Photographs:
    """The photographs of a folder."""

    def __init__(self, folder: Path) -> None:
        """Take a folder; raises NotADirectoryError if it is none."""
        if not folder.is_dir():
            raise NotADirectoryError(folder)
        self.names = sorted(
            file.name for file in folder.iterdir() if file.suffix.lower() in SUFFIXES
        )
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def alpha(self, name: str) -> Matte | None:
        """Return the alpha of a photograph that is cut out: at least a fiftieth of it is transparent."""
        with Image.open(self._folder / name) as image:
            if "A" not in image.getbands():
                return None
            alpha = np.asarray(image.getchannel("A"))
        return alpha if (alpha < 128).mean() >= _LEAST_HIDDEN else None

    def read(self, name: str) -> Rgb:
        """Return a photograph as RGB; transparent pixels stand on white."""
        with Image.open(self._folder / name) as image:
            if "A" not in image.getbands() and "transparency" not in image.info:
                return np.asarray(image.convert("RGB"))
            ground = Image.new("RGBA", image.size, "white")
            return np.asarray(Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB"))


def limited(rgb: Rgb) -> tuple[Rgb, float]:
    """Return a photograph whose longer side has at most 1024 pixels, and its scale."""
    scale = min(1.0, _LONGEST / max(rgb.shape))
    if scale == 1:
        return rgb, scale
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8), scale
