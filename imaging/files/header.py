"""Reads the headers of JPEG, PNG and WebP files without decoding pixels.

Libraries read these headers too, but they also decompress texts and parse metadata that we do not
need: 4 MB of compressed text cost libvips 13 seconds (decision 0012). This module reads a file marker
by marker (ITU-T T.81, annex B) or chunk by chunk (PNG, third edition; RFC 9649 for WebP). Every count
and length has a bound. The decoders get only the parts that hold the pixels.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from imaging.errors import DamagedPictureError, EmptyPictureError, NotAPictureError
from imaging.files.exif import orientation

Format = Literal["JPEG", "PNG", "WEBP"]
EXTENSIONS: dict[Format, str] = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}

# Real files have hundreds of parts. Many thousands of tiny parts would only cost time.
_MAX_PARTS = 50_000
# A progressive file needs about ten scans. Each scan costs a pass over the whole picture, so a small
# file with thousands of empty scans would use a core for minutes.
_MAX_SCANS = 100
# The largest profiles in use, those of printing presses, have 2 to 3 MB.
_MAX_PROFILE_BYTES = 4 * 1024 * 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_CHUNKS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
"""Their lengths. They must come before the pixels."""
_PNG_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# By colour type: Pillow's mode, and the allowed bit depths.
_PNG_MODES = {
    0: ("L", (1, 2, 4, 8, 16)),
    2: ("RGB", (8, 16)),
    3: ("P", (1, 2, 4, 8)),
    4: ("LA", (8, 16)),
    6: ("RGBA", (8, 16)),
}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
# All markers except 0xFF00 (a data byte in a scan), restart markers (no length) and fill bytes.
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})


@dataclass
class Container:
    """The contents of a file: its header, and the parts that hold its pixels."""

    format: Format
    width: int = 0
    """As stored, before the EXIF orientation is applied. The same holds for the height."""
    height: int = 0
    mode: str = ""
    """Pillow's name for the kind of pixels in the file."""
    alpha: bool = False
    """Some pixels may be transparent."""
    depth: int = 8
    """Bits per sample, 8 or 16."""
    frames: int = 1
    orientation: int = 1
    """EXIF orientation: 1 (upright) to 8."""
    profile: bytes | None = None
    """The embedded ICC profile, not parsed."""
    parts: list[memoryview] = field(default_factory=list)
    """The parts that the decoder needs, in order: no profile, no EXIF, no text."""
    jpeg_headers: list[tuple[int, memoryview]] = field(default_factory=list)
    """Marker and body of the frame and of each scan of a JPEG: which data the file should hold."""
    png_colours: dict[bytes, bytes] = field(default_factory=dict)
    """The bodies of the chunks of a PNG that tell its colours, besides the profile."""

    def pixel_file(self) -> bytes:
        """Return a file with only the parts that hold the pixels."""
        return b"".join(self.parts)


@dataclass(frozen=True)
class Probe:
    """The contents of the header of a picture file."""

    format: Format
    width: int
    """Of the upright picture, after the EXIF orientation is applied. The same holds for the height."""
    height: int
    mode: str
    """Pillow's name for the pixels in the file: 1, L, LA, I;16, P, RGB, RGBA, CMYK."""
    animated: bool
    """The file has more than one frame; the previews in a phone's JPEG do not count."""
    alpha: bool
    """Some pixels may be transparent."""
    scans: int = 1
    """How many times the decoder passes over the pixels: a progressive JPEG has about ten scans."""
    depth: int = 8
    """Bits per sample in the file, 16 at most; less than 8 counts as 8."""


def probe(data: bytes) -> Probe:
    """Return the header of a picture file; its first bytes decide the format. No pixel is decoded.

    Raises EmptyPictureError, NotAPictureError or DamagedPictureError.
    """
    found = read_container(data)
    width, height = found.width, found.height
    if found.orientation >= 5:  # these turn the picture by 90 degrees
        width, height = height, width
    scans = max(1, len(found.jpeg_headers) - 1)
    animated = found.frames > 1
    return Probe(found.format, width, height, found.mode, animated, found.alpha, scans, found.depth)


