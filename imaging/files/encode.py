"""Writes pictures as JPEG, PNG and WebP files."""

from io import BytesIO

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from imaging.files.header import Format
from imaging.files.png_writer import encode_png
from imaging.picture import Picture

MAX_SIDE: dict[Format, int] = {"JPEG": 65500, "PNG": 2**31 - 1, "WEBP": 16383}
"""The longest side in pixels that a format can hold (libjpeg, PNG, libwebp)."""

_QUALITY = 95


def encode(picture: Picture, format: Format) -> bytes:
    """Return a picture as a file without metadata.

    PNG is lossless. JPEG has quality 95 without chroma subsampling. WEBP is lossless with alpha, and
    has quality 95 without. Raises ValueError for JPEG with alpha and for a side over MAX_SIDE.
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
    return bytes(simplejpeg.encode_jpeg(rgb, _QUALITY, "RGB", "444", fastdct=False))


def _encode_webp(picture: Picture) -> bytes:
    """Return a WebP: lossless with alpha, quality 95 without."""
    out = BytesIO()
    if picture.alpha is None:
        Image.fromarray(picture.rgb).save(out, "WEBP", quality=_QUALITY, method=0)
    else:
        rgba = np.dstack([picture.rgb, picture.alpha])
        # `exact` keeps the colour under transparent pixels.
        Image.fromarray(rgba).save(out, "WEBP", lossless=True, exact=True, quality=0, method=0)
    return out.getvalue()
