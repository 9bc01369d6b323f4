"""Pre- and postprocessing of the large matting networks, the same for every runtime."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.guided_matting import refine
from imaging.picture import Matte, Rgb
from imaging.resize import resize

_DEEP, _LEAST_DEEP = 0.025, 8
"""What lies this deep inside the subject is opaque: a share of the matte's side, and in its pixels."""
Float = NDArray[np.float32]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class MattingInput:
    """The input format of a matting network: a square picture, normalised per channel.

    side: of the square, in pixels. mean, std: for R, G and B in 0..1. The defaults are ImageNet's,
    which BiRefNet (Zheng et al. 2024, "Bilateral Reference for High-Resolution Dichotomous Image
    Segmentation") and RMBG-2.0 were trained with.
    """

    side: int = 1024
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    def tensor(self, rgb: Rgb) -> Float:
        """Return `rgb` as a normalised tensor, 1 x 3 x side x side, float32.

        The picture is squeezed to the square by Pillow's bilinear filter: that is `Resize` in the
        transform that the model cards of ZhengPeng7/BiRefNet and briaai/RMBG-2.0 give.
        """
        squeezed = Image.fromarray(rgb).resize((self.side,) * 2, Image.Resampling.BILINEAR)
        small = np.asarray(squeezed, np.float32) / np.float32(255)
        normal = (small - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def read_input(folder: Path, side: int | None = None) -> MattingInput:
    """Return the input format from a repository's `preprocessor_config.json`, or the defaults without one.

    side: overrides the value in the file.
    """
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text()) if file.is_file() else {}
    default = MattingInput()
    size = config.get("size", default.side)
    return MattingInput(
        side or (size["height"] if isinstance(size, dict) else size),
        tuple(config.get("image_mean", default.mean)),
        tuple(config.get("image_std", default.std)),
    )


def opaque_deep_inside(matte: Float) -> Float:
    """Return a square matte (float32, 0..1) that is opaque deep inside the subject.

    An uncertain network is no proof of transparency. What is above 0.5 and far from all that is not
    becomes opaque, gradually from 1.25 to 2.5 % of the side: gentler than `imaging.solid_interior`,
    which is for a small network that is unsure of whole subjects. The frame counts as inside: a
    subject that leaves the picture does not become soft there. A matte without background stays.
    """
    subject = matte > 0.5
    if subject.all():
        return matte
    deep = np.float32(max(_LEAST_DEEP, _DEEP * matte.shape[0]))
    depth = cv2.distanceTransform(subject.view(np.uint8), cv2.DIST_L2, 5)
    solid = (2 * np.asarray(depth, np.float32) / deep - 1).clip(0, 1)
    return np.asarray(np.maximum(matte, solid), np.float32)


def to_full_size(rgb: Rgb, matte: Float) -> Matte:
    """Resize a square matte (float32, 0..1) to the size of `rgb`, uint8, 0..255, with refined edges."""
    height, width = rgb.shape[:2]
    if max(height, width) <= matte.shape[0]:
        small = resize(matte, (width, height))
        return np.asarray(np.rint(255 * small.clip(0, 1)), np.uint8)
    return refine(rgb, matte)
