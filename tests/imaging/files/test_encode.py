"""Encoding pictures: what each format preserves or refuses, and that files contain no metadata."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from imaging.files.decode import decode
from imaging.files.encode import MAX_SIDE, encode
from imaging.files.header import EXTENSIONS, Format, probe
from imaging.picture import Picture
from storage.object_store import content_type_of
from tests.helpers.places import PHOTOS

RNG = np.random.default_rng(17)
PIXELS = RNG.integers(0, 256, (30, 40, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (30, 40), np.uint8)
PHOTO = Image.fromarray(PIXELS)
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "WEBP")


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def stacked(picture: Picture) -> NDArray[np.uint8]:
    assert picture.alpha is not None
    return np.dstack([picture.rgb, picture.alpha])


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_alpha_is_encoded_without_loss(format: Format) -> None:
    picture = Picture(PIXELS, ALPHA)
    assert np.array_equal(stacked(decode(encode(picture, format))), stacked(picture))


@pytest.mark.parametrize("format", FORMATS)
def test_a_photograph_survives_encoding(format: Format) -> None:
    picture = decode((PHOTOS / "chelsea.jpg").read_bytes())
    data = encode(picture, format)
    assert probe(data).format == format
    again = decode(data)
    assert again.alpha is None
    assert cv2.PSNR(again.rgb, picture.rgb) > 38


def test_a_jpeg_has_full_resolution_colours() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    again = decode(encode(Picture(stripes), "JPEG")).rgb
    assert np.abs(again.astype(int) - stripes).mean() < 6


@pytest.mark.parametrize("format", FORMATS)
def test_non_contiguous_pixels_are_encoded(format: Format) -> None:
    part = Picture(np.tile(PIXELS, (4, 4, 1))[5:80:2, ::-3])
    whole = Picture(np.ascontiguousarray(part.rgb))
    assert encode(part, format) == encode(whole, format)


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_is_not_written(format: Format) -> None:
    place = "51.5007 N, 0.1246 W"
    exif = Image.Exif()
    exif[0x010E] = place
    for source in FORMATS:
        data = save(PHOTO, source, exif=exif.tobytes(), icc_profile=b"p" * 200)
        result = encode(decode(data), format)
        assert place.encode() not in result
        with Image.open(io.BytesIO(result)) as image:
            assert not image.getexif()
            assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)


def test_pictures_that_a_format_cannot_store_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        encode(Picture(PIXELS, ALPHA), "JPEG")
    for format in ("JPEG", "WEBP"):
        strip = np.zeros((1, MAX_SIDE[format] + 1, 3), np.uint8)
        with pytest.raises(ValueError, match="side"):
            encode(Picture(strip), format)
        assert probe(encode(Picture(strip[:, 1:]), format)).width == MAX_SIDE[format]


def test_a_large_detailed_picture_becomes_a_webp() -> None:
    """The modes of its blocks exceed the 512 kB that a WebP has for them, unless the encoder counts."""
    tile = decode((PHOTOS / "coffee.jpg").read_bytes()).rgb
    picture = Picture(np.tile(tile, (10, 10, 1)))
    again = decode(encode(picture, "WEBP"))
    assert (again.width, again.height) == (picture.width, picture.height)
    assert cv2.PSNR(again.rgb, picture.rgb) > 38


def failing_webp(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make libwebp fail with an error whenever it encodes with loss."""
    save_image = Image.Image.save

    def save(image: Image.Image, *arguments: Any, lossless: bool = False, **options: Any) -> None:
        if not lossless:
            raise ValueError(f"encoding error {number}")
        save_image(image, *arguments, lossless=lossless, **options)

    monkeypatch.setattr(Image.Image, "save", save)


def test_a_webp_is_lossless_if_it_has_too_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_webp(monkeypatch, 6)
    assert np.array_equal(decode(encode(Picture(PIXELS), "WEBP")).rgb, PIXELS)


def test_other_errors_of_libwebp_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_webp(monkeypatch, 1)
    with pytest.raises(MemoryError):
        encode(Picture(PIXELS), "WEBP")
    failing_webp(monkeypatch, 5)
    with pytest.raises(ValueError, match="error 5"):
        encode(Picture(PIXELS), "WEBP")


def test_a_jpeg_that_meets_no_memory_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("Insufficient memory (case 4)")

    file = encode(Picture(PIXELS), "JPEG")
    monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
    monkeypatch.setattr(simplejpeg, "encode_jpeg", fail)
    with pytest.raises(MemoryError):
        decode(file)
    with pytest.raises(MemoryError):
        encode(Picture(PIXELS), "JPEG")


def test_the_extension_of_every_format_has_its_content_type() -> None:
    assert set(EXTENSIONS) == set(MAX_SIDE) == set(FORMATS)
    assert len(set(EXTENSIONS.values())) == len(FORMATS)
    for format in FORMATS:
        data = encode(Picture(PIXELS), format)
        assert probe(data).format == format
        assert content_type_of(f"a.{EXTENSIONS[format]}") == f"image/{format.lower()}"
