"""The headers of picture files: what is read from them, and that hostile ones cost little."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imaging.errors import DamagedPictureError, EmptyPictureError, NotAPictureError
from imaging.files.decode import decode
from imaging.files.header import Probe, probe, read_container

PIXELS = np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8)
PHOTO = Image.fromarray(PIXELS)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = value
    return exif.tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, of: Image.Image = PHOTO) -> bytes:
    """Return a PNG with chunks inserted after its header."""
    plain = save(of, "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_format_and_size_are_read(format: str) -> None:
    found = probe(save(PHOTO, format))
    assert (found.format, found.width, found.height) == (format, 40, 30)
    assert (found.mode, found.animated, found.alpha) == ("RGB", False, False)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_the_mode_of_a_png_is_read(mode: str) -> None:
    image = (
        Image.fromarray(np.full((30, 40), 999, np.uint16))
        if mode == "I;16"
        else PHOTO.convert(mode)
    )
    found = probe(save(image, "PNG"))
    assert found.mode == mode
    assert found.alpha == (mode in ("LA", "RGBA"))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_mode_of_a_jpeg_is_read(mode: str, progressive: bool) -> None:
    found = probe(save(PHOTO.convert(mode), "JPEG", progressive=progressive))
    assert (found.width, found.height, found.mode) == (40, 30, mode)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_mode_of_a_webp_is_read(mode: str, lossless: bool) -> None:
    image = PHOTO.convert(mode)
    if mode == "RGBA":
        image.putpixel((0, 0), (1, 2, 3, 4))
    found = probe(save(image, "WEBP", lossless=lossless))
    assert (found.width, found.height, found.mode) == (40, 30, mode)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(format: str, orientation: int) -> None:
    found = probe(save(PHOTO, format, exif=oriented(orientation)))
    assert (found.width, found.height) == ((40, 30) if orientation < 5 else (30, 40))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_the_orientation_is_read_in_either_byte_order_and_width(order: str, kind: int) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((6, 0) if kind == 3 else (6,)))
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    tiff = mark + struct.pack(order + "IH", 8, 1) + entry
    assert read_container(png_with(png_chunk(b"eXIf", tiff))).orientation == 6


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"MM*\0\0\0\0\x08",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0",
        b"garbage",
    ],
)
def test_damaged_exif_is_ignored(tiff: bytes) -> None:
    picture = png_with(png_chunk(b"eXIf", tiff))
    assert read_container(picture).orientation == 1
    assert np.array_equal(decode(picture).rgb, PIXELS)
    with_app1 = save(PHOTO, "JPEG", exif=b"Exif\0\0" + tiff, quality=90)
    assert np.array_equal(decode(with_app1).rgb, decode(save(PHOTO, "JPEG", quality=90)).rgb)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_is_recognised(format: str) -> None:
    second = PHOTO.transpose(Image.Transpose.ROTATE_180)
    assert probe(save(PHOTO, format, save_all=True, append_images=[second])).animated


def test_a_png_animation_of_one_frame_is_no_animation() -> None:
    assert not probe(png_with(png_chunk(b"acTL", struct.pack(">II", 1, 0)))).animated


def test_previews_in_the_jpeg_of_a_phone_are_no_animation() -> None:
    phone = save(PHOTO, "MPO", save_all=True, append_images=[PHOTO.resize((8, 6))])
    found = probe(phone)
    assert found == Probe("JPEG", 40, 30, "RGB", animated=False, alpha=False)


def test_bytes_after_a_jpeg_are_removed() -> None:
    plain = save(PHOTO, "JPEG", quality=90)
    motion = plain + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 500
    assert read_container(motion).pixel_file() == read_container(plain).pixel_file()
    assert np.array_equal(decode(motion).rgb, decode(plain).rgb)


def test_the_content_decides_the_format() -> None:
    with pytest.raises(EmptyPictureError):
        probe(b"")
    for other in (
        b"hello",
        b"\xff",
        b"RIFF",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><p>no picture",
        b"%PDF-1.7",
        b"\0\0\0\x1cftypavif",
        bytes(1000),
        save(PHOTO, "GIF"),
        save(PHOTO, "TIFF"),
        save(PHOTO, "BMP"),
        save(PHOTO, "PPM"),
        save(PHOTO, "ICO"),
        save(PHOTO, "JPEG2000"),
    ):
        with pytest.raises(NotAPictureError, match="JPEG, PNG and WEBP"):
            probe(other)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_header_truncated_anywhere_is_damage(format: str) -> None:
    whole = save(PHOTO.convert("L") if format == "JPEG" else PHOTO, format, exif=oriented(6))
    for end in range(12, min(len(whole), 900)):
        try:
            found = probe(whole[:end])
        except DamagedPictureError:
            continue
        assert (found.width, found.height) in ((30, 40), (40, 30))


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour", "interlace"),
    [
        (0, 30, 8, 2, 0),
        (40, 0, 8, 2, 0),
        (40, 30, 4, 2, 0),
        (40, 30, 16, 3, 0),
        (40, 30, 3, 0, 0),
        (40, 30, 8, 5, 0),
        (40, 30, 8, 2, 2),
    ],
)
def test_an_impossible_png_header_is_damage(
    width: int, height: int, depth: int, colour: int, interlace: int
) -> None:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    with pytest.raises(DamagedPictureError):
        probe(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + save(PHOTO, "PNG")[33:])


def test_a_png_with_two_headers_is_damage() -> None:
    with pytest.raises(DamagedPictureError):
        probe(png_with(save(PHOTO, "PNG")[8:33]))


def test_the_size_of_a_giant_picture_is_read_without_decoding_it() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x")
    found = probe(bomb)
    assert (found.width, found.height, found.mode) == (2**31 - 1, 2**31 - 1, "RGBA")


def test_compressed_texts_and_profiles_are_decompressed_up_to_a_limit() -> None:
    packed = zlib.compress(bytes(64 * 1024 * 1024), 9)
    texts = png_chunk(b"zTXt", b"x\0\0" + packed) + png_chunk(b"iTXt", b"x\0\1\0\0\0" + packed)
    picture = png_with(texts, png_chunk(b"iCCP", b"x\0\0" + packed))
    assert read_container(picture).profile is None
    assert np.array_equal(decode(picture).rgb, PIXELS)


@pytest.mark.parametrize(
    "flood",
    [
        b"\xff\xd8" + b"\xff\xfe\0\2" * 200_000,
        b"\xff\xd8" + b"\xff" * 2_000_000,
        b"\xff\xd8\xff" + b"\xff\0" * 1_000_000,
        b"\xff\xd8\xff" + b"\xff\1" * 1_000_000,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0teXt\0\0\0\0" * 200_000,
        save(PHOTO, "PNG")[:33] + b"\0\0\0\0teXt\0\0\0\0" * 200_000,
        b"RIFF\0\0\0\0WEBP" + b"ABCD\0\0\0\0" * 200_000,
    ],
)
def test_too_many_small_chunks_are_damage(flood: bytes) -> None:
    with pytest.raises(DamagedPictureError):
        probe(flood)


def test_a_jpeg_may_have_up_to_a_hundred_scans() -> None:
    progressive = save(PHOTO, "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    scans = progressive.count(b"\xff\xda")

    def with_scans(count: int) -> bytes:
        return progressive[:-2] + progressive[last:-2] * (count - scans) + b"\xff\xd9"

    assert probe(with_scans(100)).width == 40
    for count in (101, 10_000):
        with pytest.raises(DamagedPictureError):
            probe(with_scans(count))


def test_a_profile_in_pieces_is_joined_only_if_complete() -> None:
    profile = bytes(range(256)) * 600
    whole = save(PHOTO, "JPEG", icc_profile=profile)
    assert read_container(whole).profile == profile
    start = whole.index(b"\xff\xe2")
    (length,) = struct.unpack_from(">H", whole, start + 2)
    assert read_container(whole[:start] + whole[start + 2 + length :]).profile is None


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_the_decoder_gets_only_the_parts_that_make_the_pixels(format: str) -> None:
    secret = b"51.5007 N, 0.1246 W"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    kept = read_container(
        save(PHOTO, format, exif=exif, icc_profile=secret, comment=secret)
    ).pixel_file()
    assert secret not in kept
    assert b"Exif" not in kept
    assert b"eXIf" not in kept
    assert np.asarray(Image.open(io.BytesIO(kept))).shape == (30, 40, 3)
