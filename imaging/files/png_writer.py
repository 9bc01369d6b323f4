"""Writes PNG files fast, with deflate from Intel's ISA-L. It is the only PNG writer of the project.

Colour pictures use one filter for all rows. Compared with Pillow at its default level, this is about 20
times as fast and writes about a sixth more bytes. On every photograph, cut-out, text and gradient that we
tried, the filter `Up` gave the smallest file of the five filters, or one within 11 % of it. It is the only
filter that is a single subtraction of whole rows. Masks and maps are not filtered: filters are made for
gradients and double their size.
"""

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from imaging.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Rows = NDArray[np.uint8]
"""Rows of a file: height x (bytes per row)."""

# Rows are filtered and compressed in strips of about this size. A strip stays in the processor's cache,
# and the whole picture is never copied.
_STRIP_BYTES = 1 << 20
_GREY_STRIP_BYTES = 1 << 22
_LEVEL = 1
_GREY, _RGB, _RGBA = 0, 2, 6
"""PNG colour types."""
_NO_FILTER, _UP = 0, 2
"""PNG filter types."""


def encode_png(picture: Picture) -> bytes:
    """Return `picture` as an 8-bit RGB or RGBA PNG (PNG, third edition), without loss.

    It has no colour chunk: readers take such a PNG as sRGB. Besides the file, this needs a few MB of
    memory for a picture of any size.
    """
    channels, colour_type = (3, _RGB) if picture.alpha is None else (4, _RGBA)
    count = max(1, _STRIP_BYTES // (channels * picture.width))
    strips = (_interleave(picture, top, top + count) for top in range(0, picture.height, count))
    return _file(picture.width, picture.height, colour_type, _deflated(_filtered_up(strips)))


def encode_grey_png(values: NDArray[np.uint8], value: int | None = None) -> bytes:
    """Return an array of height x width, uint8, as an 8-bit greyscale PNG, without loss.

    value: write 255 where `values` equals it and 0 elsewhere. This makes the mask of a part without a
    copy of the map. The same arguments give the same bytes.
    """
    height, width = values.shape
    count = max(1, _GREY_STRIP_BYTES // width)
    strips = (values[top : top + count] for top in range(0, height, count))
    if value is not None:
        strips = ((strip == value).view(np.uint8) * np.uint8(255) for strip in strips)
    # Masks compress to a few bytes, so one chunk is enough.
    packed = b"".join(_deflated(_unfiltered(strips)))
    return _file(width, height, _GREY, [packed])


def write_chunk(out: BytesIO, kind: bytes, body: bytes) -> None:
    """Write a chunk: its length, kind, body and checksum."""
    out.write(struct.pack(">I", len(body)))
    out.write(kind)
    out.write(body)
    out.write(struct.pack(">I", isal_zlib.crc32(body, isal_zlib.crc32(kind))))


def _file(width: int, height: int, colour_type: int, stream: Iterable[bytes]) -> bytes:
    """Return an 8-bit PNG with the pieces of its zlib stream, one chunk for each."""
    out = BytesIO()
    out.write(SIGNATURE)
    write_chunk(out, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    for piece in stream:
        if piece:  # the compressor may return nothing for a strip
            write_chunk(out, b"IDAT", piece)
    write_chunk(out, b"IEND", b"")
    return out.getvalue()


def _deflated(strips: Iterable[Rows]) -> Iterator[bytes]:
    """Yield the zlib stream of all strips: one piece for each strip, then the rest."""
    deflater = isal_zlib.compressobj(_LEVEL)
    for strip in strips:
        yield deflater.compress(strip)
    yield deflater.flush()


def _interleave(picture: Picture, top: int, bottom: int) -> Rows:
    """Return rows of samples in the order of the file: rows x (width * channels)."""
    rgb = picture.rgb[top:bottom]
    if picture.alpha is not None:
        rgba = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
        cv2.insertChannel(picture.alpha[top:bottom], rgba, 3)
        return np.asarray(rgba, np.uint8).reshape(rgba.shape[0], -1)
    return rgb.reshape(rgb.shape[0], -1)


def _unfiltered(strips: Iterable[Rows]) -> Iterator[Rows]:
    """Yield each row unchanged, after the filter type."""
    for strip in strips:
        lines = _lines(strip, _NO_FILTER)
        lines[:, 1:] = strip
        yield lines


def _filtered_up(strips: Iterable[Rows]) -> Iterator[Rows]:
    """Yield each row minus the row above, modulo 256. The first row stays as it is."""
    above: Rows | None = None
    for strip in strips:
        lines = _lines(strip, _UP)
        np.subtract(strip[:1], 0 if above is None else above, out=lines[:1, 1:])
        np.subtract(strip[1:], strip[:-1], out=lines[1:, 1:])
        above = strip[-1:]
        yield lines


def _lines(strip: Rows, filter_type: int) -> Rows:
    """Return an array for the rows of a strip. Each row starts with one more byte, the filter type."""
    lines = np.empty((strip.shape[0], strip.shape[1] + 1), np.uint8)
    lines[:, 0] = filter_type
    return lines
