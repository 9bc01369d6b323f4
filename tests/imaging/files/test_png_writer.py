"""The PNG writer: other decoders read every pixel back."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.files.decode import decode
from imaging.files.encode import encode
from imaging.files.png_writer import encode_grey_png, encode_png
from imaging.picture import Picture

RNG = np.random.default_rng(5)


def random_picture(width: int, height: int, alpha: bool) -> Picture:
    rgb = RNG.integers(0, 256, (height, width, 3), np.uint8)
    return Picture(rgb, RNG.integers(0, 256, (height, width), np.uint8) if alpha else None)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG; checks lengths and checksums."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found = []
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        position += 12 + length
    assert position == len(data)
    return found


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (1, 700), (700, 1), (3, 2), (641, 479), (1500, 1100)]
)
def test_every_decoder_reads_every_pixel_back(width: int, height: int, alpha: bool) -> None:
    picture = random_picture(width, height, alpha)
    data = encode_png(picture)
    expected = picture.rgb
    if picture.alpha is not None:
        expected = np.dstack([picture.rgb, picture.alpha])
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.mode == ("RGBA" if alpha else "RGB")
        assert image.info == {}
        assert np.array_equal(np.asarray(image), expected)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert by_opencv is not None
    order = [2, 1, 0, 3][: expected.shape[2]]
    assert np.array_equal(by_opencv[..., order], expected)
    again = decode(data)
    assert np.array_equal(again.rgb, picture.rgb)
    assert (again.alpha is None) == (picture.alpha is None)


def test_the_file_contains_only_pixels() -> None:
    found = chunks(encode(random_picture(1500, 1100, True), "PNG"))
    kinds = [kind for kind, _ in found]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert set(kinds[1:-1]) == {b"IDAT"}
    assert all(body for kind, body in found if kind == b"IDAT")
    rows = zlib.decompress(b"".join(body for kind, body in found if kind == b"IDAT"))
    assert len(rows) == 1100 * (1500 * 4 + 1)


def test_non_contiguous_pixels_are_written() -> None:
    whole = random_picture(400, 300, True)
    assert whole.alpha is not None
    part = Picture(whole.rgb[10:200:2, 300:20:-3], whole.alpha[10:200:2, 300:20:-3])
    again = decode(encode_png(part))
    assert np.array_equal(again.rgb, part.rgb)
    assert again.alpha is not None
    assert part.alpha is not None
    assert np.array_equal(again.alpha, part.alpha)


def test_plain_pictures_and_gradients_make_small_files() -> None:
    flat = Picture(np.full((1000, 1000, 3), 77, np.uint8), np.full((1000, 1000), 255, np.uint8))
    assert len(encode_png(flat)) < 20_000
    ramp = np.linspace(0, 255, 1000).astype(np.uint8)
    gradient = Picture(np.repeat(np.repeat(ramp[None, :, None], 1000, 0), 3, 2).copy())
    assert len(encode_png(gradient)) < 20_000


def test_writing_makes_no_copies_of_the_picture() -> None:
    rgb = np.zeros((4000, 4000, 3), np.uint8)
    picture = Picture(rgb, np.zeros((4000, 4000), np.uint8))
    tracemalloc.start()
    try:
        encode_png(picture)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < rgb.nbytes / 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (700, 1), (2500, 1900)])
def test_every_decoder_reads_grey_pixels_back(width: int, height: int) -> None:
    values = RNG.integers(0, 256, (height, width), np.uint8)
    data = encode_grey_png(values)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), values)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(by_opencv, values)
    assert [kind for kind, _ in chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]
    assert encode_grey_png(values) == data


def test_a_mask_of_one_value_is_written() -> None:
    values = RNG.integers(0, 9, (300, 500), np.uint8)
    expected = np.where(values == 3, 255, 0).astype(np.uint8)
    assert encode_grey_png(values, 3) == encode_grey_png(expected)


def test_non_contiguous_grey_pixels_are_written() -> None:
    part = RNG.integers(0, 256, (300, 400), np.uint8)[::2, 300:20:-3]
    assert encode_grey_png(part) == encode_grey_png(np.ascontiguousarray(part))
