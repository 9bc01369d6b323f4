"""Writes pictures as JPEG, PNG and WebP files."""

from io import BytesIO
from typing import Any

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from imaging.files.header import Format
from imaging.files.jpeg_decoder import OUT_OF_MEMORY
from imaging.files.png_writer import encode_png
from imaging.picture import Picture

MAX_SIDE: dict[Format, int] = {"JPEG": 65500, "PNG": 2**31 - 1, "WEBP": 16383}
"""The longest side in pixels that a format can hold (libjpeg, PNG, libwebp)."""

_QUALITY = 95
_WEBP_METHODS = (0, 2)
"""Of libwebp: fast, and slower. A WebP has 512 kB for the prediction modes of all its blocks (RFC 6386, 9.3).
Method 0 exceeds that for detailed pictures from some 20 megapixels on; method 2 then takes cheaper modes."""
# Pillow's texts for libwebp's WebPEncodingError (encode.h).
_WEBP_MODES_TOO_LONG = "encoding error 6"
_WEBP_OUT_OF_MEMORY = ("encoding error 1", "encoding error 2")


def encode(picture: Picture, format: Format) -> bytes:
    """Return a picture as a file without metadata.

    PNG is lossless. JPEG has quality 95 without chroma subsampling. WEBP is lossless with alpha, and
    has quality 95 without; above 67 megapixels it may be lossless. Raises ValueError for JPEG with alpha
    and for a side over MAX_SIDE, and MemoryError.
    """
    if max(picture.width, picture.height) > MAX_SIDE[format]:
        raise ValueError(f"a side of a {format} file has at most {MAX_SIDE[format]} pixels")
    if format == "PNG":
        return encode_png(picture)
    if format == "WEBP":
        return _encode_webp(picture)
    if picture.alpha is not None:
        raise ValueError("a JPEG file has no alpha")
    rgb = np.ascontiguousarray(picture.rgb)
    try:
        return bytes(simplejpeg.encode_jpeg(rgb, _QUALITY, "RGB", "444", fastdct=False))
    except ValueError as error:
        if OUT_OF_MEMORY in str(error):
            raise MemoryError("libjpeg ran out of memory") from error
        raise


def _encode_webp(picture: Picture) -> bytes:
    """Return a WebP: lossless with alpha, quality 95 without."""
    if picture.alpha is not None:
        rgba = Image.fromarray(np.dstack([picture.rgb, picture.alpha]))
        # `exact` keeps the colour under transparent pixels.
        return _save_webp(rgba, lossless=True, exact=True, quality=0, method=0)
    image = Image.fromarray(picture.rgb)
    for method in _WEBP_METHODS:
        try:
            return _save_webp(image, quality=_QUALITY, method=method)
        except ValueError as error:
            if str(error) != _WEBP_MODES_TOO_LONG:
                raise
    # So many blocks that not even the cheapest modes fit. A lossless file has no such limit.
    return _save_webp(image, lossless=True, quality=0, method=0)


def _save_webp(image: Image.Image, **options: Any) -> bytes:
    """Return a WebP file; raises MemoryError, and ValueError for libwebp's other errors."""
    out = BytesIO()
    try:
        image.save(out, "WEBP", **options)
    except ValueError as error:
        if str(error) in _WEBP_OUT_OF_MEMORY:
            raise MemoryError("libwebp ran out of memory") from error
        raise
    return out.getvalue()
