"""Undo the content codings of fetched files (RFC 9110, section 8.4.1), within a limit of bytes."""

import zlib
from collections.abc import Sequence

from server.errors import FetchFailedError, FetchTooLargeError

_COMPRESSIONS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_UNSUPPORTED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Other compressions that are registered; Python's standard library has none of them."""
_MAX_COMPRESSIONS = 3
_MAX_MEMBERS = 10_000
"""Limit of the parts of a gzip file: an empty one has 20 bytes, and each takes time."""
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""What zlib calls window bits: they also name the format."""
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 16


def compressions_of(header: str) -> list[str]:
    """Return the compressions that a Content-Encoding header names, `gzip` or `deflate`, in order.

    Any other word counts as no coding: objects in stores often have `aws-chunked`, `base64`, `binary`
    or `UTF-8` there, which their uploaders left. Raises FetchFailedError for a compression that is not
    supported, and for more than three.
    """
    words = [word.strip().lower() for word in header.split(",")]
    for word in words:
        if word in _UNSUPPORTED:
            raise FetchFailedError(
                f"The URL answered with a file compressed by {word}, which is not supported here."
            )
    compressions = [_COMPRESSIONS[word] for word in words if word in _COMPRESSIONS]
    if len(compressions) > _MAX_COMPRESSIONS:
        raise FetchFailedError("The URL answered with a file that is compressed too often.")
    return compressions


def decompress(data: bytes, compressions: Sequence[str], max_bytes: int) -> bytes:
    """Return the file in `data`; it takes memory for `max_bytes` bytes at most.

    compressions: in the order in which they were applied. Raises FetchFailedError if the data are
    damaged or not complete, FetchTooLargeError.
    """
    try:
        for name in reversed(compressions):
            data = (_gunzip if name == "gzip" else _undo_deflate)(data, max_bytes)
    except zlib.error:
        raise FetchFailedError("The URL answered with a compressed file that is damaged.") from None
    return data


def _gunzip(data: bytes, max_bytes: int) -> bytes:
    """Return the contents of all members of a gzip file (RFC 1952); other bytes after them are ignored."""
    contents = bytearray()
    at = 0
    for _ in range(_MAX_MEMBERS):
        at = _inflate(data, at, _GZIP, contents, max_bytes)
        if not data.startswith(_GZIP_MAGIC, at):
            return bytes(contents)
    raise FetchFailedError("The URL answered with a compressed file of too many parts.")


def _undo_deflate(data: bytes, max_bytes: int) -> bytes:
    """Return the contents of a zlib stream, or of a bare deflate stream, which some servers send."""
    contents = bytearray()
    try:
        _inflate(data, 0, _ZLIB, contents, max_bytes)
    except zlib.error:
        contents.clear()
        _inflate(data, 0, _RAW, contents, max_bytes)
    return bytes(contents)


def _inflate(data: bytes, at: int, window_bits: int, contents: bytearray, max_bytes: int) -> int:
    """Append what one stream at position `at` contains; return the position of its end.

    Raises zlib.error, FetchTooLargeError, and FetchFailedError if the stream is not complete.
    """
    stream = zlib.decompressobj(window_bits)
    # In pieces: what follows the stream is copied, once for each of many short streams.
    view = memoryview(data)
    while not stream.eof:
        piece = view[at : at + _PIECE]
        if not piece:
            raise FetchFailedError("The URL answered with a compressed file that is not complete.")
        contents += stream.decompress(piece, max_bytes + 1 - len(contents))
        if len(contents) > max_bytes:
            raise FetchTooLargeError(max_bytes)
        at += len(piece) - len(stream.unused_data) - len(stream.unconsumed_tail)
    return at
