"""ASGI middleware that limits request bodies: size, time, rate, and how many arrive at once."""

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ApiError, BodyTimeoutError, TooLargeError
from server.http.body_arrivals import Arrival, BodyArrivals

MIN_RATE = 1024
"""Bytes a second that a body must have on average, after the grace period. The slowest mobile uplink,
GPRS, has 2,500."""
RATE_GRACE_S = 5.0
"""Time that a caller may send nothing, in total, beyond that of the rate."""
DROPS_BODY = "retouch_drops_body"
"""Name in the state of a request that is set while the rest of its body is read and dropped."""
_DRAIN_TIMEOUT_S = 5.0
"""Longest time to read the rest of a refused request, so that its caller can read the error."""


class BoundedBody:
    """Limit the size of each request body, the time it takes to arrive, and how many arrive at once.

    max_bytes: of the body. timeout_s: from the first read to the last byte; only the time in which the
    server waits counts for `MIN_RATE`. arrivals: has a place for each body until it is complete. The
    code that reads the body gets TooLargeError, BodyTimeoutError, BusyError, or InvalidTokenError, because
    nothing is read from callers without an organisation. Before a response starts, the rest of the body
    is read and dropped within limits: if the connection closed while the caller sends, the caller would
    see a connection reset instead of the error.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, timeout_s: float, arrivals: BodyArrivals
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.arrivals = arrivals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with a limited `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self, scope, receive)

        async def drain_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.end()
                await body.drain()
            await send(message)

        try:
            await self.app(scope, body.receive, drain_and_send)
        finally:
            body.end()


class _Body:
    """The body of one request while it arrives."""

    def __init__(self, limits: BoundedBody, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        self._declared = int(length) if length.isdecimal() and len(length) < 20 else None
        self._expects_continue = headers.get("expect", "").lower() == "100-continue"
        self._scope = scope
        self._receive = receive
        self._limits = limits
        self._deadline: float | None = None
        self._arrival: Arrival | None = None
        self._waited_s = 0.0
        self._size = 0
        # Without either header there is no body (RFC 9112, section 6.3).
        self._complete = "content-length" not in headers and "transfer-encoding" not in headers
        self._is_too_slow = False

    async def receive(self) -> Message:
        """Return the next message; raises the errors of `BoundedBody`."""
        if self._complete:
            return await self._receive()
        if self._arrival is None:
            self._begin()
        try:
            message = await self._wait()
            self._count(message)
            if self._size > self._limits.max_bytes:
                raise self._too_large()
            if self._arrival is not None:
                self._arrival.grow(self._size)
        except ApiError:
            self.end()
            raise
        return message

    def end(self) -> None:
        """Give the place of the body back."""
        if self._arrival is not None:
            self._arrival.end()

    def _begin(self) -> None:
        if self._declared is not None and self._declared > self._limits.max_bytes:
            raise self._too_large()
        request = Request(self._scope)
        organisation = request.app.state.dependencies.tokens.organisation(request)
        self._arrival = self._limits.arrivals.begin(organisation, self._declared or 0)
        self._deadline = asyncio.get_running_loop().time() + self._limits.timeout_s

    async def _wait(self) -> Message:
        """Return the next message; raises BodyTimeoutError."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        patience_s = RATE_GRACE_S + self._size / MIN_RATE - self._waited_s
        deadline = self._deadline or 0.0
        try:
            async with asyncio.timeout_at(min(deadline, start + patience_s)):
                return await self._receive()
        except TimeoutError:
            self._is_too_slow = True
            if deadline <= start + patience_s:
                raise BodyTimeoutError(
                    f"The body took longer than {self._limits.timeout_s:g} s."
                ) from None
            raise BodyTimeoutError(
                f"The body arrives too slowly: it must have {MIN_RATE} bytes a second after"
                f" {RATE_GRACE_S:g} s."
            ) from None
        finally:
            self._waited_s += loop.time() - start

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than {self._limits.max_bytes // 2**20} MiB.")

    def _count(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._complete = True
            self.end()

    async def drain(self) -> None:
        """Read and drop the rest of the body within the limits."""
        # A caller that waits for `100 Continue` has sent nothing, and a read would make it send.
        if self._complete or (self._expects_continue and self._deadline is None):
            return
        if self._is_too_slow:
            return
        self._scope.setdefault("state", {})[DROPS_BODY] = True
        deadline = asyncio.get_running_loop().time() + _DRAIN_TIMEOUT_S
        if self._deadline is not None:  # no longer than the body's own timeout
            deadline = min(deadline, self._deadline)
        try:
            async with asyncio.timeout_at(deadline):
                while not self._complete and self._size <= 2 * self._limits.max_bytes:
                    self._count(await self._receive())
        except TimeoutError:
            return  # the caller is too slow and may see a connection reset
