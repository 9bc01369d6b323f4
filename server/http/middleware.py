"""What happens to every request before a route sees it, as plain ASGI: tidy path, bounded body, last resort."""

import asyncio
import logging
import re

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import (
    BodyTimeoutError,
    ShuttingDownError,
    TooLargeError,
    error_body,
    error_response,
)

log = logging.getLogger("retouch")

_SLASHES = re.compile(r"/{2,}")
_DRAIN_S = 5.0
"""Longest time to read what a refused caller still sends, so that it gets to read the refusal."""


class TidyPath:
    """Collapse `//` and drop a trailing slash: callers join paths to a base that ends in a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its path tidied."""
        if scope["type"] == "http":
            path = _SLASHES.sub("/", scope["path"])
            if len(path) > 1:
                path = path.rstrip("/") or "/"
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


class LastResort:
    """Answer a fault of our own with the one error body, and log it; never show its text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; where it raises before its response has started, answer 500.

        Answer 503 where it is cancelled, which is what becomes of requests once the grace period is over.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            return  # nobody is left to answer
        except asyncio.CancelledError:
            if started:
                raise
            await error_response(ShuttingDownError())(scope, receive, send)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            text = "The server failed to answer this request; the fault is in its log."
            await JSONResponse(error_body(500, text), 500)(scope, receive, send)


class BoundedBody:
    """Bound the size of each request body and the time it takes to arrive.

    max_bytes: largest body. timeout_s: longest time from the first read to the last byte, in seconds.
    Raises TooLargeError or BodyTimeoutError into whoever reads the body. Before a response starts, what is still
    coming is read and dropped within the same bounds: a caller whose connection is closed while it
    sends would see a reset instead of the refusal.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `receive` bounded."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(Headers(scope=scope), receive, self.max_bytes, self.timeout_s)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.drain()
            await send(message)

        await self.app(scope, body.receive, answer)


class _Body:
    """One request's body as it arrives."""

    def __init__(
        self, headers: Headers, receive: Receive, max_bytes: int, timeout_s: float
    ) -> None:
        length = headers.get("content-length", "")
        self._declared = int(length) if length.isdecimal() and len(length) < 20 else None
        self._expects = headers.get("expect", "").lower() == "100-continue"
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._size = 0
        # Without either header there is no body to come (RFC 9112, section 6.3).
        self._complete = "content-length" not in headers and "transfer-encoding" not in headers

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than {self._max_bytes // 2**20} MiB.")

    async def receive(self) -> Message:
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
        # A caller that awaits `100 Continue` has sent nothing, and reading would ask it to.
        if self._complete or (self._expects and self._deadline is None):
            return
        until = asyncio.get_running_loop().time() + _DRAIN_S
        if self._deadline is not None:  # a body that came too slowly already is not waited for
            until = min(until, self._deadline)
        try:
            async with asyncio.timeout_at(until):
                while not self._complete and self._size <= 2 * self._max_bytes:
                    self._count(await self._receive())
        except TimeoutError:
            return  # too slow to be waited for: it may see a reset
