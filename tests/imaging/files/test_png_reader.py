"""Plain PNG files: read as Pillow reads them; what is not plain or not sound is left to Pillow."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from imaging.files.header import read_container
from imaging.files.png_reader import decode_png
from imaging.files.png_writer import encode_png
from imaging.picture import Picture

RNG = np.random.default_rng(5)


def random_picture(width: int, height: int, alpha: bool) -> Picture:
    rgb = RNG.integers(0, 256, (height, width, 3), np.uint8)
    return Picture(rgb, RNG.integers(0, 256, (height, width), np.uint8) if alpha else None)


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
    monkeypatch.setattr("imaging.files.png_reader._MOST_BYTES", 50 * 181 - 1)
    assert decode_png(read_container(data)) is None
    monkeypatch.setattr("imaging.files.png_reader._MOST_BYTES", 50 * 181)
    assert decode_png(read_container(data)) is not None
