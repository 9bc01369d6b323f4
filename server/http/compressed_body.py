"""ASGI middleware that decompresses request bodies sent with a Content-Encoding (RFC 9110, section 8.4)."""

import asyncio
import zlib
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import BadRequestError, TooLargeError, UnsupportedPictureError

_GZIP, _DEFLATE = frozenset({"gzip", "x-gzip"}), frozenset({"deflate"})
_ACCEPTED = "gzip, deflate"
# A small body may decompress to a thousand times its size: in pieces, each held for a millisecond.
_PIECE_BYTES = 1 << 18
_MAX_MEMBERS = 1000
"""Compressed parts in one gzip body; each costs a new decompressor."""


class DecompressBody:
    """Decompress gzip and deflate bodies while they arrive.

    max_bytes: of the decompressed body. The code that reads the body gets TooLargeError above it,
    BadRequestError for damaged data, and UnsupportedPictureError for other codings.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with a `receive` that decompresses."""
        if scope["type"] == "http":
            named = ",".join(Headers(scope=scope).getlist("content-encoding")).lower().split(",")
            codings = [coding.strip() for coding in named if coding.strip() not in ("", "identity")]
            if codings:
                receive = _Compressed(codings, receive, self.max_bytes).receive
        await self.app(scope, receive, send)


class _Compressed:
    """A compressed body while it arrives."""

    def __init__(self, codings: list[str], receive: Receive, max_bytes: int) -> None:
        self._codings = codings
        self._receive = receive
        self._max_bytes = max_bytes
        self._size = 0
        self._members = 0
        self._unread = b""
        self._more = True
        self._complete = False
        self._has_output = False
        self._decompressor: Any = None

    async def receive(self) -> Message:
        """Return a message with the next piece of the decompressed body."""
        if self._complete:
            return await self._receive()
        piece = b""
        while not piece and not self._complete:
            if self._more and not self._unread and not self._has_output:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._unread = message.get("body", b"")
                self._more = message.get("more_body", False)
                self._check_coding()
            piece = self._next_piece()
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise TooLargeError(
                f"The decompressed body is larger than {self._max_bytes // 2**20} MiB."
            )
        await asyncio.sleep(0)  # let others run between two pieces
        return {"type": "http.request", "body": piece, "more_body": not self._complete}

    def _check_coding(self) -> None:
        """Raise UnsupportedPictureError if there is a body in a coding that is not accepted."""
        is_known = len(self._codings) == 1 and self._codings[0] in _GZIP | _DEFLATE
        if self._unread and not is_known:
            raise UnsupportedPictureError(
                f"The Content-Encoding {', '.join(self._codings)[:64]} is not accepted; send the body"
                " without it, or as gzip or deflate.",
                headers={"Accept-Encoding": _ACCEPTED},
            )

    def _next_piece(self) -> bytes:
        """Return what can be decompressed now, at most one piece; note when the body is complete."""
        if self._decompressor is None and self._unread:
            self._decompressor = self._new_decompressor()
        if self._decompressor is None:
            self._complete = not self._more
            return b""
        try:
            piece: bytes = self._decompressor.decompress(self._unread, _PIECE_BYTES)
        except zlib.error as error:
            raise BadRequestError(
                f"The body is not {self._codings[0]}, or it is damaged."
            ) from error
        self._has_output = len(piece) == _PIECE_BYTES
        if self._decompressor.eof:
            self._unread = self._decompressor.unused_data
            self._decompressor = None
            self._has_output = False
        else:
            self._unread = self._decompressor.unconsumed_tail
            if not (self._more or self._unread or self._has_output):
                raise BadRequestError(f"The {self._codings[0]} body is not complete.")
        return piece

    def _new_decompressor(self) -> Any:
        self._members += 1
        if self._codings[0] in _GZIP:
            if self._members > _MAX_MEMBERS:
                raise BadRequestError(f"The gzip body has more than {_MAX_MEMBERS} members.")
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        if self._members > 1:
            raise BadRequestError("The deflate body has data after its end.")
        # Some clients leave out the header that deflate has in HTTP; its first byte ends with 8.
        has_header = self._unread[0] & 15 == 8
        return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
