"""The connections of `retouch parity`: bounded in time and size, and to no private address that a link names."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from types import TracebackType
from typing import Self

import httpx2 as httpx

from server.errors import FetchFailedError
from server.http.ip_ranges import Network
from server.http.url_guard import UrlGuard, parse_url

MAX_ANSWER_BYTES = 4 * 2**20
MAX_FILE_BYTES = 64 * 2**20
_ANY: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_SILENCE_S = 120.0


class NotReadError(httpx.TransportError):
    """An answer was not read: it is too large or compressed, or its address is private."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. seconds: until the answer was whole."""

    method: str
    path: str
    response: httpx.Response
    seconds: float


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to one server anywhere, and reads links wherever they lead, but not to private addresses.

    If the server itself is at a private address, links may be too. exchanges: what was sent and answered since
    it was last cleared. until: when, on the monotonic clock, every request ends.
    """

    def __init__(self, base: str) -> None:
        self._base = parse_url(base)
        self._open = UrlGuard(_ANY, _SILENCE_S, "comparing servers")
        self._strict = UrlGuard((), _SILENCE_S, "comparing servers")
        self.exchanges: list[Exchange] = []
        self.until = float("inf")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole answer; raises NotReadError, httpx.ReadTimeout and what else a transport raises."""
        content = await request.aread()
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(self.until - began, 86_400))):
                response = await self._send(request, content)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer within the time limit", request=request) from None
        except FetchFailedError as error:
            raise NotReadError(error.reason, request=request) from None
        seconds = time.monotonic() - began
        kept = response
        if "api_token" not in request.headers:  # a file: its caller alone holds it
            kept = httpx.Response(response.status_code, headers=_without_length(response))
        self.exchanges.append(Exchange(request.method, request.url.path, kept, seconds))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._open.aclose()
        await self._strict.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def _send(self, request: httpx.Request, content: bytes) -> httpx.Response:
        is_call = _origin(request.url) == _origin(self._base)
        guard = self._open
        if not is_call and (await self._open.target(self._base)).public:
            guard = self._strict
        # Each part is compressed by nobody, so that the limit of bytes is one of memory.
        headers = {n: v for n, v in request.headers.items() if n not in ("host", "content-length")}
        target = await guard.target(request.url)
        most = MAX_FILE_BYTES if "api_token" not in headers else MAX_ANSWER_BYTES
        async with guard.send(request.method, target, headers, content or None) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise NotReadError("the answer is compressed, although that was not asked for")
            body = await _body(response, most)
            headers_read = [*_without_length(response), ("content-length", str(len(body)))]
            return httpx.Response(response.status_code, headers=headers_read, content=body)


async def _body(response: httpx.Response, most: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise NotReadError(f"the answer has more than {most // 2**20} MiB")
    return bytes(body)


def _without_length(response: httpx.Response) -> list[tuple[str, str]]:
    return [one for one in response.headers.multi_items() if one[0] != "content-length"]


def _origin(url: httpx.URL) -> Sequence[object]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
