"""PNG files: every pixel back, every reader content; only sound files are read without Pillow."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.files.encode import decode, encode
from imaging.files.header import read_container
from imaging.files.png_writer import decode_png, encode_png
from imaging.picture import Picture

RNG = np.random.default_rng(5)


def random_picture(width: int, height: int, alpha: bool) -> Picture:
    rgb = RNG.integers(0, 256, (height, width, 3), np.uint8)
    return Picture(rgb, RNG.integers(0, 256, (height, width), np.uint8) if alpha else None)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Part a PNG into chunks, checking lengths and checksums."""
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
def test_every_pixel_comes_back_in_every_reader(width: int, height: int, alpha: bool) -> None:
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


def test_the_file_holds_pixels_and_nothing_else() -> None:
    found = chunks(encode(random_picture(1500, 1100, True), "PNG"))
    kinds = [kind for kind, _ in found]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert set(kinds[1:-1]) == {b"IDAT"}
    assert all(body for kind, body in found if kind == b"IDAT")
    rows = zlib.decompress(b"".join(body for kind, body in found if kind == b"IDAT"))
    assert len(rows) == 1100 * (1500 * 4 + 1)


def test_takes_pixels_that_do_not_lie_in_one_piece() -> None:
    whole = random_picture(400, 300, True)
    assert whole.alpha is not None
    part = Picture(whole.rgb[10:200:2, 300:20:-3], whole.alpha[10:200:2, 300:20:-3])
    again = decode(encode_png(part))
    assert np.array_equal(again.rgb, part.rgb)
    assert again.alpha is not None
    assert part.alpha is not None
    assert np.array_equal(again.alpha, part.alpha)


def test_flat_pictures_and_gradients_stay_small() -> None:
    flat = Picture(np.full((1000, 1000, 3), 77, np.uint8), np.full((1000, 1000), 255, np.uint8))
    assert len(encode_png(flat)) < 20_000
    ramp = np.linspace(0, 255, 1000).astype(np.uint8)
    gradient = Picture(np.repeat(np.repeat(ramp[None, :, None], 1000, 0), 3, 2).copy())
    assert len(encode_png(gradient)) < 20_000


def test_memory_does_not_grow_with_copies_of_the_picture() -> None:
    rgb = np.zeros((4000, 4000, 3), np.uint8)
    picture = Picture(rgb, np.zeros((4000, 4000), np.uint8))
    tracemalloc.start()
    try:
        encode_png(picture)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < rgb.nbytes / 4


def filtered(channels: int, width: int, height: int, filters: list[int]) -> bytes:
    """Give rows of random bytes, each behind the number of its filter."""
    rows = RNG.integers(0, 256, (height, 1 + channels * width), np.uint8)
    rows[:, 0] = np.resize(filters, height)
    return rows.tobytes()


def file_of(channels: int, width: int, height: int, stream: bytes, pieces: int = 1) -> bytes:
    """Write a PNG of 8 bits around a deflated stream, in as many chunks as asked."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    size = max(1, -(-len(stream) // pieces))
    cut = [stream[start : start + size] for start in range(0, len(stream), size)]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    parts += [(b"IDAT", piece) for piece in cut]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*parts, (b"IEND", b"")]
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 0, 3, 1, 2]])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (40, 1), (301, 203)])
def test_plain_files_are_read_as_pillow_reads_them(
    channels: int, filters: list[int], width: int, height: int
) -> None:
    rows = filtered(channels, width, height, filters)
    data = file_of(channels, width, height, zlib.compress(rows), pieces=3)
    found = decode_png(read_container(data))
    assert found is not None
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(found, np.asarray(image))


def test_a_stream_of_many_stored_blocks_is_read() -> None:
    picture = random_picture(700, 500, True)
    found = decode_png(read_container(encode_png(picture)))
    assert picture.alpha is not None
    assert np.array_equal(found, np.dstack([picture.rgb, picture.alpha]))


def test_what_is_not_plain_is_left_to_pillow() -> None:
    image = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), np.uint8))
    for other in (image.convert("P"), image.convert("LA"), image.convert("1")):
        file = io.BytesIO()
        other.save(file, "PNG")
        assert decode_png(read_container(file.getvalue())) is None
    deep = io.BytesIO()
    Image.fromarray(RNG.integers(0, 65536, (20, 30), np.uint16)).save(deep, "PNG")
    assert decode_png(read_container(deep.getvalue())) is None


def test_what_is_not_sound_is_left_to_pillow() -> None:
    rows = filtered(3, 60, 50, [4])
    stream = zlib.compress(rows)
    wrong = bytearray(stream)
    wrong[-1] ^= 1  # of the sum over all samples
    for damaged in (
        stream[:-1],
        stream[: len(stream) // 2],
        bytes(wrong),
        zlib.compress(rows[:-1]),
        zlib.compress(rows + b"\0"),
        zlib.compress(b"\5" + rows[1:]),
        b"",
        b"no deflate at all",
    ):
        assert decode_png(read_container(file_of(3, 60, 50, damaged))) is None


def test_a_header_with_a_wrong_checksum_is_left_to_pillow() -> None:
    data = bytearray(file_of(3, 4, 4, zlib.compress(bytes(52))))
    assert decode_png(read_container(bytes(data))) is not None
    data[8 + 8 + 13] ^= 1
    assert decode_png(read_container(bytes(data))) is None


def test_interlaced_files_are_left_to_pillow() -> None:
    data = bytearray(file_of(3, 4, 4, zlib.compress(bytes(60))))
    data[8 + 8 + 12] = 1
    assert decode_png(read_container(bytes(data))) is None


def test_no_more_is_inflated_than_the_header_promises() -> None:
    bomb = file_of(3, 10, 10, zlib.compress(bytes(200_000_000)))
    found = read_container(bomb)
    tracemalloc.start()
    try:
        assert decode_png(found) is None
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_large_files_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_png(random_picture(60, 50, False))
    monkeypatch.setattr("imaging.files.png_writer._MOST_BYTES", 50 * 181 - 1)
    assert decode_png(read_container(data)) is None
    monkeypatch.setattr("imaging.files.png_writer._MOST_BYTES", 50 * 181)
    assert decode_png(read_container(data)) is not None
