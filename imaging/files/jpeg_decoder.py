"""Decodes JPEG files with libjpeg-turbo, and refuses those that lack some of their pixels.

libjpeg replaces missing data by grey or by a blurred picture, and at most warns. A file without an end mark
can have all its pixels, and a truncated file can have an end mark, so only the data count.
"""

import zlib
from io import BytesIO

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from imaging.errors import DamagedPictureError
from imaging.files.header import Container

OUT_OF_MEMORY = "Insufficient memory"
"""In what libjpeg says if it has no memory; the file is not to blame then."""
_END = b"\xff\xd9"
_PROGRESSIVE = frozenset({0xC2, 0xCA})
"""The markers of progressive frames, coded by Huffman and arithmetically (ITU-T T.81, table B.1)."""
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB})
_ALL_COEFFICIENTS = (1 << 64) - 1
_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""simplejpeg's name for each mode."""
_LOST = ("premature end of data segment", "found marker")
"""What libjpeg says if a scan ends early, and if restart intervals are missing."""
_CORRUPT = ("Corrupt JPEG data",)
# The rest of a file that was not downloaded completely may be zeros, which are valid data. So a file
# without an end mark must have no other fault.


_NOISE = bytes(range(0x80, 0xFF))
_FILLER = b"".join(_NOISE + bytes((0xFF, restart)) for restart in range(0xD0, 0xD8)) + _NOISE
"""From this, a decoder that lacks data decodes something visible. It reads zeros after the end of the data, so
the first bit is one. If it waits for one of the eight restart markers, it finds it."""


def decode_jpeg(found: Container) -> NDArray[np.uint8]:
    """Return the samples of a JPEG: height x width (grey), x 3 (RGB) or x 4 (CMYK, 255 is full ink).

    The end mark may be missing. Raises DamagedPictureError if pixels are missing; OSError, SyntaxError
    or ValueError if there is no picture in the data; MemoryError.
    """
    _require_all_scans(found)
    file = found.pixel_file()
    ended = file.endswith(_END)
    if not ended:
        if _is_arithmetic(found):
            raise DamagedPictureError("JPEG")
        file += _END
    try:
        # Twice as fast as Pillow, with the same libjpeg-turbo and the same pixels.
        decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(file, _COLOURS[found.mode])
    except ValueError as error:  # an irregularity, or a rare kind of subsampling
        if OUT_OF_MEMORY in str(error):
            raise MemoryError("libjpeg ran out of memory") from error
        if any(text in str(error) for text in (_LOST if ended else _CORRUPT)):
            raise DamagedPictureError("JPEG") from error
        return _decode_irregular(file, found)
    if found.mode == "CMYK":
        np.invert(decoded, out=decoded)  # stored as 255 for no ink
    return decoded[..., 0] if found.mode == "L" else decoded


def _require_all_scans(found: Container) -> None:
    """Raise DamagedPictureError if a file ends between two scans, before it has all coefficients.

    A frame may have a scan for each component. A progressive one has several for each: every
    coefficient must have been sent with all of its bits (ITU-T T.81, G.1.1.1).
    """
    (kind, frame), *scans = found.jpeg_headers
    try:
        missing = dict.fromkeys(frame[6 : 6 + 3 * frame[5] : 3], _ALL_COEFFICIENTS)
        for _, scan in scans:
            count = scan[0]
            first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
            sent = _ALL_COEFFICIENTS
            if kind in _PROGRESSIVE:
                # The lower half of `bits` is the number of bits that this scan leaves to later ones.
                sent = 0 if bits & 15 else (2 << last) - (1 << first)
            for name in scan[1 : 1 + 2 * count : 2]:
                missing[name] = missing.get(name, 0) & ~sent
    except (IndexError, ValueError) as error:  # a header that is too short
        raise DamagedPictureError("JPEG") from error
    if any(missing.values()):
        raise DamagedPictureError("JPEG")


def _is_arithmetic(found: Container) -> bool:
    """Whether the data is coded arithmetically. Its decoder reads zeros after the end, without a warning."""
    return found.jpeg_headers[0][0] in _ARITHMETIC


def _decode_irregular(file: bytes, found: Container) -> NDArray[np.uint8]:
    """Return the samples of a file of which libjpeg warns, if it has all its pixels.

    libjpeg reports only the first irregularity, which may hide that the data end early. Then the decoder
    reads on in what follows them, and pixels change. Raises DamagedPictureError.
    """
    if _is_arithmetic(found):
        return _by_pillow(file)
    data = file.removesuffix(_END)
    rest_of_byte = b"\0" if data.endswith(b"\xff") else b""  # 0xFF is stored as 0xFF00
    longer = zlib.crc32(_by_pillow(data + rest_of_byte + _FILLER + _END).data)
    samples = _by_pillow(file)
    if zlib.crc32(samples.data) != longer:
        raise DamagedPictureError("JPEG")
    return samples


def _by_pillow(file: bytes) -> NDArray[np.uint8]:
    """Return the samples of a file, whatever libjpeg warns of."""
    with JpegImagePlugin.JpegImageFile(BytesIO(file)) as image:
        return np.ascontiguousarray(image)
