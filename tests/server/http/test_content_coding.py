"""Compressed files: decompressed within the limit, refused if damaged, cut or of another kind."""

import gzip
import tracemalloc
import zlib

import pytest

from server.errors import FetchFailedError, FetchTooLargeError
from server.http.content_coding import compressions_of, decompress
from tests.helpers.requests import noise

DATA = noise(300, 200).tobytes()
LIMIT = len(DATA)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("header", "compressions"),
    [
        ("", []),
        ("identity", []),
        ("none", []),
        ("base64", []),
        ("UTF-8", []),
        ("binary,,", []),
        ("aws-chunked", []),
        ("gzip", ["gzip"]),
        ("X-GZip", ["gzip"]),
        ("deflate", ["deflate"]),
        ("gzip, aws-chunked", ["gzip"]),
        (" aws-chunked ,gzip ,deflate", ["gzip", "deflate"]),
    ],
)
def test_only_compressions_count(header: str, compressions: list[str]) -> None:
    assert compressions_of(header) == compressions


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "BR", "gzip, br"])
def test_another_compression_is_refused_by_name(name: str) -> None:
    with pytest.raises(FetchFailedError, match=rf"{name.lower().split()[-1]}, which is not"):
        compressions_of(name)


def test_a_file_may_be_compressed_three_times() -> None:
    thrice = gzip.compress(raw_deflate(gzip.compress(DATA)))
    names = compressions_of("gzip, deflate, gzip")
    assert decompress(thrice, names, 2 * LIMIT) == DATA
    with pytest.raises(FetchFailedError, match="too often"):
        compressions_of("gzip, gzip, gzip, gzip")


PACKED = {
    "gzip": ("gzip", gzip.compress(DATA)),
    "two members": ("gzip", gzip.compress(DATA[:999]) + gzip.compress(DATA[999:])),
    "zeros after it": ("gzip", gzip.compress(DATA) + bytes(100)),
    "zlib": ("deflate", zlib.compress(DATA)),
    "raw deflate": ("deflate", raw_deflate(DATA)),
    "stored": ("deflate", zlib.compress(DATA, 0)),
}


@pytest.mark.parametrize(("name", "packed"), PACKED.values(), ids=PACKED)
def test_every_form_is_decompressed_up_to_the_limit(name: str, packed: bytes) -> None:
    assert decompress(packed, [name], LIMIT) == DATA
    with pytest.raises(FetchTooLargeError):
        decompress(packed, [name], LIMIT - 1)


@pytest.mark.parametrize(("name", "packed"), PACKED.values(), ids=PACKED)
def test_a_cut_file_is_refused(name: str, packed: bytes) -> None:
    ended = packed.rstrip(b"\0")
    for end in (0, 1, 5, len(ended) // 2, len(ended) - 1):
        with pytest.raises(FetchFailedError):
            decompress(ended[:end], [name], LIMIT)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_other_bytes_are_refused(name: str) -> None:
    with pytest.raises(FetchFailedError, match="damaged"):
        decompress(b"\x89PNG\r\n\x1a\n" + DATA, [name], LIMIT)


@pytest.mark.parametrize("name", ["gzip", "zlib"])
def test_a_changed_file_is_refused(name: str) -> None:
    kind, packed = PACKED[name]
    changed = bytearray(packed)
    changed[-6] ^= 1
    with pytest.raises(FetchFailedError, match="damaged"):
        decompress(bytes(changed), [kind], LIMIT)


@pytest.mark.parametrize("names", [["gzip"], ["deflate"], ["gzip", "gzip"]])
def test_a_bomb_takes_memory_for_the_limit_only(names: list[str]) -> None:
    bomb = bytes(64 * 2**20)
    for name in names:
        bomb = gzip.compress(bomb) if name == "gzip" else zlib.compress(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(FetchTooLargeError):
            decompress(bomb, names, 2**20)
        assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    finally:
        tracemalloc.stop()


def test_the_members_of_a_file_are_limited() -> None:
    member = gzip.compress(b"")
    assert decompress(member * 9_999 + gzip.compress(b"x"), ["gzip"], LIMIT) == b"x"
    with pytest.raises(FetchFailedError, match="too many parts"):
        decompress(member * 10_001, ["gzip"], LIMIT)
