"""No address that is not public gets a connection, however it is spelled and whatever its name resolves to."""

import ast
import itertools
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from server.errors import BadRequestError, FetchFailedError
from server.http.image_fetch import PictureFetcher
from server.http.url_guard import UrlGuard, parse_url
from server.webhooks.webhook import check_url
from tests.helpers.places import ROOT
from tests.helpers.private_addresses import NOT_PUBLIC, all_hosts, urls

PUBLIC = "93.184.216.34"
LAYERS = ("retouch", "server", "pipelines", "models", "imaging", "storage")
OPENERS = {
    "httpx": {"Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport", "stream", "request"}
    | {"get", "post", "put", "head", "delete", "patch", "options"},
    "httpx2": {"Client"},
    "socket": {"create_connection", "socket", "socketpair"},
    "asyncio": {"open_connection", "open_unix_connection"},
    "anyio": {"connect_tcp", "connect_unix", "create_connected_udp_socket"},
    "request": {"urlopen", "urlretrieve", "Request", "build_opener"},
    "client": {"HTTPConnection", "HTTPSConnection"},
    "obstore": {"store"},
}
"""By module: what opens a connection."""
MAY_OPEN = {
    "server/http/url_guard.py": "the guard itself",
    "server/http/accepting.py": "accepts connections, and opens none",
    "retouch/checks/services.py": "asks the port of the settings on this machine",
    "retouch/client/async_client.py": "the program that uses the client names the server",
    "retouch/client/sync_client.py": "the program that uses the client names the server",
    "retouch/edit/connection.py": "the user of the command names the server",
    "retouch/smoke.py": "the user of the command names the server",
    "server/listener.py": "listens, and asks whether the port is taken",
    "server/http/shutdown.py": "closes the sockets that listen",
    "models/weights/download.py": "the addresses of weights are in the registry",
    "models/weights/resume.py": "the addresses of weights are in the registry",
    "storage/bucket.py": "the address of the store is a setting",
    "storage/s3.py": "the address of the store is a setting",
}
"""By file: why the addresses there are not those of callers."""


class Connections(httpx.AsyncBaseTransport):
    """Records where connections would go instead of opening them. answers: by host, a redirect's location."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.locations: Iterator[str] = iter(())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.hosts.append(request.url.host)
        location = next(self.locations, None)
        if location is None:
            raise httpx.ConnectError("recorded")
        return httpx.Response(302, headers=[(b"Location", location.encode())])


def recorded(guard: UrlGuard) -> Connections:
    """Return the recorder that takes the place of a guard's connections."""
    connections = Connections()
    guard._transport = connections  # type: ignore[assignment]
    return connections


def fetcher(**options: Any) -> tuple[PictureFetcher, Connections]:
    made = PictureFetcher(**options)
    return made, recorded(made._guard)


async def refuse(fetching: PictureFetcher, url: str) -> None:
    with pytest.raises(FetchFailedError):
        await fetching.fetch(url)


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_no_spelling_of_a_private_host_gets_a_connection(proxy: str | None) -> None:
    fetching, connections = fetcher(proxy=proxy)
    spelled = list(all_hosts())
    assert len(spelled) > 1500
    for host in spelled:
        await refuse(fetching, f"http://{host}:8000/x.png")
    assert connections.hosts == []
    await fetching.aclose()


async def test_no_reading_of_a_url_gets_a_private_connection() -> None:
    # The name that the other reading finds is public, so that a request to it is right.
    fetching, connections = fetcher(
        resolve=lambda host, port: [PUBLIC if "public.example" in host else "127.0.0.1"]
    )
    for host in ("127.0.0.1", "[::1]", "localhost", "0x7f.1", "[::ffff:7f00:1]"):
        for url in urls(host, 8000):
            await refuse(fetching, url)
    assert set(connections.hosts) <= {PUBLIC}
    await fetching.aclose()


async def test_a_redirect_is_checked_as_the_first_address_is() -> None:
    fetching, connections = fetcher(resolve=resolve_literally)
    for host in itertools.islice(all_hosts(), 0, None, 7):
        connections.hosts.clear()
        connections.locations = iter([f"http://{host}:8000/x.png"])
        await refuse(fetching, "http://public.example/hop")
        assert connections.hosts == [PUBLIC], host
    await fetching.aclose()


