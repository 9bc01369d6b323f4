"""Picture files of hostile callers: tiny files of huge pictures, damaged and contradictory ones, odd kinds."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers.requests import encode, noise

Make = Callable[[], bytes]
SIZE = 24, 16
"""Width and height of the pictures that are odd but small."""
_PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG. checksum: instead of the right one."""
    right = zlib.crc32(kind + body)
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", right if checksum is None else checksum)
    )


def png(
    width: int,
    height: int,
    bits: int = 8,
    kind: int = 2,
    rows: bytes | None = None,
    *,
    before: bytes = b"",
    after: bytes = b"",
    interlaced: int = 0,
    packed: bytes | None = None,
) -> bytes:
    """Return a PNG. rows: its data before compression, by default zeros; packed: instead of compressed rows."""
    if rows is None:
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
        rows = bytes((1 + -(-width * channels * bits // 8)) * height)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    data = zlib.compress(rows, 9) if packed is None else packed
    parts = (chunk(b"IHDR", header), before, chunk(b"IDAT", data), after, chunk(b"IEND", b""))
    return _PNG + b"".join(parts)


def png_of(pixels: int) -> bytes:
    """Return a PNG of zeros, one bit each, about square, with about so many pixels: 1/8000 byte for each."""
    side = int(pixels**0.5)
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-side // 8))
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, 1, 0, b"", packed=packed)


def webp_of(width: int, height: int) -> bytes:
    """Return a lossless WebP of one colour: 38 bytes, whatever its size (each side up to 16384).

    Its five prefix codes have one symbol each, so that no pixel takes a bit (RFC 9649, 3.7.2.1.1).
    """
    if not 1 <= width <= 16384 >= height >= 1:
        raise ValueError("a side of 1 to 16384")
    bits = _Bits()
    for value, count in ((0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3)):
        bits.put(value, count)
    bits.put(0, 1)  # no transform
    bits.put(0, 1)  # no colour cache
    bits.put(0, 1)  # one group of codes
    for symbol in (200, 10, 30, 255):  # green, red, blue, alpha
        bits.put(1, 1)  # a simple code
        bits.put(0, 1)  # of one symbol
        bits.put(1, 1)  # of eight bits
        bits.put(symbol, 8)
    for value in (1, 0, 0, 0):  # distance: one symbol of one bit, 0
        bits.put(value, 1)
    return riff((b"VP8L", bits.bytes()))


class _Bits:
    """Bits in the order of WebP: the lowest first."""

    def __init__(self) -> None:
        self._value = self._count = 0

    def put(self, value: int, count: int) -> None:
        """Append the lowest bits of a value."""
        self._value |= value << self._count
        self._count += count

    def bytes(self) -> bytes:
        """Return them, with zeros at the end."""
        return self._value.to_bytes(-(-self._count // 8), "little")


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    """Return a WebP of chunks. size: instead of the right one."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """Return the chunk of an extended WebP with a canvas; flags: 2 animation, 8 EXIF, 16 alpha, 32 ICC."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes((flags, 0, 0, 0)) + size


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg(mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """Return a JPEG of noise."""
    image = Image.fromarray(noise(*size)).convert(mode)
    return encode(image, "JPEG", **options)


def with_segments(file: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with segments after its first marker."""
    return file[:2] + b"".join(segments) + file[2:]


def frame_at(file: bytes) -> int:
    """Return where the frame header of a JPEG begins."""
    return next(
        at for at in (file.find(bytes((0xFF, code))) for code in (0xC0, 0xC1, 0xC2)) if at > 0
    )


def with_size(file: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose frame header tells another size."""
    at = frame_at(file) + 5
    return file[:at] + struct.pack(">HH", height, width) + file[at + 4 :]


def with_scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated."""
    file = jpeg(size=(64, 64), progressive=True)
    last = file.rfind(b"\xff\xda")
    return file[:-2] + file[last:-2] * count + b"\xff\xd9"


def exif(*entries: tuple[int, int, int, int], at: int = 8, count: int | None = None) -> bytes:
    """Return an EXIF block. entries: tag, type, count and value; at: where it says that its directory is."""
    told = len(entries) if count is None else count
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", at, told) + body + bytes(4)


def profile(space: bytes = b"RGB ", tags: int = 0, filler: int = 0) -> bytes:
    """Return the header of an ICC profile and a count of tags that need not exist."""
    body = (
        struct.pack(">I", tags) + b"A2B0" + struct.pack(">II", 140, 2**31) + b"mft2" + bytes(filler)
    )
    header = struct.pack(">I", 128 + len(body)) + b"lcms\x04\x20\0\0mntr" + space + b"Lab "
    header = header.ljust(36, b"\0") + b"acsp"
    return header.ljust(128, b"\0") + body


def lut_profile(grid: int) -> bytes:
    """Return a CMYK profile with a table of grid^4 entries that is not there."""
    lut = b"mft2" + bytes(4) + bytes((4, 3, grid, 0)) + bytes(36) + struct.pack(">HH", 4096, 4096)
    body = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    header = struct.pack(">I", 128 + len(body)) + b"lcms\x02\x40\0\0prtrCMYKLab "
    header = header.ljust(36, b"\0") + b"acsp"
    return header.ljust(128, b"\0") + body


def icc_segments(data: bytes) -> list[bytes]:
    """Return a profile as segments of a JPEG."""
    pieces = [data[at : at + 65_000] for at in range(0, len(data), 65_000)]
    heads = (
        b"ICC_PROFILE\0" + bytes((number, len(pieces))) for number in range(1, len(pieces) + 1)
    )
    return [segment(0xE2, head + piece) for head, piece in zip(heads, pieces, strict=True)]


def iccp(data: bytes) -> bytes:
    """Return the chunk of a PNG with a profile."""
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(data, 9))


def animation(format: str, sizes: tuple[tuple[int, int], ...] = (SIZE, SIZE, SIZE)) -> bytes:
    """Return an animation of frames of noise."""
    frames = [Image.fromarray(np.roll(noise(*size), index, 1)) for index, size in enumerate(sizes)]
    return encode(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def _picture(mode: str, format: str, **options: Any) -> bytes:
    pixels = noise(*SIZE)
    if mode == "I;16":
        grey = pixels[..., 0].astype(np.uint16) * 257
        return encode(Image.fromarray(grey), format)
    image = Image.fromarray(pixels).convert("RGB")
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(noise(*SIZE)[..., 0]))
    return encode(image.convert(mode), format, **options)


def _ycck() -> bytes:
    """Return a JPEG of four channels whose Adobe segment says that they are YCCK."""
    file = jpeg("CMYK")
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")
    at = file.find(b"\xff\xee")
    if at < 0:
        return with_segments(file, adobe)
    return file[:at] + adobe + file[at + 2 + struct.unpack_from(">H", file, at + 2)[0] :]


def _corrupt(file: bytes, kind: bytes) -> bytes:
    """Return a PNG whose chunk of a kind has a wrong checksum."""
    at = file.find(kind) - 4
    (length,) = struct.unpack_from(">I", file, at)
    end = at + 8 + length
    return file[:end] + bytes(b ^ 0xFF for b in file[end : end + 4]) + file[end + 4 :]


def _texts(count: int) -> bytes:
    return b"".join(chunk(b"tEXt", b"a\0b") for _ in range(count))


def _bomb(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def _palette(colours: int, clear: int, index: int) -> bytes:
    """Return a PNG with a palette. clear: entries in tRNS; index: that every pixel has."""
    before = chunk(b"PLTE", bytes(3 * colours)) + chunk(b"tRNS", bytes(clear))
    width, height = SIZE
    rows = (b"\0" + bytes((index,)) * width) * height
    return png(width, height, 8, 3, rows, before=before)


PHOTO = partial(jpeg, "RGB", (64, 48))

REFUSED: Mapping[str, Make] = {
    "no byte": lambda: b"",
    "one byte": lambda: b"\xff",
    "text": lambda: b"hello",
    "SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "GIF": lambda: _picture("P", "GIF"),
    "TIFF": lambda: _picture("RGB", "TIFF"),
    "BMP": lambda: _picture("RGB", "BMP"),
    "AVIF": lambda: b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(100),
    "JPEG 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "PNG of 2 billion x 1": lambda: png(2**31 - 1, 1, rows=b""),
    "PNG of 4 billion x 4 billion": lambda: png(2**32 - 1, 2**32 - 1, rows=b""),
    "PNG of 60 million x 1": lambda: png(60_000_000, 1, rows=b""),
    "PNG without width": lambda: png(0, 16, rows=b""),
    "PNG without height": lambda: png(16, 0, rows=b""),
    "PNG of 3 bits": lambda: png(16, 16, 3, 0, bytes(100)),
    "PNG of colour type 5": lambda: png(16, 16, 8, 5, bytes(1000)),
    "PNG without rows": lambda: png(16, 16, packed=b""),
    "PNG with text for rows": lambda: png(16, 16, packed=b"text"),
    "PNG with half of its rows": lambda: png(16, 16, rows=bytes(49 * 8)),
    "PNG without IDAT": lambda: _PNG + png(16, 16)[8:33] + chunk(b"IEND", b""),
    "PNG with IDAT first": lambda: _PNG + chunk(b"IDAT", b"") + png(16, 16)[8:],
    "PNG with two headers": lambda: png(16, 16, before=png(16, 16)[8:33]),
    "PNG with a wrong checksum in its header": lambda: _corrupt(png(16, 16), b"IHDR"),
    "PNG with a chunk of 4 GB": lambda: png(16, 16)[:33] + b"\xff\xff\xff\xffIDAT" + bytes(50),
    "PNG cut in its header": lambda: png(16, 16)[:20],
    "PNG with 60,000 texts": lambda: png(16, 16, before=_texts(60_000)),
    "PNG without its palette": lambda: png(16, 16, 8, 3),
    "PNG with an empty palette": lambda: _palette(0, 0, 0),
    "APNG": lambda: animation("PNG"),
    "APNG of 4 billion frames": lambda: png(
        16, 16, before=chunk(b"acTL", struct.pack(">II", 2**32 - 1, 0))
    ),
    "JPEG of its first bytes": lambda: b"\xff\xd8\xff",
    "JPEG of fill bytes": lambda: b"\xff\xd8" + b"\xff" * 200_000,
    "JPEG of endless segments": lambda: b"\xff\xd8" + segment(0xFE, b"") * 60_000,
    "JPEG without width": lambda: with_size(PHOTO(), 0, 48),
    "JPEG without height": lambda: with_size(PHOTO(), 64, 0),
    "JPEG of 65,535 x 65,535": lambda: with_size(PHOTO(), 65_535, 65_535),
    "JPEG without scans": lambda: PHOTO()[: PHOTO().find(b"\xff\xda")] + b"\xff\xd9",
    "JPEG of 1,000 scans": lambda: with_scans(1000),
    "JPEG of 255 components": lambda: PHOTO().replace(
        PHOTO()[frame_at(PHOTO()) + 9 : frame_at(PHOTO()) + 10], b"\xff", 1
    ),
    "JPEG cut in half": lambda: PHOTO()[: len(PHOTO()) // 2],
    "JPEG cut in half, with an end": lambda: PHOTO()[: len(PHOTO()) // 2] + b"\xff\xd9",
    "lossless JPEG": lambda: PHOTO().replace(b"\xff\xc0", b"\xff\xc3", 1),
    "hierarchical JPEG": lambda: PHOTO().replace(b"\xff\xc0", b"\xff\xc5", 1),
    "WebP of its first bytes": lambda: b"RIFF\x04\0\0\0WEBP",
    "WebP of 16 million x 16 million": lambda: riff(
        vp8x(2**24, 2**24), (b"VP8L", b"\x2f" + bytes(9))
    ),
    "WebP without pixels": lambda: riff(vp8x(16, 16)),
    "WebP with a canvas that is not its picture": lambda: riff(
        vp8x(16, 16), (b"VP8L", webp_of(900, 900)[20:])
    ),
    "WebP without width": lambda: riff((b"VP8 ", b"\x30\x01\0\x9d\x01\x2a\0\0\x10\0" + bytes(40))),
    "WebP cut in half": lambda: _picture("RGB", "WEBP")[: len(_picture("RGB", "WEBP")) // 2],
    "WebP of noise": lambda: riff((b"VP8L", b"\x2f\x17\xc0\x03\0" + bytes(range(256)))),
    "WebP with 60,000 chunks": lambda: riff(*[(b"abcd", b"")] * 60_000, (b"VP8L", b"\x2f" * 9)),
    "WebP with a wrong length": lambda: riff((b"VP8L", webp_of(*SIZE)[20:]), size=2**32 - 1),
    "animated WebP": lambda: animation("WEBP"),
    "animated WebP of huge frames": lambda: riff(
        vp8x(16, 16, 2),
        (b"ANIM", bytes(6)),
        *[(b"ANMF", bytes(6) + b"\xff\xff\xff" * 2 + bytes(4) + webp_of(16384, 4096)[12:])] * 3,
    ),
}
"""By name: files that no route accepts as a picture, whatever it is for."""

ODD: Mapping[str, Make] = {
    "1 x 1": lambda: png(1, 1),
    "1 x 1 WebP": lambda: webp_of(1, 1),
    "1 x 3,000": lambda: png(1, 3000),
    "3,000 x 1": lambda: png(3000, 1),
    "JPEG of 1 x 1,500": lambda: jpeg(size=(1, 1500)),
    "WebP of 2,000 x 1": lambda: webp_of(2000, 1),
    "CMYK": lambda: jpeg("CMYK"),
    "YCCK": _ycck,
    "CMYK without Adobe's segment": lambda: jpeg("CMYK").replace(b"Adobe", b"Adobo"),
    "grey JPEG": lambda: jpeg("L"),
    "progressive JPEG": lambda: jpeg(progressive=True),
    "JPEG with restart markers": lambda: jpeg(restart_marker_blocks=1),
    "JPEG of quality 1": lambda: jpeg(quality=1),
    "JPEG with 80 scans more": lambda: with_scans(80),
    "16-bit grey": lambda: _picture("I;16", "PNG"),
    "16-bit RGB": lambda: png(*SIZE, 16, 2),
    "16-bit RGBA": lambda: png(*SIZE, 16, 6),
    "16-bit grey and alpha": lambda: png(*SIZE, 16, 4),
    "one bit": lambda: _picture("1", "PNG"),
    "grey and alpha": lambda: _picture("LA", "PNG"),
    "RGBA": lambda: _picture("RGBA", "PNG"),
    "RGBA in lossy WebP": lambda: _picture("RGBA", "WEBP"),
    "RGBA in lossless WebP": lambda: _picture("RGBA", "WEBP", lossless=True),
    "all clear": lambda: png(*SIZE, 8, 6),
    "interlaced": lambda: png(8, 8, 8, 2, bytes(25 * 15), interlaced=1),
    "palette": lambda: _picture("P", "PNG"),
    "palette with transparency": lambda: _palette(4, 4, 1),
    "palette with too long transparency": lambda: _palette(4, 200, 1),
    "palette with indices outside": lambda: _palette(4, 4, 200),
    "colour key": lambda: png(*SIZE, before=chunk(b"tRNS", bytes(6))),
    "PNG with a wrong checksum in its rows": lambda: _corrupt(png(*SIZE), b"IDAT"),
    "PNG with a wrong checksum in a text": lambda: _corrupt(png(*SIZE, before=_texts(1)), b"tEXt"),
    "PNG with 64 MB of rows too many": lambda: png(*SIZE, rows=bytes(2**26)),
    "PNG with 64 MB of text": lambda: png(*SIZE, before=chunk(b"zTXt", b"x\0\0" + _bomb(2**26))),
    "PNG with 64 MB of international text": lambda: png(
        *SIZE, before=chunk(b"iTXt", b"x\0\1\0\0\0" + _bomb(2**26))
    ),
    "PNG with 64 MB of profile": lambda: png(*SIZE, before=iccp(bytes(2**26))),
    "PNG with a profile of 4 billion tags": lambda: png(
        *SIZE, before=iccp(profile(tags=2**32 - 1))
    ),
    "PNG with a damaged zlib stream of a profile": lambda: png(
        *SIZE, before=chunk(b"iCCP", b"x\0\0abc")
    ),
    "PNG with 20,000 texts": lambda: png(*SIZE, before=_texts(20_000)),
    "PNG with senseless colours": lambda: png(
        *SIZE,
        before=chunk(b"gAMA", bytes(4))
        + chunk(b"cHRM", b"\xff" * 32)
        + chunk(b"cICP", b"\xff" * 4),
    ),
    "JPEG with a profile for CMYK": lambda: with_segments(jpeg(), *icc_segments(profile(b"CMYK"))),
    "JPEG with a profile of 4 billion tags": lambda: with_segments(
        jpeg(), *icc_segments(profile(tags=2**32 - 1))
    ),
    "JPEG with a profile of 255 pieces": lambda: with_segments(
        jpeg(), *[segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + b"x") for n in range(1, 256)]
    ),
    "CMYK with a table of 255^4 that is not there": lambda: with_segments(
        jpeg("CMYK"), *icc_segments(lut_profile(255))
    ),
    "EXIF orientation of 4 billion": lambda: with_segments(
        jpeg(), segment(0xE1, b"Exif\0\0" + exif((0x112, 4, 1, 2**32 - 1)))
    ),
    "EXIF that is its own directory": lambda: with_segments(
        jpeg(), segment(0xE1, b"Exif\0\0" + exif((0x112, 3, 1, 6), at=0))
    ),
    "EXIF directory at 4 GB": lambda: with_segments(
        jpeg(), segment(0xE1, b"Exif\0\0" + exif((0x112, 3, 1, 6), at=2**32 - 1))
    ),
    "EXIF of 65,535 entries": lambda: with_segments(
        jpeg(), segment(0xE1, b"Exif\0\0" + exif((1, 3, 1, 6), count=65_535))
    ),
    "300 EXIF blocks": lambda: with_segments(
        jpeg(), *[segment(0xE1, b"Exif\0\0" + exif((0x112, 3, 1, 6)))] * 300
    ),
    "turned": lambda: with_segments(jpeg(), segment(0xE1, b"Exif\0\0" + exif((0x112, 3, 1, 6)))),
    "PNG and archive": lambda: png(*SIZE) + b"PK\x03\x04" + bytes(1000),
    "JPEG and page": lambda: with_segments(jpeg(), segment(0xFE, b"<script>alert(1)</script>")),
    "JPEG and PNG": lambda: jpeg() + png(5000, 5000, rows=b""),
    "WebP and sound": lambda: riff((b"VP8L", webp_of(*SIZE)[20:]), (b"fmt ", bytes(16))),
}
"""By name: small files that some routes accept and others refuse; both is right."""


def bombs(pixels: int) -> Iterator[tuple[str, bytes]]:
    """Yield small files of pictures with about so many pixels, up to 2^26, and not more.

    They are decoded, since they are not larger than is accepted; what follows must cost no more than
    for a photograph of that size.
    """
    side = int(pixels**0.5)
    yield "square WebP", webp_of(min(side, 16_384), min(side, 16_384))
    wide = min(16_383, pixels)
    yield "wide WebP", webp_of(wide, max(1, pixels // wide))
    yield "high WebP", webp_of(max(1, pixels // wide), wide)
    yield "PNG of one bit", png_of(pixels)
    longest = min(100_000, pixels)
    yield "wide PNG", png(longest, max(1, pixels // longest), 1, 0)
    yield "high PNG", png(max(1, pixels // longest), longest, 8, 2)


def jpeg_bomb(pixels: int) -> bytes:
    """Return a JPEG of one colour with the longest side, 65,500, and restart markers."""
    stream = io.BytesIO()
    image = Image.new("RGB", (min(65_500, pixels), max(1, pixels // 65_500)), (10, 200, 30))
    image.save(stream, "JPEG", restart_marker_rows=1)
    return stream.getvalue()
