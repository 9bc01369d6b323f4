"""Fetch pictures from URLs that callers send; `server.http.url_guard` decides which hosts are reached."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import httpx2 as httpx

from server.errors import FetchFailedError, FetchTooLargeError
from server.http.content_coding import compressions_of, decompress
from server.http.ip_ranges import Network
from server.http.processor_time import run_in_thread
from server.http.url_guard import REDIRECTS, UNREACHABLE, Resolve, Target, UrlGuard, parse_url

_FORMATS = ("JPEG", "PNG", "WEBP")

ReadResult = Callable[[str, int], bytes | None]
"""Returns the file of a result of this server for its link, at most as many bytes, or None for any
other URL; it blocks. Raises FetchFailedError, FetchTooLargeError, StoreUnavailableError."""


def _no_result(_: str, __: int) -> None:
    """Return None: this server has no results."""


class PictureFetcher:
    """Fetches pictures over http and https from any port of any public address; for one event loop."""

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        max_bytes: int = 12 * 1024 * 1024,
        timeout_s: float = 20,
        max_redirects: int = 5,
        *,
        user_agent: str = "Retouch",
        proxy: str | None = None,
        resolve: Resolve | None = None,
        read_result: ReadResult = _no_result,
    ) -> None:
        """Set the limits of each fetch.

        allowed_networks, proxy, resolve: see `UrlGuard`. max_bytes: of the file. timeout_s: for the
        whole fetch, with name resolution and redirects. user_agent: of each request. read_result:
        reads the links of this server itself, at every hop.
        """
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_redirects = max_redirects
        self._user_agent = user_agent
        self._read_result = read_result
        self._guard = UrlGuard(
            allowed_networks, timeout_s, "fetching pictures", proxy=proxy, resolve=resolve
        )

    async def aclose(self) -> None:
        """Close all connections; running fetches fail."""
        await self._guard.aclose()

    async def fetch(
        self, url: str, formats: Iterable[str] = _FORMATS, max_bytes: int | None = None
    ) -> bytes:
        """Return the file at `url`, at least 1 byte and at most `max_bytes`; compression is undone.

        formats: Pillow's names of those that the caller accepts. max_bytes: by default the limit of
        the fetcher, which always holds for a result of this server. Raises FetchFailedError and
        FetchTooLargeError, and StoreUnavailableError for a result.
        """
        # Hosts that offer several formats choose by this header.
        accept = ", ".join([*(f"image/{name.lower()}" for name in sorted(formats)), "*/*;q=0.1"])
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(parse_url(url), accept, max_bytes or self._max_bytes)
        except TimeoutError:
            raise FetchFailedError(
                f"The URL did not send the complete file in {self._timeout_s:g} s."
            ) from None

    async def _follow(self, url: httpx.URL, accept: str, max_bytes: int) -> bytes:
        headers = {"User-Agent": self._user_agent, "Accept": accept, "Accept-Encoding": "identity"}
        for _ in range(self._max_redirects + 1):
            # No request is sent to a link of this server: it would lead to a private address.
            result = await run_in_thread(self._read_result, str(url), self._max_bytes)
            if result is not None:
                return result
            target = await self._guard.target(url)
            async with self._guard.send("GET", target, headers) as response:
                if response.status_code not in REDIRECTS:
                    return await _read(response, target, max_bytes)
                # The body of a redirect is not read.
                url = parse_url(response.headers.get("Location", ""), base=url)
        raise FetchFailedError(f"The URL redirects more than {self._max_redirects} times.")


async def _read(response: httpx.Response, target: Target, max_bytes: int) -> bytes:
    """Return the file in the body, up to the limit before and after it is decompressed."""
    if not response.is_success:
        if not target.public:
            raise FetchFailedError(UNREACHABLE)
        raise FetchFailedError(f"The URL answered with status {response.status_code}.")
    compressions = compressions_of(response.headers.get("Content-Encoding", ""))
    declared = response.headers.get("Content-Length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > max_bytes:
        raise FetchTooLargeError(max_bytes)
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            if len(body) + len(chunk) > max_bytes:
                raise FetchTooLargeError(max_bytes)
            body += chunk
    except httpx.TransportError:
        raise FetchFailedError("The connection was closed before the file was complete.") from None
    file = bytes(body)
    if compressions:
        # Although none was requested: some hosts store their files compressed.
        file = await run_in_thread(decompress, file, compressions, max_bytes)
    if not file:
        raise FetchFailedError("The URL answered with an empty file.")
    return file
