"""Decoding PNG files of every kind: valid, unusual and damaged ones."""

import io
import itertools
import struct
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imaging.errors import DamagedPictureError
from imaging.files.decode import decode
from imaging.files.header import probe, read_container
from imaging.files.png_decoder import decode_png
from imaging.files.png_writer import encode_png
from imaging.picture import Picture

RNG = np.random.default_rng(5)
WIDTH, HEIGHT = 37, 29
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by colour type."""
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = CHANNELS
KINDS = [
    *itertools.product([GREY], [1, 2, 4, 8, 16]),
    *itertools.product([RGB, GREY_ALPHA, RGBA], [8, 16]),
    *itertools.product([PALETTE], [1, 2, 4, 8]),
]
COLOURS = RNG.integers(0, 256, (256, 3), np.uint8)
# Left, top, and the steps right and down of Adam7's passes (PNG, third edition, 8.1).
ADAM7 = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered(
    width: int, height: int, colour: int, depth: int, filters: tuple[int, ...] = (0, 1, 2, 3, 4)
) -> bytes:
    """Return rows of random bytes, each preceded by the number of its filter."""
    row = -(-width * CHANNELS[colour] * depth // 8)
    rows = RNG.integers(0, 256, (height, 1 + row), np.uint8)
    rows[:, 0] = np.resize(filters, height)
    return rows.tobytes()


def interlaced(width: int, height: int, colour: int, depth: int) -> bytes:
    """Return the rows of the seven passes of an interlaced picture."""
    return b"".join(
        filtered(-(-(width - left) // right), -(-(height - top) // down), colour, depth)
        for left, top, right, down in ADAM7
        if width > left and height > top
    )


def file_of(
    stream: bytes,
    *chunks: tuple[bytes, bytes],
    colour: int = RGB,
    depth: int = 8,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    interlace: int = 0,
    pieces: int = 1,
    end: bool = True,
) -> bytes:
    """Return a PNG that contains a deflated stream, in `pieces` chunks."""
    step = max(1, -(-len(stream) // pieces))
    cut = [stream[start : start + step] for start in range(0, len(stream), step)]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace)), *chunks]
    parts += [(b"IDAT", piece) for piece in cut]
    parts += [(b"IEND", b"")] * end
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def palette(depth: int) -> tuple[bytes, bytes]:
    return b"PLTE", COLOURS[: 2**depth].tobytes()


def by_pillow(data: bytes, mode: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def assert_as_pillow(data: bytes) -> None:
    """Check that a file is decoded as by Pillow, 8 bits per sample."""
    picture = decode(data)
    if picture.alpha is None:
        assert np.array_equal(picture.rgb, by_pillow(data, "RGB"))
    else:
        found = np.dstack([picture.rgb, picture.alpha])
        assert np.array_equal(found, by_pillow(data, "RGBA"))


@pytest.mark.parametrize(("colour", "depth"), KINDS)
@pytest.mark.parametrize("interlace", [0, 1])
def test_every_kind_is_decoded_as_by_pillow(colour: int, depth: int, interlace: int) -> None:
    rows = (interlaced if interlace else filtered)(WIDTH, HEIGHT, colour, depth)
    chunks = [palette(depth)] if colour == PALETTE else []
    data = file_of(zlib.compress(rows), *chunks, colour=colour, depth=depth, interlace=interlace)
    picture = decode(data)
    assert (picture.alpha is not None) == (colour in (GREY_ALPHA, RGBA)) == probe(data).alpha
    if (colour, depth) != (GREY, 16):  # Pillow clips these
        assert_as_pillow(data)


@pytest.mark.parametrize("colour", [GREY, RGB, RGBA])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 0, 3, 1, 2)])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (301, 203)])
def test_every_filter_and_shape_is_decoded_as_by_pillow(
    colour: int, filters: tuple[int, ...], size: tuple[int, int]
) -> None:
    rows = filtered(*size, colour, 8, filters)
    assert_as_pillow(file_of(zlib.compress(rows), colour=colour, size=size, pieces=3))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("opacities", [b"\0", b"\x05\x80"])
def test_the_opacities_of_a_palette_become_alpha(
    depth: int, interlace: int, opacities: bytes
) -> None:
    rows = (interlaced if interlace else filtered)(WIDTH, HEIGHT, PALETTE, depth)
    data = file_of(
        zlib.compress(rows),
        palette(depth),
        (b"tRNS", opacities),
        colour=PALETTE,
        depth=depth,
        interlace=interlace,
    )
    assert decode(data).alpha is not None
    assert_as_pillow(data)


def test_a_stream_of_many_stored_blocks_is_decoded() -> None:
    rgb = RNG.integers(0, 256, (500, 700, 3), np.uint8)
    alpha = RNG.integers(0, 256, (500, 700), np.uint8)
    found = decode_png(read_container(encode_png(Picture(rgb, alpha))))
    assert np.array_equal(found, np.dstack([rgb, alpha]))


def test_sixteen_bits_of_colour_and_alpha_become_their_upper_eight() -> None:
    samples = struct.pack(">8H", 0x01FF, 0x0200, 0xFFFF, 0x80FF, 0xFE00, 0x7FFF, 0, 0x00FF)
    data = file_of(zlib.compress(b"\0" + samples), colour=RGBA, depth=16, size=(2, 1))
    picture = decode(data)
    assert picture.rgb.tolist() == [[[1, 2, 255], [254, 127, 0]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0x80, 0]]


def test_all_sixteen_bits_of_a_colour_key_are_compared() -> None:
    row = b"\0" + struct.pack(">6H", 0x0100, 0x0200, 0x0300, 0x0100, 0x0200, 0x0301)
    key = (b"tRNS", struct.pack(">3H", 0x0100, 0x0200, 0x0300))
    picture = decode(file_of(zlib.compress(row), key, depth=16, size=(2, 1)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]


def test_colours_outside_the_palette_are_black() -> None:
    colours = (b"PLTE", b"\x09\x08\x07")
    data = file_of(zlib.compress(b"\0\0\1"), colours, colour=PALETTE, size=(2, 1))
    assert decode(data).rgb.tolist() == [[[9, 8, 7], [0, 0, 0]]]


ROWS = filtered(WIDTH, HEIGHT, RGB, 8)
STREAM = zlib.compress(ROWS)
ROW_BYTES = len(ROWS) // HEIGHT
SOUND = file_of(STREAM)


def test_other_chunks_do_not_change_the_pixels() -> None:
    others = [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cICP", bytes((1, 13, 0, 1))),
        (b"sRGB", b"\0"),
        (b"sBIT", b"\5\5\5"),
        (b"bKGD", bytes(6)),
        (b"iCCP", b"x\0\0no profile"),
        (b"ABCD", b"of a later edition"),
    ]
    assert np.array_equal(decode(file_of(STREAM, *others)).rgb, decode(SOUND).rgb)
    pieces = STREAM[:50], STREAM[50:]
    apart = chunk(b"tEXt", b"a\0b").join(chunk(b"IDAT", piece) for piece in pieces)
    torn = SOUND.replace(chunk(b"IDAT", STREAM), apart)
    assert np.array_equal(decode(torn).rgb, decode(SOUND).rgb)


@pytest.mark.parametrize("pieces", [2, len(STREAM)])
def test_pixels_in_many_chunks_are_decoded(pieces: int) -> None:
    assert np.array_equal(decode(file_of(STREAM, pieces=pieces)).rgb, decode(SOUND).rgb)


def test_the_largest_allowed_number_of_chunks_is_decoded() -> None:
    empty = chunk(b"IDAT", b"") * 49_000
    assert np.array_equal(decode(SOUND[:33] + empty + SOUND[33:]).rgb, decode(SOUND).rgb)


@pytest.mark.parametrize("interlace", [0, 1])
def test_a_file_that_ends_after_its_last_row_is_decoded(interlace: int) -> None:
    rows = (interlaced if interlace else filtered)(WIDTH, HEIGHT, RGB, 8)
    whole = file_of(zlib.compress(rows), interlace=interlace)
    for missing in range(1, 21):  # IEND, the chunk's checksum, the stream's
        assert np.array_equal(decode(whole[:-missing]).rgb, decode(whole).rgb)
    for stream in (STREAM[:-1], STREAM[:-4]):
        assert np.array_equal(decode(file_of(stream)).rgb, decode(SOUND).rgb)


@pytest.mark.parametrize("interlace", [0, 1])
def test_a_file_truncated_in_its_rows_is_damage(interlace: int) -> None:
    rows = (interlaced if interlace else filtered)(WIDTH, HEIGHT, RGB, 8)
    whole = file_of(zlib.compress(rows), interlace=interlace)
    for end in range(33, len(whole) - 24, 61):
        with pytest.raises(DamagedPictureError, match="PNG"):
            decode(whole[:end])


def test_bytes_after_the_picture_are_ignored() -> None:
    for after in (b"trailing bytes", chunk(b"IEND", b""), chunk(b"IDAT", STREAM)):
        assert np.array_equal(decode(SOUND + after).rgb, decode(SOUND).rgb)
    for more in (zlib.compress(ROWS + ROWS), STREAM + b"trailing bytes"):
        assert np.array_equal(decode(file_of(more)).rgb, decode(SOUND).rgb)


@pytest.mark.parametrize(
    "stream",
    [
        STREAM[:-1] + bytes([STREAM[-1] ^ 1]),
        STREAM[: len(STREAM) // 2],
        zlib.compress(ROWS[:-1]),
        zlib.compress(ROWS[:-ROW_BYTES]),
        zlib.compress(b"\5" + ROWS[1:]),
        zlib.compress(ROWS[:-ROW_BYTES] + b"\7" + bytes(ROW_BYTES - 1)),
        STREAM[2:],
        b"no deflate at all",
        b"",
    ],
    ids=[
        "checksum",
        "half",
        "a byte less",
        "a row less",
        "filter",
        "last filter",
        "raw deflate",
        "garbage",
        "nothing",
    ],
)
def test_wrong_or_missing_rows_are_damage(stream: bytes) -> None:
    with pytest.raises(DamagedPictureError):
        decode(file_of(stream))


def with_wrong_checksum(data: bytes, kind: bytes) -> bytes:
    """Return a file with a wrong checksum in the first chunk of a kind."""
    wrong = bytearray(data)
    at = wrong.index(kind)
    (length,) = struct.unpack_from(">I", wrong, at - 4)
    wrong[at + 4 + length] ^= 1
    return bytes(wrong)


def test_only_checksums_of_header_palette_and_transparency_are_checked() -> None:
    rows = zlib.compress(filtered(WIDTH, HEIGHT, PALETTE, 8))
    data = file_of(rows, palette(8), (b"tRNS", b"\0\x80"), (b"tEXt", b"a\0b"), colour=PALETTE)
    for kind in (b"IHDR", b"PLTE", b"tRNS"):
        with pytest.raises(DamagedPictureError):
            decode(with_wrong_checksum(data, kind))
    for kind in (b"IDAT", b"tEXt", b"IEND"):  # zlib has a checksum of all rows
        found = decode(with_wrong_checksum(data, kind))
        assert np.array_equal(found.rgb, decode(data).rgb)
        assert np.array_equal(found.alpha, decode(data).alpha)


def test_a_missing_or_invalid_palette_is_damage() -> None:
    stream = zlib.compress(filtered(WIDTH, HEIGHT, PALETTE, 8))
    for chunks in ([], [(b"PLTE", b"four")], [(b"PLTE", b"")]):
        with pytest.raises(DamagedPictureError):
            decode(file_of(stream, *chunks, colour=PALETTE))


def test_transparency_that_is_too_long_or_misplaced_is_read() -> None:
    stream = zlib.compress(b"\0\0\1\2")
    colours, opacities = (b"PLTE", bytes(range(9))), (b"tRNS", b"\0\x80\xff")
    longer = (b"tRNS", b"\0\x80\xff\x11\x22")
    for chunks in ([colours, opacities], [colours, longer], [opacities, colours]):
        picture = decode(file_of(stream, *chunks, colour=PALETTE, size=(3, 1)))
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[0, 128, 255]]
    row = zlib.compress(b"\0\1\2\3\1\2\4")
    key = struct.pack(">3H", 1, 2, 3)
    last = file_of(row, size=(2, 1))[:-12] + chunk(b"tRNS", key) + chunk(b"IEND", b"")
    for data in (file_of(row, (b"tRNS", key + b"\0\0"), size=(2, 1)), last):
        picture = decode(data)
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[0, 255]]


def test_empty_transparency_is_ignored() -> None:
    stream = zlib.compress(b"\0\0\1\2")
    chunks = (b"PLTE", bytes(range(9))), (b"tRNS", b"")
    data = file_of(stream, *chunks, colour=PALETTE, size=(3, 1))
    assert decode(data).alpha is None
    assert not probe(data).alpha


def test_of_two_transparencies_the_first_is_read_whether_or_not_the_file_is_rewritten() -> None:
    stream = zlib.compress(b"\0\0\1\2")
    chunks = (b"PLTE", bytes(range(9))), (b"tRNS", b"\0\x80\xff"), (b"tRNS", b"\x11\x22\x33")
    for end in (True, False):  # without an end the file is rewritten
        picture = decode(file_of(stream, *chunks, colour=PALETTE, size=(3, 1), end=end))
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("colours", [b"", b"\1\2\3", bytes(769), b"four"])
@pytest.mark.parametrize("colour", [RGB, RGBA])
def test_a_suggested_palette_is_ignored(colour: int, colours: bytes) -> None:
    stream = zlib.compress(filtered(WIDTH, HEIGHT, colour, 8))
    plain, suggested = (
        decode(file_of(stream, *chunks, colour=colour)) for chunks in ([], [(b"PLTE", colours)])
    )
    assert np.array_equal(suggested.rgb, plain.rgb)


def test_no_more_is_decompressed_than_the_header_declares() -> None:
    found = read_container(file_of(zlib.compress(bytes(200_000_000))[:-4], size=(10, 10)))
    tracemalloc.start()
    try:
        assert not decode_png(found).any()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_several_threads_can_decode_at_once() -> None:
    sources = [RNG.integers(0, 256, (120, 90 + 7 * n, 3), np.uint8) for n in range(8)]
    files = [encode_png(Picture(rgb, None)) for rgb in sources]
    files = [file[:-30] if n % 4 == 3 else file for n, file in enumerate(files)]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            try:
                right = np.array_equal(decode(files[number]).rgb, sources[number])
            except DamagedPictureError:
                right = number % 4 == 3
            if not right:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
