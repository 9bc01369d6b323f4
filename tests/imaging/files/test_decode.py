"""Decoding files: all pixel formats and orientations, damaged files."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imaging.errors import DamagedPictureError, PictureError
from imaging.files.decode import decode
from imaging.files.header import Format, probe
from imaging.picture import Picture
from tests.helpers.places import PHOTOS

RNG = np.random.default_rng(17)
PIXELS = RNG.integers(0, 256, (30, 40, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (30, 40), np.uint8)
PHOTO = Image.fromarray(PIXELS)
CUTOUT = Image.fromarray(np.dstack([PIXELS, ALPHA]))
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "WEBP")


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def by_pillow(data: bytes, mode: str = "RGB") -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))


def stacked(picture: Picture) -> NDArray[np.uint8]:
    assert picture.alpha is not None
    return np.dstack([picture.rgb, picture.alpha])


def png(depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes], width: int) -> bytes:
    """Return a PNG of any kind with the given filtered rows."""
    height = 1
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_a_photograph_is_decoded_exactly_as_by_pillow(name: str) -> None:
    data = (PHOTOS / f"{name}.jpg").read_bytes()
    picture = decode(data)
    assert picture.alpha is None
    assert np.array_equal(picture.rgb, by_pillow(data))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_any_jpeg_is_decoded_as_by_pillow(mode: str, progressive: bool, subsampling: int) -> None:
    image = PHOTO.resize((133, 71)).convert(mode)
    data = save(image, "JPEG", quality=85, progressive=progressive, subsampling=subsampling)
    assert np.array_equal(decode(data).rgb, by_pillow(data))


def test_a_jpeg_stored_as_rgb_keeps_its_colours() -> None:
    data = save(PHOTO, "JPEG", quality=100, keep_rgb=True)
    assert np.array_equal(decode(data).rgb, by_pillow(data))


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_is_decoded_as_by_pillow(lossless: bool) -> None:
    data = save(PHOTO, "WEBP", lossless=lossless)
    assert np.array_equal(decode(data).rgb, by_pillow(data))
    data = save(CUTOUT, "WEBP", lossless=lossless, exact=True)
    assert np.array_equal(stacked(decode(data)), by_pillow(data, "RGBA"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_an_opaque_png_becomes_rgb(mode: str) -> None:
    image = PHOTO.convert(mode)
    picture = decode(save(image, "PNG"))
    assert picture.alpha is None
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_the_alpha_of_a_png_is_not_premultiplied(mode: str) -> None:
    image = CUTOUT.convert(mode)
    assert np.array_equal(stacked(decode(save(image, "PNG"))), np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_transparency_becomes_rgba(bits: int) -> None:
    image = PHOTO.quantize(2**bits)
    for transparency in (1, bytes((0, 77))):
        data = save(image, "PNG", bits=bits, transparency=transparency)
        picture = decode(data)
        assert np.array_equal(stacked(picture), by_pillow(data, "RGBA"))
        assert picture.alpha is not None
        assert picture.alpha.min() == 0


def test_sixteen_bits_are_scaled_to_eight() -> None:
    levels = np.arange(256, dtype=np.uint16)[None] * 257
    for offset in (-128, 0, 128):
        stored = (levels.astype(np.int32) + offset).clip(0, 65535).astype(np.uint16)
        picture = decode(save(Image.fromarray(stored), "PNG"))
        assert np.array_equal(picture.rgb[..., 0], levels // 257)


def test_sixteen_bit_colours_are_not_confused_with_eight_bit_ones() -> None:
    row = b"\0" + struct.pack(">6H", 0, 257 * 100, 65535, 257, 257 * 2, 257 * 254)
    picture = decode(png(16, 2, row, width=2))
    assert picture.rgb.tolist() == [[[0, 100, 255], [1, 2, 254]]]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "alpha"),
    [
        (1, 0, b"\0\xa0", (1,), [0, 255, 0]),
        (2, 0, b"\0\x1b", (2,), [255, 255, 0, 255]),
        (4, 0, b"\0\x3c", (12,), [255, 0]),
        (8, 0, b"\0\x09\x0a", (10,), [255, 0]),
        (16, 0, b"\0\x0a\x00\x0a\x01", (0x0A01,), [255, 0]),
        (8, 2, b"\0\x01\x02\x03\x01\x02\x04", (1, 2, 4), [255, 0]),
        (16, 2, b"\0" + bytes(12), (0, 0, 0), [0, 0]),
    ],
)
def test_a_colour_key_becomes_alpha(
    depth: int, colour: int, row: bytes, key: tuple[int, ...], alpha: list[int]
) -> None:
    chunk = (b"tRNS", struct.pack(f">{len(key)}H", *key))
    picture = decode(png(depth, colour, row, chunk, width=len(alpha)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [alpha]


def test_a_truncated_colour_key_is_damage() -> None:
    with pytest.raises(DamagedPictureError):
        decode(png(8, 2, b"\0\1\2\3", (b"tRNS", b"\0\1"), width=1))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_rotated_upright(format: Format, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = save(PHOTO, format, exif=exif.tobytes())
    picture = decode(data)
    assert np.array_equal(picture.rgb, by_pillow(data))
    assert (picture.width, picture.height) == (probe(data).width, probe(data).height)
    if format != "JPEG":
        data = save(CUTOUT, format, exif=exif.tobytes(), lossless=True, exact=True)
        assert np.array_equal(stacked(decode(data)), by_pillow(data, "RGBA"))


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_pixels_are_damage(format: Format) -> None:
    whole = save(PHOTO.resize((200, 150)), format)
    for share in (0.3, 0.6, 0.9):
        cut = whole[: int(len(whole) * share)]
        assert probe(cut).width == 200
        with pytest.raises(DamagedPictureError, match=format):
            decode(cut)


def test_a_jpeg_with_harmless_irregularities_is_decoded() -> None:
    data = save(PHOTO, "JPEG", quality=90)
    scan = data.index(b"\xff\xda")
    assert np.array_equal(decode(data[:scan] + bytes(9) + data[scan:]).rgb, decode(data).rgb)
    assert np.array_equal(decode(data + b"trailing bytes").rgb, decode(data).rgb)


def test_a_wrong_checksum_of_the_pixels_is_damage() -> None:
    data = bytearray(save(PHOTO, "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(DamagedPictureError):
        decode(bytes(data))


@pytest.mark.parametrize("format", FORMATS)
def test_mutated_files_decode_or_are_refused_and_nothing_else(format: Format) -> None:
    rng = np.random.default_rng(23)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = [save(PHOTO, format, exif=exif.tobytes())]
    if format == "JPEG":
        seeds += [save(PHOTO.convert(mode), format, progressive=True) for mode in ("L", "CMYK")]
    else:
        seeds += [save(CUTOUT, format, save_all=True, append_images=[CUTOUT.rotate(180)])]
    if format == "PNG":
        seeds += [save(PHOTO.quantize(16), format, transparency=2)]
    refused = 0
    for _ in range(300):
        data = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(3, len(data)))
            data[at : at + int(rng.integers(0, 4))] = rng.bytes(int(rng.integers(0, 4)))
        if format == "PNG":
            data = with_right_checksums(data)
        try:
            found = probe(bytes(data))
            if found.width * found.height <= 1_000_000:
                assert decode(bytes(data)).rgb.shape == (found.height, found.width, 3)
        except PictureError:
            refused += 1
    assert 0 < refused < 300


def with_right_checksums(data: bytearray) -> bytearray:
    """Return a PNG with corrected checksums, so that the decoder reads the mutated data."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if position + 12 + length > len(data):
            break
        checksum = zlib.crc32(data[position + 4 : position + 8 + length])
        struct.pack_into(">I", data, position + 8 + length, checksum)
        position += 12 + length
    return data
