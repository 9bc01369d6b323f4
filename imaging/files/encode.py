"""Turns the bytes of JPEG, PNG and WebP files into pictures, and pictures into such bytes."""

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from imaging.files.decode import decode_samples
from imaging.files.header import (
    DamagedPictureError,
    EmptyPictureError,
    Format,
    NotAPictureError,
    PictureError,
    read_container,
)
from imaging.files.icc import Samples, to_srgb
from imaging.files.png_writer import encode_png
from imaging.picture import Alpha8, Picture

__all__ = [
    "CONTENT_TYPES",
    "EXTENSIONS",
    "DamagedPictureError",
    "EmptyPictureError",
    "Format",
    "NotAPictureError",
    "PictureError",
    "Probe",
    "decode",
    "decode_mask",
    "encode",
    "probe",
]

CONTENT_TYPES: dict[Format, str] = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXTENSIONS: dict[Format, str] = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
MAX_SIDE: dict[Format, int] = {"JPEG": 65500, "PNG": 2**31 - 1, "WEBP": 16383}
"""The longest side in pixels that a format can hold (libjpeg, PNG, libwebp)."""

_QUALITY = 95
# An opaque enough pixel keeps its colour through a canvas, which stores it multiplied by alpha.
_STROKE_ALPHA = 128
_STROKE_SPREAD = 4
# EXIF orientations: mirrored ones are first mirrored back left to right, then all turned.
_MIRRORED = frozenset({2, 4, 5, 7})
_TURNS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_COUNTERCLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True)
class Probe:
    """What the header of a picture file says."""

    format: Format
    width: int
    """Of the picture held upright, as the EXIF orientation asks; likewise the height."""
    height: int
    mode: str
    """Pillow's name for the pixels in the file: 1, L, LA, I;16, P, RGB, RGBA, CMYK."""
    animated: bool
    """The file has more than one frame; the previews of a phone's JPEG are none."""
    alpha: bool
    """Some pixels may be transparent."""


def probe(data: bytes) -> Probe:
    """Read the header of a picture file, told by its bytes, without decoding a pixel.

    Raises EmptyPictureError, NotAPictureError or DamagedPictureError.
    """
    found = read_container(data)
    width, height = found.width, found.height
    if found.orientation >= 5:  # these turn the picture by 90 degrees
        width, height = height, width
    alpha = found.mode in ("LA", "RGBA") or found.transparency is not None
    return Probe(found.format, width, height, found.mode, found.frames > 1, alpha)


def decode(data: bytes) -> Picture:
    """Decode a picture file: upright, sRGB, 8 bits a sample; of an animation the first frame.

    An embedded ICC profile is converted to sRGB, inks and greys become RGB, a colour key becomes
    alpha. The caller has checked the size with `probe`: this takes 3 to 8 bytes a pixel.
    Raises EmptyPictureError, NotAPictureError or DamagedPictureError.
    """
    found = read_container(data)
    samples, alpha = decode_samples(found)
    rgb = _upright(to_srgb(samples, found.profile), found.orientation)
    return Picture(rgb, None if alpha is None else _upright(alpha, found.orientation))


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Decode a mask to greys: height x width, 255 where it asks for an edit, 0 where not.

    Colours count by their luminance (ITU-R BT.601), transparent pixels as black. Where everything
    visible has one colour, the strokes of a brush on an empty canvas, alpha is the mask and the
    colour means nothing. Raises EmptyPictureError, NotAPictureError or DamagedPictureError.
    """
    found = read_container(data)
    samples, alpha = decode_samples(found)
    # Profiles are left out: a mask's numbers are no colours.
    grey = samples if samples.ndim == 2 else _luminance(to_srgb(samples, None))
    if alpha is not None and not _is_one_stroke(samples, alpha):
        grey = np.asarray(cv2.multiply(grey, alpha, scale=1 / 255), np.uint8)
    elif alpha is not None:
        grey = alpha
    return _upright(grey, found.orientation)


def encode(picture: Picture, format: Format) -> bytes:
    """Encode a picture without any metadata.

    PNG keeps every pixel; JPEG has quality 95 without chroma subsampling; WEBP keeps every pixel of
    a picture with alpha and has quality 95 else. Raises ValueError for JPEG with alpha and for a
    side over MAX_SIDE.
    """
    if max(picture.width, picture.height) > MAX_SIDE[format]:
        raise ValueError(f"a {format} file holds at most {MAX_SIDE[format]} pixels a side")
    if format == "PNG":
        return encode_png(picture)
    if format == "WEBP":
        return _encode_webp(picture)
    if picture.alpha is not None:
        raise ValueError("a JPEG file holds no alpha")
    rgb = np.ascontiguousarray(picture.rgb)
    return bytes(simplejpeg.encode_jpeg(rgb, _QUALITY, "RGB", "444", fastdct=False))


def _encode_webp(picture: Picture) -> bytes:
    out = BytesIO()
    if picture.alpha is None:
        Image.fromarray(picture.rgb).save(out, "WEBP", quality=_QUALITY, method=0)
    else:
        rgba = np.dstack([picture.rgb, picture.alpha])
        # `exact` keeps the colour under transparent pixels.
        Image.fromarray(rgba).save(out, "WEBP", lossless=True, exact=True, quality=0, method=0)
    return out.getvalue()


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 274)."""
    if orientation in _MIRRORED:
        pixels = np.asarray(cv2.flip(pixels, 1), np.uint8)
    if orientation in _TURNS:
        pixels = np.asarray(cv2.rotate(pixels, _TURNS[orientation]), np.uint8)
    return pixels


def _luminance(rgb: Samples) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _is_one_stroke(samples: Samples, alpha: Alpha8) -> bool:
    """Tell whether a mask is painted with one colour on an empty canvas."""
    painted = alpha >= _STROKE_ALPHA
    if painted.all() or not painted.any():
        return False
    colours = samples[painted]
    return bool((np.ptp(colours, axis=0) <= _STROKE_SPREAD).all())
