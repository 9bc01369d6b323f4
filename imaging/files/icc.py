"""Converts pixels with any ICC profile, grey and CMYK to sRGB."""

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imaging.picture import Rgb

Samples = NDArray[np.uint8]
"""Height x width (grey), x 3 (RGB) or x 4 (cyan, magenta, yellow, black; 255 is full ink)."""

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# A profile that changes no colour of the ramp by more than this is sRGB under another name, as most
# embedded profiles are. Its pixels stay unchanged. A difference of 2 levels is invisible.
_SAME_WITHIN = 2
_STRIP_PIXELS = 1 << 20
_GREYS = np.arange(256, dtype=np.uint8)[None]
_FLAGS = {
    # Otherwise Little CMS samples a grey curve too coarsely in the shadows. Only 256 levels are converted.
    "L": ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
    "RGB": ImageCms.Flags.BLACKPOINTCOMPENSATION,
    "CMYK": ImageCms.Flags.BLACKPOINTCOMPENSATION,
}


def to_srgb(samples: Samples, profile: bytes | None) -> Rgb:
    """Return `samples` converted from their ICC profile to sRGB. Without one, grey and RGB count as sRGB.

    The intent is relative colorimetric with black point compensation, as browsers and Photoshop
    convert photographs. A profile that is damaged or for another colour space is ignored.
    """
    mode = _MODES[1 if samples.ndim == 2 else samples.shape[2]]
    transform = _transform(profile, mode) if profile else None
    if mode == "RGB" and transform is None:
        return samples
    if mode == "L":
        levels = np.asarray(_convert(_image(_GREYS, mode), transform))[0]
        return np.asarray(
            cv2.LUT(cv2.cvtColor(samples, cv2.COLOR_GRAY2RGB), levels[None]), np.uint8
        )
    result = np.empty((*samples.shape[:2], 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // samples.shape[1])
    for top in range(0, samples.shape[0], rows):
        result[top : top + rows] = _convert(_image(samples[top : top + rows], mode), transform)
    return result


def _image(samples: Samples, mode: str) -> Image.Image:
    """Return samples as Pillow's image; copies them."""
    height, width = samples.shape[:2]
    return Image.frombuffer(mode, (width, height), samples.tobytes(), "raw", mode, 0, 1)


def _convert(image: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """Return an image in sRGB: by a transform, or as Pillow converts its mode."""
    if transform is None:
        return image.convert("RGB")
    return transform.apply(image)


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB; None if it is not usable or changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            _FLAGS[mode],
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        # Not a profile, or one whose colour space is not text, or one that lacks a table.
        return None
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a ramp of greys, primaries and mixtures stays the same."""
    if mode == "CMYK":
        return False
    if mode == "RGB":
        levels = np.linspace(0, 255, 18).astype(np.uint8)
        ramp = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
        expected = ramp
    else:
        ramp = _GREYS
        expected = np.repeat(ramp[..., None], 3, -1)
    moved = np.asarray(transform.apply(_image(ramp, mode))).astype(np.int16)
    return bool(np.abs(moved - expected).max() <= _SAME_WITHIN)
