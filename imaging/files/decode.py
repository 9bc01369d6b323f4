"""Decodes JPEG, PNG and WebP files to pictures and masks at 8 bits a sample, whatever their kind."""

import struct
from io import BytesIO

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from imaging.errors import DamagedPictureError
from imaging.files.header import Container, read_container
from imaging.files.icc import Samples, to_srgb
from imaging.files.png_decoder import decode_png
from imaging.picture import Alpha8, Picture

# What decoders raise on damaged files. Pillow turns a reader's IndexError, KeyError, TypeError and
# struct.error into SyntaxError while it opens a file and into OSError while it decodes; OSError is
# also its word for truncated and broken streams, ValueError for fields out of range; struct.error
# and EOFError come from chunks after the pixels.
_DECODER_FAULTS = (OSError, SyntaxError, ValueError, struct.error, EOFError, cv2.error)
# Rounds a 16-bit sample to the nearest of 256 levels: white is 65535 = 255 * 257.
_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
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


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 274)."""
    if orientation in _MIRRORED:
        pixels = np.asarray(cv2.flip(pixels, 1), np.uint8)
    if orientation in _TURNS:
        pixels = np.asarray(cv2.rotate(pixels, _TURNS[orientation]), np.uint8)
    return pixels


def _luminance(rgb: Samples) -> NDArray[np.uint8]:
    """Return the grey of RGB, height x width, by ITU-R BT.601, rounded to nearest."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _is_one_stroke(samples: Samples, alpha: Alpha8) -> bool:
    """Whether a mask is painted with one colour on an empty canvas."""
    painted = alpha >= _STROKE_ALPHA
    if painted.all() or not painted.any():
        return False
    colours = samples[painted]
    return bool((np.ptp(colours, axis=0) <= _STROKE_SPREAD).all())


def decode_samples(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Decode a file's pixels as stored, but at 8 bits a sample and without a palette."""
    decoders = {"JPEG": _decode_jpeg, "PNG": _decode_png, "WEBP": _decode_webp}
    try:
        samples, alpha = decoders[found.format](found)
    except _DECODER_FAULTS as fault:
        raise DamagedPictureError(found.format) from fault
    if samples.shape[:2] != (found.height, found.width):
        raise DamagedPictureError(found.format)
    return samples, alpha


def _decode_jpeg(found: Container) -> tuple[Samples, None]:
    """Decode a JPEG's grey, RGB or CMYK samples; it has no alpha."""
    file = found.pixel_file()
    if found.mode != "CMYK":
        try:
            # Twice as fast as Pillow, the same libjpeg-turbo and the same pixels.
            decoded = simplejpeg.decode_jpeg(file, "GRAY" if found.mode == "L" else "RGB")
            return decoded[..., 0] if found.mode == "L" else decoded, None
        except ValueError:
            pass  # it refuses on any warning; Pillow tells harmless ones from lost pixels
    with JpegImagePlugin.JpegImageFile(BytesIO(file)) as image:
        return np.asarray(image), None


def _decode_png(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Decode a PNG of any kind; a colour key and a palette's transparency become alpha."""
    stored = decode_png(found)
    samples = (
        _TO_8_BITS[stored] if stored.dtype == np.uint16 else stored.astype(np.uint8, copy=False)
    )
    return _split_alpha(samples[..., 0] if samples.shape[2] == 1 else samples)


def _decode_webp(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Decode a WebP, the first frame of an animation."""
    file = np.frombuffer(found.pixel_file(), np.uint8)
    decoded = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise DamagedPictureError("WEBP")
    if decoded.shape[2] == 3:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), None
    return _split_alpha(np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA), np.uint8))


def _split_alpha(samples: Samples) -> tuple[Samples, Alpha8 | None]:
    """Part the last channel of grey or RGB with alpha from the others."""
    if samples.ndim == 2 or samples.shape[2] == 3:
        return samples, None
    alpha = cv2.extractChannel(samples, samples.shape[2] - 1)
    colour = samples[..., 0] if samples.shape[2] == 2 else cv2.cvtColor(samples, cv2.COLOR_RGBA2RGB)
    return np.ascontiguousarray(colour, np.uint8), np.asarray(alpha, np.uint8)
