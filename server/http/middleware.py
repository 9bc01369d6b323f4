"""ASGI middleware: normalize paths, limit request bodies, and answer unhandled errors."""

import asyncio
import errno
import logging
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import (
    BodyTimeoutError,
    HttpError,
    ShuttingDownError,
    TooLargeError,
    UnavailableError,
)
from server.http.error_answers import error_response

log = logging.getLogger("retouch")

_SLASHES = re.compile(r"/{2,}")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Large parts of a multipart body are written to the folder of temporary files."""
_ABSOLUTE = re.compile(r"https?://(?:[^/?#@]*@)?([a-z0-9.:_\[\]-]+)(?=[/?#]|\Z)", re.IGNORECASE)
_DRAIN_TIMEOUT_S = 5.0
"""Longest time to read the rest of a refused request, so that its caller can read the error."""


class NormalizePath:
    """Make different forms of the same request target equal.

    `//` becomes `/` and a trailing slash is removed: some callers join paths with too many slashes. A
    target in absolute form, as for a proxy, becomes its path, and its host replaces the Host header (RFC
    9112, section 3.2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the normalized path."""
        if scope["type"] == "http":
            path = scope["path"]
            if absolute := _ABSOLUTE.match(path):
                scope = {**scope, "headers": _with_host(scope["headers"], absolute[1])}
                path = path[absolute.end() :] or "/"
            path = _SLASHES.sub("/", path)
            if len(path) > 1:
                path = path.rstrip("/") or "/"
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


def _with_host(headers: Sequence[tuple[bytes, bytes]], host: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), *(header for header in headers if header[0] != b"host")]


class UnhandledErrors:
    """Log an unhandled error and answer with the API's error body, without the error's text.

    A full disk is 503 with one line in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; answer 500 if it raises before the response has started.

        Answer 503 if the request is cancelled, which happens at the end of the grace period.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_watch)
        except ClientDisconnect:
            return  # the caller has disconnected
        except asyncio.CancelledError:
            if started:
                raise
            await error_response(ShuttingDownError(), scope)(scope, receive, send)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_FULL and not started:
                log.error("%s %s: %s", scope["method"], scope["path"], error)
                full = UnavailableError("The disk of the server is full; try again later.")
                await error_response(full, scope)(scope, receive, send)
                return
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            text = "The server failed to answer this request; the error is in its log."
            await error_response(HttpError(text, 500), scope)(scope, receive, send)


class BoundedBody:
    """Limit the size of each request body and the time it takes to arrive.

    max_bytes: of the body. timeout_s: from the first read to the last byte. The code that reads the
    body gets TooLargeError or BodyTimeoutError. Before a response starts, the rest of the body is read
    and dropped within limits: if the connection closed while the caller sends, the caller would see a
    connection reset instead of the error.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with a limited `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(Headers(scope=scope), receive, self.max_bytes, self.timeout_s)

        async def drain_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.drain()
            await send(message)

        await self.app(scope, body.receive, drain_and_send)


class _Body:
    """The body of one request while it arrives."""

    def __init__(
        self, headers: Headers, receive: Receive, max_bytes: int, timeout_s: float
    ) -> None:
        length = headers.get("content-length", "")
        self._declared = int(length) if length.isdecimal() and len(length) < 20 else None
        self._expects_continue = headers.get("expect", "").lower() == "100-continue"
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._size = 0
        # Without either header there is no body (RFC 9112, section 6.3).
        self._complete = "content-length" not in headers and "transfer-encoding" not in headers

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than {self._max_bytes // 2**20} MiB.")

    async def receive(self) -> Message:
        """Return the next message; raises TooLargeError, BodyTimeoutError."""
        if self._complete:
            return await self._receive()
        if self._declared is not None and self._declared > self._max_bytes:
            raise self._too_large()
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTimeoutError(f"The body took longer than {self._timeout_s:g} s.") from None
        self._count(message)
        if self._size > self._max_bytes:
            raise self._too_large()
        return message

    def _count(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._complete = True

    async def drain(self) -> None:
        """Read and drop the rest of the body within the limits."""
        # A caller that waits for `100 Continue` has sent nothing, and a read would make it send.
        if self._complete or (self._expects_continue and self._deadline is None):
            return
        deadline = asyncio.get_running_loop().time() + _DRAIN_TIMEOUT_S
        if self._deadline is not None:  # no longer than the body's own timeout
            deadline = min(deadline, self._deadline)
        try:
            async with asyncio.timeout_at(deadline):
                while not self._complete and self._size <= 2 * self._max_bytes:
                    self._count(await self._receive())
        except TimeoutError:
            return  # the caller is too slow and may see a connection reset
