"""Decodes all kinds of JPEG, PNG and WebP files to pictures with 8 bits per sample."""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError
from imaging.files.header import Container, read_container
from imaging.files.icc import Samples, to_srgb
from imaging.files.jpeg_decoder import decode_jpeg
from imaging.files.png_colour import profile_of
from imaging.files.png_decoder import decode_png
from imaging.picture import Alpha8, Picture

# What decoders raise on damaged files. In Pillow, a reader's IndexError, KeyError, TypeError and
# struct.error become SyntaxError while it opens a file, and OSError while it decodes. It also raises
# OSError for truncated and corrupt streams, and ValueError for fields out of range. struct.error and
# EOFError come from chunks after the pixels.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, struct.error, EOFError, cv2.error)
# It prints about damaged files, but the caller handles those. They do not belong in the log.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# Rounds a 16-bit sample to the nearest of 256 levels: white is 65535 = 255 * 257.
_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
# EXIF orientations. Mirrored ones are first flipped left to right; then all are rotated.
_MIRRORED = frozenset({2, 4, 5, 7})
_ROTATIONS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_COUNTERCLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def decode(data: bytes) -> Picture:
    """Return the picture in a file: upright, sRGB, 8 bits per sample, the first frame of an animation.

    Colours are converted to sRGB from an embedded ICC profile or by the colour chunks of a PNG. CMYK and
    grey become RGB, a colour key becomes alpha. Check the size with `probe` first: decoding takes 3 to 8
    bytes per pixel.
    Raises EmptyPictureError, NotAPictureError or DamagedPictureError; MemoryError if the system has
    no memory or no thread left.
    """
    found = read_container(data)
    samples, alpha = decode_samples(found)
    profile = profile_of(found) if found.format == "PNG" else found.profile
    rgb = upright(to_srgb(samples, profile), found.orientation)
    return Picture(rgb, None if alpha is None else upright(alpha, found.orientation))


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return pixels turned upright by their EXIF orientation (CIPA DC-008, tag 274)."""
    if orientation in _MIRRORED:
        pixels = np.asarray(cv2.flip(pixels, 1), np.uint8)
    if orientation in _ROTATIONS:
        pixels = np.asarray(cv2.rotate(pixels, _ROTATIONS[orientation]), np.uint8)
    return pixels


def decode_samples(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Return a file's pixels as stored, but with 8 bits per sample and without a palette.

    Raises DamagedPictureError.
    """
    decoders = {"JPEG": _decode_jpeg, "PNG": _decode_png, "WEBP": _decode_webp}
    try:
        samples, alpha = decoders[found.format](found)
    except _DECODER_ERRORS as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            raise MemoryError("OpenCV ran out of memory") from error
        raise DamagedPictureError(found.format) from error
    if samples.shape[:2] != (found.height, found.width):
        raise DamagedPictureError(found.format)
    return samples, alpha


def _decode_jpeg(found: Container) -> tuple[Samples, None]:
    """Return the grey, RGB or CMYK samples of a JPEG. It has no alpha."""
    return decode_jpeg(found), None


def _decode_png(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Return the samples and alpha of a PNG. A colour key and a palette's transparency become alpha."""
    stored = decode_png(found)
    samples = (
        _TO_8_BITS[stored] if stored.dtype == np.uint16 else stored.astype(np.uint8, copy=False)
    )
    return _split_alpha(samples[..., 0] if samples.shape[2] == 1 else samples)


def _decode_webp(found: Container) -> tuple[Samples, Alpha8 | None]:
    """Return the samples and alpha of a WebP, or of the first frame of an animation."""
    file = np.frombuffer(found.pixel_file(), np.uint8)
    decoded = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise DamagedPictureError("WEBP")
    if decoded.shape[2] == 3:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), None
    return _split_alpha(np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA), np.uint8))


def _split_alpha(samples: Samples) -> tuple[Samples, Alpha8 | None]:
    """Return the colour and the alpha of samples; alpha is None if they have none."""
    if samples.ndim == 2 or samples.shape[2] == 3:
        return samples, None
    alpha = cv2.extractChannel(samples, samples.shape[2] - 1)
    colour = samples[..., 0] if samples.shape[2] == 2 else cv2.cvtColor(samples, cv2.COLOR_RGBA2RGB)
    return np.ascontiguousarray(colour, np.uint8), np.asarray(alpha, np.uint8)