def read_container(data: bytes) -> Container:
    """Return the header and the pixel parts of a file; its first bytes decide the format.

    Raises EmptyPictureError, NotAPictureError or DamagedPictureError. It does not notice pixels that
    are truncated or corrupt.
    """
    if not data:
        raise EmptyPictureError
    view = memoryview(data)
    try:
        if data.startswith(b"\xff\xd8\xff"):
            found = _read_jpeg(view)
        elif data.startswith(_PNG_SIGNATURE):
            found = _read_png(view)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            found = _read_webp(view)
        else:
            raise NotAPictureError
    except (struct.error, IndexError):  # the file ends within a field of a header
        raise DamagedPictureError(_format_of(data)) from None
    if not (found.width and found.height and found.mode and found.parts):
        raise DamagedPictureError(found.format)
    return found


def _format_of(data: bytes) -> Format:
    """Return the format that a file's first byte claims."""
    return "JPEG" if data[0] == 0xFF else "WEBP" if data[:1] == b"R" else "PNG"


def _read_jpeg(data: memoryview) -> Container:
    """Read the markers up to the end of the image. What follows (previews, video) is left out."""
    found = Container("JPEG")
    profile: dict[int, tuple[int, bytes]] = {}
    parts = [data[:2]]
    first_scan = 0
    end = len(data)
    for marker, at, body in _jpeg_segments(data):
        if marker == 0xD9:
            end = at + 2
            break
        if marker == 0xDA:
            found.jpeg_headers.append((marker, body))
            first_scan = first_scan or at
        elif first_scan:
            continue
        elif 0xC0 <= marker <= 0xCF and marker not in _JPEG_NOT_FRAMES:
            found.height, found.width, channels = struct.unpack_from(">xHHB", body)
            found.mode = _JPEG_MODES.get(channels, "")
            found.jpeg_headers = [(marker, body)]
        elif marker == 0xE1 and bytes(body[:6]) == b"Exif\0\0":
            found.orientation = orientation(body[6:])
        elif marker == 0xE2 and bytes(body[:12]) == b"ICC_PROFILE\0":
            profile[body[12]] = body[13], bytes(body[14:])
        if not first_scan and (marker in (0xE0, 0xEE) or not 0xE0 <= marker <= 0xFE):
            parts.append(data[at : at + 4 + len(body)])
        if len(found.jpeg_headers) > 1 + _MAX_SCANS:
            raise DamagedPictureError("JPEG")
    found.profile = _join_profile(profile)
    found.parts = [*parts, data[first_scan:end]] if first_scan else []
    return found


