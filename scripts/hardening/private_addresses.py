"""Sends URLs that lead to private addresses, in every spelling, wherever a stranger's address is accepted.

Pictures, org_image_key and webhooks, each directly and behind a redirect; then once more through a proxy.
Sockets listen on every address of this machine and count who connects. A finding is a connection from the
server, a request to the proxy for a host that is not public, an answer that is no refusal, or a 500.
"""

import itertools
import os
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.helpers.places import ROOT
from tests.helpers.private_addresses import all_hosts, urls
from tests.helpers.requests import b64, photo
from tests.helpers.server_process import Server

_HOP = "127.0.0.77"
"""The only address that the server may fetch from: there are the redirects."""
_MAY_BE_ASKED = frozenset({_HOP, "public.example"})
"""The hosts of which a proxy may be asked; the second is the other reading of some URLs."""
_REFUSED = (400, 415, 460)


class _Traps:
    """Sockets on one port of every address of this machine, which count the connections."""

    def __init__(self, stack: ExitStack) -> None:
        self.hits = 0
        first = self._listen(stack, socket.AF_INET, "0.0.0.0", 0)  # noqa: S104
        self.port = int(first.getsockname()[1])
        self._listen(stack, socket.AF_INET6, "::", self.port)

    def _listen(
        self, stack: ExitStack, family: socket.AddressFamily, host: str, port: int
    ) -> socket.socket:
        listening = stack.enter_context(socket.socket(family))
        if family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(64)
        threading.Thread(target=self._count, args=[listening], daemon=True).start()
        return listening

    def _count(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed at the end
                return
            self.hits += 1
            connection.close()


@contextmanager
def _redirects() -> Iterator[str]:
    """Serve redirects with the status and to the URL that a path names; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, _, location = self.path.lstrip("/").partition("/")
            # The URL of a redirect may have become the path of this server, which ends the matter.
            self.send_response(int(status) if status.isdecimal() else 404)
            self.send_header("Location", unquote(location))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with _serving(_HOP, Handler) as address:
        yield address


@contextmanager
def _proxy(asked: list[str]) -> Iterator[str]:
    """Serve a proxy that notes what it is asked for, and refuses it; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        do_POST = do_CONNECT = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with _serving("127.0.0.1", Handler) as address:
        yield address


@contextmanager
def _serving(host: str, handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()


def run(minutes: float) -> list[str]:
    """Send as many of the URLs as there is time for, half of it through a proxy; return the findings."""
    found: list[str] = []
    with ExitStack() as stack:
        traps, redirects = _Traps(stack), stack.enter_context(_redirects())
        asked: list[str] = []
        proxy = stack.enter_context(_proxy(asked))
        for name, settings in (("direct", {}), ("proxy", {"FETCH_PROXY": proxy})):
            found += _against(name, settings, traps, redirects, 30 * minutes)
        asked_for = [urlsplit(one).hostname or one for one in asked]
        found += [f"The proxy was asked for {one}" for one in asked_for if one not in _MAY_BE_ASKED]
        if traps.hits:
            found.append(f"{traps.hits} connections arrived at private addresses.")
        print(f"{traps.hits} connections to private addresses, {len(asked)} requests to the proxy")
    return found


def _against(
    name: str, settings: dict[str, str], traps: _Traps, redirects: str, seconds: float
) -> list[str]:
    """Send the URLs to a server with these settings."""
    weights = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data")) / "weights"
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", weights)
        try:
            server.start(
                ALLOWED_URL_NETWORKS=f"{_HOP}/32",
                ORG_IMAGE_URL="http://{key}",
                FETCH_TIMEOUT_S="5",
                WEBHOOK_RETRY_S="600",
                **settings,
            )
            return _send_all(name, server, traps.port, redirects, seconds)
        finally:
            server.close()


def _send_all(name: str, server: Server, port: int, redirects: str, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    codes: Counter[int] = Counter()
    found = []
    picture = b64(photo(32, 24))
    for url in itertools.takewhile(lambda _: time.monotonic() < deadline, _urls(port)):
        key = url.removeprefix("http://")
        requests = (
            ("/v1/crop", {"image_url": url}),
            ("/v1/crop", {"image_url": f"{redirects}/302/{url}"}),
            ("/v1/crop", {"image_url": f"{redirects}/307/{url}"}),
            ("/v1/register", {"org_image_key": key}),
            ("/v1/crop", {"file": picture, "sync": False, "webhook_url": url}),
        )
        for route, body in requests:
            answer = server.http.post(route, json=body)
            codes[answer.status_code] += 1
            # A webhook to a name is accepted: only its addresses, when it is sent, show where it leads.
            if answer.status_code not in (*_REFUSED, 200) or (
                answer.status_code == 200 and "webhook_url" not in body
            ):
                found.append(f"{name}: {answer.status_code} for {body}: {answer.text[:100]}")
    told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    print(f"{name}: {sum(codes.values())} requests; answers {told}")
    if "Traceback" in server.text():
        found.append(f"{name}: there is a traceback in the log")
    return found


def _urls(port: int) -> Iterator[str]:
    """Yield the URLs: every reading of some hosts, then every spelling of all hosts."""
    for host in ("127.0.0.1", "[::1]", "localhost", "0x7f.1", "[::ffff:7f00:1]"):
        yield from urls(host, port)
    for host in all_hosts():
        yield f"http://{host}:{port}/x.png"
