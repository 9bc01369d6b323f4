"""Decodes PNG files with libvips, including files that libpng rejects although they have all rows."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError
from imaging.files.header import Container
from imaging.files.libvips import load_png
from imaging.files.png_writer import SIGNATURE, write_chunk

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel, by colour type."""
_KEY_BYTES = {0: 2, 2: 6}
"""Length of tRNS, by colour type. With a palette it has at most one byte for each colour."""
_PIECE = 1 << 20


def decode_png(found: Container) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the samples of a PNG, height x width x channels: uint8, or uint16 for 16-bit grey (I;16).

    Channels are grey, grey and alpha, RGB, or RGBA; 16-bit colours are reduced to their upper
    8 bits. Raises DamagedPictureError if rows are missing or do not match a checksum.
    """
    try:
        return _load(found.pixel_file(), found)
    except DamagedPictureError:
        return _load(_rewritten(found), found)


def _load(file: bytes | memoryview, found: Container) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the samples of `file`. Raises DamagedPictureError if libpng has skipped a wrong tRNS."""
    stored = load_png(file, keep_16_bits=found.mode == "I;16")
    if (stored.shape[2] in (2, 4)) != found.alpha:
        raise DamagedPictureError("PNG")
    return stored


def _rewritten(found: Container) -> memoryview:
    """Return the file with its rows in new chunks, after PLTE and a tRNS of the right length.

    libpng rejects a file that ends right after the last row, and one in which only the checksum of
    an IDAT chunk is wrong. Raises DamagedPictureError if the rows do not match zlib's checksum. That
    checksum may be missing.
    """
    # Of two chunks of a kind libpng takes the first.
    chunks = {bytes(part[4:8]): part for part in reversed(found.parts)}
    width, height, bits, colour_type = struct.unpack_from(">IIBB", chunks[b"IHDR"], 8)
    file = BytesIO()
    file.write(SIGNATURE + chunks[b"IHDR"] + chunks.get(b"PLTE", b""))
    if b"tRNS" in chunks:
        colours = max(0, len(chunks.get(b"PLTE", b"")) - 12) // 3
        _write_cut(file, chunks[b"tRNS"], _KEY_BYTES.get(colour_type, colours))
    row = -(-width * _CHANNELS[colour_type] * bits // 8)
    # An interlaced file has up to 1.875 times the rows and 7 more, each up to 2 bytes longer.
    for piece in _stored(found, height * (row + 4) + 14):
        write_chunk(file, b"IDAT", piece)
    write_chunk(file, b"IEND", b"")
    return file.getbuffer()


def _stored(found: Container, limit: int) -> Iterator[bytes]:
    """Yield a zlib stream that holds the rows uncompressed, `limit` bytes at most, in pieces.

    Raises DamagedPictureError if they do not match zlib's checksum.
    """
    inflater, deflater = zlib.decompressobj(), zlib.compressobj(0)
    packed = b"".join(_body(part) for part in found.parts if bytes(part[4:8]) == b"IDAT")
    while limit > 0 and not inflater.eof:
        try:
            rows = inflater.decompress(packed, min(limit, _PIECE))
        except zlib.error as error:
            raise DamagedPictureError("PNG") from error
        if not rows:  # the file ends within its rows
            break
        limit -= len(rows)
        packed = inflater.unconsumed_tail
        yield deflater.compress(rows)
    yield deflater.flush()


def _body(chunk: memoryview) -> memoryview:
    """Return the body of a chunk; a shorter one if the file ends within it."""
    (length,) = struct.unpack_from(">I", chunk)
    return chunk[8 : 8 + length]


def _write_cut(file: BytesIO, chunk: memoryview, length: int) -> None:
    """Write a chunk, cut to `length` with a new checksum if it is longer."""
    body = _body(chunk)
    if len(body) > length:
        write_chunk(file, bytes(chunk[4:8]), bytes(body[:length]))
    else:
        file.write(chunk)