def _jpeg_segments(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield the code, offset and body of each marker that has a length, and of the end marker."""
    position = 2
    for _ in range(_MAX_PARTS):
        mark = _JPEG_MARKER.search(data, position)
        if mark is None:
            return
        marker, position = mark[1][0], mark.end()
        if marker == 0xD9:
            yield marker, mark.start(), data[:0]
            return
        if marker in (0x01, 0xD8):
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2 or position + length > len(data):
            raise DamagedPictureError("JPEG")
        yield marker, mark.start(), data[position + 2 : position + length]
        position += length
    raise DamagedPictureError("JPEG")


def _join_profile(pieces: dict[int, tuple[int, bytes]]) -> bytes | None:
    """Return the profile that APP2 segments hold in pieces (ICC.1:2022, annex B.4); None if incomplete."""
    joined = b"".join(pieces[number][1] for number in sorted(pieces))
    numbered = list(range(1, len(pieces) + 1))
    whole = sorted(pieces) == numbered and all(n == len(pieces) for n, _ in pieces.values())
    return joined if joined and whole and len(joined) <= _MAX_PROFILE_BYTES else None


def _read_png(data: memoryview) -> Container:
    """Read the chunks of a PNG up to IEND; keep only those that hold its pixels."""
    found = Container("PNG", parts=[data[:8]])
    for kind, body, chunk in _chunks(data, 8, found.format):
        if (len(found.parts) == 1) != (kind == b"IHDR"):
            raise DamagedPictureError("PNG")
        if kind == b"IHDR":
            _read_png_header(body, found)
        elif kind == b"tRNS":
            found.alpha = found.alpha or len(body) > 0
        elif kind == b"acTL":
            (found.frames,) = struct.unpack_from(">I", body)
        elif kind == b"eXIf":
            found.orientation = orientation(body)
        elif kind == b"iCCP":
            found.profile = _inflate_profile(body)
        elif len(body) == _PNG_COLOUR_CHUNKS.get(kind) and bytes(found.parts[-1][4:8]) != b"IDAT":
            found.png_colours.setdefault(kind, bytes(body))
        # Without a palette's indices, PLTE only suggests colours to displays of 256 colours.
        if kind in _PNG_PIXEL_CHUNKS and (kind != b"PLTE" or found.mode == "P"):
            found.parts.append(chunk)
        if kind == b"IEND":
            break
    return found


def _chunks(
    data: memoryview, position: int, format: Format
) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield the kind, the body and all bytes of each chunk of a PNG or WebP. The last may be truncated."""
    for _ in range(_MAX_PARTS):
        if position + 8 > len(data):
            return
        if format == "PNG":
            length, kind = struct.unpack_from(">I4s", data, position)
            end = position + 8 + length + 4  # a checksum follows
        else:
            kind, length = struct.unpack_from("<4sI", data, position)
            end = position + 8 + length + length % 2
        yield kind, data[position + 8 : position + 8 + length], data[position:end]
        position = end
    raise DamagedPictureError(format)


def _read_png_header(body: memoryview, found: Container) -> None:
    """Read size and mode from IHDR; raises DamagedPictureError for values that PNG does not define."""
    found.width, found.height, bits, kind, *methods = struct.unpack(">IIBBBBB", body)
    mode, depths = _PNG_MODES.get(kind, ("", ()))
    if bits not in depths or methods[:2] != [0, 0] or methods[2] > 1:
        raise DamagedPictureError("PNG")
    found.mode = {("L", 1): "1", ("L", 16): "I;16"}.get((mode, bits), mode)
    found.alpha = mode in ("LA", "RGBA")
    found.depth = max(8, bits)


def _inflate_profile(body: memoryview) -> bytes | None:
    """Return the profile in an iCCP chunk: a name, a zero byte, the method 0, a zlib stream."""
    name, _, packed = bytes(body).partition(b"\0")
    try:
        inflater = zlib.decompressobj()
        profile = inflater.decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflater.eof and name else None


def _read_webp(data: memoryview) -> Container:
    """Read the chunks of a WebP; the decoder gets the whole file."""
    found = Container("WEBP", frames=0, parts=[data])
    extended = False
    for kind, body, _ in _chunks(data, 12, found.format):
        if kind == b"VP8X":
            extended = True
            width_low, width_high, height_low, height_high = struct.unpack_from("<HBHB", body, 4)
            found.width = 1 + width_low + (width_high << 16)
            found.height = 1 + height_low + (height_high << 16)
            found.mode = "RGBA" if body[0] & 0x10 else "RGB"
        elif kind in (b"VP8 ", b"VP8L") and not extended:
            _read_webp_frame(kind, body, found)
        elif kind == b"EXIF":
            found.orientation = orientation(body[6:] if bytes(body[:6]) == b"Exif\0\0" else body)
        elif kind == b"ICCP" and len(body) <= _MAX_PROFILE_BYTES:
            found.profile = bytes(body)
        found.frames += kind in (b"VP8 ", b"VP8L", b"ANMF")
    found.alpha = found.mode == "RGBA"
    return found


def _read_webp_frame(kind: bytes, body: memoryview, found: Container) -> None:
    """Read the size from the first bytes of a lossy (RFC 6386, 9.1) or lossless frame."""
    if kind == b"VP8 " and bytes(body[3:6]) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        found.width, found.height, found.mode = width & 0x3FFF, height & 0x3FFF, "RGB"
    elif kind == b"VP8L" and body[0] == 0x2F:
        (packed,) = struct.unpack_from("<I", body, 1)
        found.width, found.height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        found.mode = "RGBA" if packed >> 28 & 1 else "RGB"