def resolve_literally(host: str, port: int) -> list[str]:
    """Return the public address for the public name, and the system's answer for all others."""
    from server.http.url_guard import _resolve

    return [PUBLIC] if host == "public.example" else _resolve(host, port)


async def test_a_name_is_resolved_once_and_the_checked_address_gets_the_connection() -> None:
    """DNS rebinding: the second answer of the name server is a private address."""
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"]])
    fetching, connections = fetcher(resolve=lambda host, port: next(answers))
    await refuse(fetching, "http://rebinding.example/x.png")
    assert connections.hosts == [PUBLIC]
    await fetching.aclose()


@pytest.mark.parametrize("private", [*NOT_PUBLIC, "::1", "fd00:ec2::254", "64:ff9b:1::a00:1"])
async def test_of_several_addresses_only_the_public_ones_get_a_connection(private: str) -> None:
    fetching, connections = fetcher(resolve=lambda host, port: [private, PUBLIC, private])
    await refuse(fetching, "http://mixed.example/x.png")
    assert connections.hosts == [PUBLIC]
    await fetching.aclose()


@pytest.mark.parametrize("private", NOT_PUBLIC)
async def test_a_name_with_private_addresses_only_gets_no_connection(private: str) -> None:
    """A CNAME too: the resolver returns the addresses at the end of the chain."""
    inside = [private, f"::ffff:{private}", f"64:ff9b::{private}", f"::{private}"]
    fetching, connections = fetcher(resolve=lambda host, port: inside)
    await refuse(fetching, "http://private.example/x.png")
    assert connections.hosts == []
    await fetching.aclose()


async def test_every_address_that_gets_a_connection_is_global() -> None:
    """By Python's own table, for addresses around every border of the networks."""
    edges = [int(ip_address(one)) + step for one in NOT_PUBLIC for step in (-(2**16), -1, 0, 1)]
    texts = [str(ip_address(edge % 2**32)) for edge in edges]
    fetching, connections = fetcher(resolve=lambda host, port: texts_for(host, texts))
    for number in range(len(texts)):
        with pytest.raises(FetchFailedError):
            await fetching.fetch(f"http://n{number}.example/")
    # Python calls multicast global, and Azure's host agent has a public address.
    assert connections.hosts
    for host in connections.hosts:
        address = ip_address(host)
        assert address.is_global, host
        assert not address.is_multicast, host
        assert address not in ip_network("168.63.129.16/32")
    await fetching.aclose()


def texts_for(host: str, texts: list[str]) -> list[str]:
    return [texts[int(host.partition(".")[0][1:])]]


def test_a_webhook_to_a_private_address_is_refused_before_the_work() -> None:
    taken = []
    for host in all_hosts():
        try:
            taken.append(check_url(f"http://{host}:8000/", [], has_proxy=True))
        except BadRequestError:
            continue
    assert taken == []


async def test_what_is_no_url_is_a_refusal_and_no_fault() -> None:
    guard = UrlGuard([], 5, "test")
    connections = recorded(guard)
    for url in (
        "http://[::1",
        "http://a:99999/",
        "http://\x00/",
        "http://" + "a." * 5000,
        "http://%",
    ):
        with pytest.raises(FetchFailedError):
            await guard.target(parse_url(url))
    assert connections.hosts == []
    await guard.aclose()


def opened(file: Path) -> set[str]:
    """Return the calls in a file that open a connection."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            parent = ast.unparse(node.value).rpartition(".")[2]
            if node.attr in OPENERS.get(parent, ()):
                found.add(f"{parent}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            module = node.module.rpartition(".")[2]
            names = {alias.name for alias in node.names}
            found |= {f"{module}.{name}" for name in names & OPENERS.get(module, set())}
            if node.module.startswith(("obstore.store", "aiohttp", "requests", "urllib3")):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {
                one.name for one in node.names if one.name in ("aiohttp", "requests", "urllib3")
            }
    return found


def test_only_the_guard_opens_connections_to_addresses_of_callers() -> None:
    files = [file for layer in LAYERS for file in (ROOT / layer).rglob("*.py")]
    opening = {str(file.relative_to(ROOT)) for file in files if opened(file)}
    assert opening <= MAY_OPEN.keys()
    assert "server/http/url_guard.py" in opening
    assert "storage/s3.py" in opening
