"""Requests to URLs that callers name, protected against server-side request forgery (SSRF).

The host of every hop (the URL, then each redirect) is resolved once. Its addresses are checked, and
the connection goes to a checked address, so that the name cannot point to another address in between
(DNS rebinding). The name stays in the Host header and in TLS, which checks the certificate for it.

With a proxy, the proxy resolves names. Then only names are checked here, and the proxy must keep
requests out of private networks.
"""

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2 as httpx

from server.errors import FetchFailedError
from server.http.host_names import may_be_public
from server.http.ip_ranges import Network, is_public, parse_address

log = logging.getLogger("retouch")

UNREACHABLE = (
    "The URL could not be reached: its name is unknown, its host refuses or does not answer,"
    " or its address is not one that this server fetches from."
)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_TIMEOUT_S = 5.0
# A name may have many addresses that do not answer, so only the first few are tried.
_MAX_ADDRESSES = 4

Resolve = Callable[[str, int], list[str]]
"""Returns the IP addresses of a host name for a port, best first; raises OSError if there are none."""


@dataclass(frozen=True)
class Target:
    """One hop with its resolved and checked addresses; through a proxy, only its checked name."""

    url: httpx.URL
    addresses: tuple[str, ...]
    public: bool
    """Whether any address is public; the errors of private hosts are not shown to callers."""


class UrlGuard:
    """Sends requests over http and https to any port of any public address; for one event loop.

    Ports are not restricted: some hosts use unusual ones, and anyone can send the same request to a
    public host.
    """

    def __init__(
        self,
        allowed_networks: Sequence[Network],
        timeout_s: float,
        purpose: str,
        *,
        max_connections: int = 64,
        max_resolutions: int = 8,
        proxy: str | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """Set what holds for each request.

        allowed_networks: networks that are allowed although they are not public. timeout_s: for each
        part of a request. purpose: of the requests, for the log: "fetching pictures".
        max_connections: at the same time; a slow host occupies one until the timeout, and further
        requests wait. max_resolutions: names that are resolved at the same time. proxy: an http or
        https address, also with user and password, through which every request goes. resolve:
        replaces the system's resolver.
        """
        self._allowed_networks = tuple(allowed_networks)
        self._timeout_s = timeout_s
        self._purpose = purpose
        self._has_proxy = proxy is not None
        self._resolve = resolve or _resolve
        # In separate threads: a name server that does not answer blocks a thread until the system's
        # resolver times out, and must not block the threads of the rest of the program.
        self._resolvers = ThreadPoolExecutor(max_resolutions, "url-resolver")
        # Without keep-alive: the pool finds connections by address only. A connection that was opened
        # for one name, with that name's certificate, must not be used for another name.
        # A transport on its own ignores proxies from the environment, but uses SSL_CERT_FILE.
        limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(_tls(), limits=limits, proxy=_proxy(proxy))

    async def aclose(self) -> None:
        """Close all connections; running requests fail."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        await self._transport.aclose()

    async def target(self, url: httpx.URL) -> Target:
        """Return the target of `url` with the allowed addresses of its host; raises FetchFailedError."""
        host = url.raw_host.decode("ascii")
        if self._has_proxy:
            if not may_be_public(host, self._allowed_networks):
                raise FetchFailedError(UNREACHABLE)
            return Target(url, (host,), public=True)
        port = url.port or (443 if url.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        try:
            resolved = await loop.run_in_executor(self._resolvers, self._resolve, host, port)
        except (OSError, ValueError):  # ValueError: a label that is too long, or a zero byte
            raise FetchFailedError(UNREACHABLE) from None
        addresses = [address for text in resolved if (address := parse_address(text))]
        public = [str(address) for address in addresses if is_public(address)]
        allowed = [
            str(address)
            for address in addresses
            if is_public(address) or any(address in network for network in self._allowed_networks)
        ]
        if not allowed:
            raise FetchFailedError(UNREACHABLE)
        return Target(url, tuple(dict.fromkeys(allowed))[:_MAX_ADDRESSES], bool(public))

    @asynccontextmanager
    async def send(
        self, method: str, target: Target, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send the request to the first address that accepts a connection; raises FetchFailedError.

        Redirects are not followed: the caller parses and resolves their location as it did the URL.
        """
        response = None
        for address in target.addresses:
            try:
                response = await self._transport.handle_async_request(
                    _request(method, target.url, address, headers, content, self._timeout_s)
                )
                break
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if self._has_proxy:
                    log.warning("no connection through the proxy for %s: %s", self._purpose, error)
                continue
            except httpx.ProxyError as error:
                log.warning("the proxy for %s refused: %s", self._purpose, error)
                break
            except httpx.TransportError:
                break
        if response is None:
            raise FetchFailedError(UNREACHABLE)
        try:
            self._check_proxy(response)
            yield response
        finally:
            await response.aclose()

    def _check_proxy(self, response: httpx.Response) -> None:
        """Raise FetchFailedError for an answer of the proxy itself."""
        if self._has_proxy and response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            log.warning("the proxy for %s refuses the user or the password", self._purpose)
            raise FetchFailedError(UNREACHABLE)


def parse_url(url: str, base: httpx.URL | None = None, verb: str = "fetched") -> httpx.URL:
    """Return a parsed URL, or a redirect's location relative to `base`; raises FetchFailedError.

    verb: what is done with it, for the text of the error.
    """
    try:
        parsed = base.join(url) if base and url else httpx.URL(url)
    except (httpx.InvalidURL, ValueError):  # ValueError: a lone surrogate
        raise FetchFailedError("This is not a URL.") from None
    if parsed.scheme not in ("http", "https") or not parsed.raw_host:
        raise FetchFailedError(f"Only http and https URLs are {verb}.")
    if parsed.userinfo:
        raise FetchFailedError(f"A URL with a user name or password is not {verb}.")
    return parsed


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return how every guard checks certificates; made once, for reading the system's takes 60 ms."""
    return httpx.create_ssl_context()


def _proxy(address: str | None) -> httpx.Proxy | None:
    """Return a proxy; the certificate of an https one is checked as those of hosts are."""
    if address is None:
        return None
    is_tls = address.lower().startswith("https:")
    return httpx.Proxy(address, ssl_context=_tls() if is_tls else None)


def _request(
    method: str,
    url: httpx.URL,
    address: str,
    headers: Mapping[str, str],
    content: bytes | None,
    timeout_s: float,
) -> httpx.Request:
    """Return a request for `url` to `address`, without cookies and without a referer."""
    timeout = dict.fromkeys(("read", "write", "pool"), timeout_s)
    host = url.raw_host.decode("ascii")
    return httpx.Request(
        method,
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii"), **headers},
        content=content,
        extensions={
            "timeout": {**timeout, "connect": min(_CONNECT_TIMEOUT_S, timeout_s)},
            "sni_hostname": host.rstrip("."),
        },
    )


def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of the system's resolver, which also reads 0x7f.1 and 2130706433."""
    resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in resolved]
