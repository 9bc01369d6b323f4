"""Fetching pictures through a forward proxy: every request goes there, and private hosts are never named."""

import base64
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import FetchFailedError
from server.http.image_fetch import PictureFetcher
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, photo
from tests.helpers.services import free_port

BODY = photo()


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy that answers for every host itself, and refuses tunnels to all but one."""

    requests: list[tuple[str, str, str | None]] = []
    preferences: list[tuple[str | None, str | None]] = []
    user: str | None = None

    def do_GET(self) -> None:
        """Answer for the host in the request line."""
        if not self.admits():
            return
        self.preferences.append((self.headers["User-Agent"], self.headers["Accept"]))
        url = urlsplit(self.path)
        if url.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", url.path.removeprefix("/to/"))
            self.end_headers()
        elif url.path == "/missing":
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(BODY)

    def do_CONNECT(self) -> None:
        """Open no tunnel; one host gets an answer that is not TLS."""
        if self.admits():
            if self.path == "plain.example:443":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all")
            else:
                self.send_error(502)

    def admits(self) -> bool:
        """Record a request; answer 407 if it has not the right user."""
        given = self.headers.get("Proxy-Authorization")
        self.requests.append((self.command, self.path, given))
        if self.user is None or given == "Basic " + base64.b64encode(self.user.encode()).decode():
            return True
        self.send_error(407)
        return False

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    """Run a proxy; return its host and port."""
    Proxy.requests, Proxy.preferences, Proxy.user = [], [], None
    service = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.fixture
async def fetcher_of() -> AsyncIterator[Callable[..., PictureFetcher]]:
    async with contextlib.AsyncExitStack() as stack:

        def never(host: str, port: int) -> list[str]:
            raise AssertionError(f"{host} was resolved here")

        def make(proxy: str, **options: Any) -> PictureFetcher:
            fetcher = PictureFetcher(proxy=proxy, resolve=never, **options)
            stack.push_async_callback(fetcher.aclose)
            return fetcher

        yield make


Make = Callable[..., PictureFetcher]


async def test_every_request_goes_through_the_proxy(proxy: str, fetcher_of: Make) -> None:
    fetcher = fetcher_of(f"http://{proxy}")
    assert await fetcher.fetch("http://pictures.example:8080/a.png?x=1") == BODY
    assert await fetcher.fetch("http://a.example/to//b.png") == BODY
    assert Proxy.requests == [
        ("GET", "http://pictures.example:8080/a.png?x=1", None),
        ("GET", "http://a.example/to//b.png", None),
        ("GET", "http://a.example/b.png", None),
    ]
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch("https://pictures.example/a.png")
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch("https://plain.example/a.png")
    assert Proxy.requests[3:] == [
        ("CONNECT", "pictures.example:443", None),
        ("CONNECT", "plain.example:443", None),
    ]
    with pytest.raises(FetchFailedError, match="status 404"):
        await fetcher.fetch("http://a.example/missing")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "[::1]",
        "0x7f.1",
        "localhost",
        "retouch",
        "metadata.google.internal",
        "169.254.169.254",
    ],
)
async def test_private_hosts_are_not_asked_for(proxy: str, fetcher_of: Make, host: str) -> None:
    fetcher = fetcher_of(f"http://{proxy}")
    for address in (f"http://{host}/", f"https://{host}/", f"http://a.example/to/http://{host}/"):
        with pytest.raises(FetchFailedError, match="could not be reached"):
            await fetcher.fetch(address)
    assert {urlsplit(path).hostname for _, path, _ in Proxy.requests} == {"a.example"}


async def test_the_proxy_gets_its_user_and_no_log_has_the_password(
    proxy: str, fetcher_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Proxy.user = "us@er:hid:den"
    fetcher = fetcher_of(f"http://us%40er:hid%3Aden@{proxy}")
    assert await fetcher.fetch("http://a.example/b.png") == BODY
    with pytest.raises(FetchFailedError):
        await fetcher.fetch("https://a.example/b.png")
    expected = "Basic " + base64.b64encode(b"us@er:hid:den").decode()
    assert [given for _, _, given in Proxy.requests] == [expected] * 2
    Proxy.user = "changed:x"
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch("https://a.example/b.png")
    assert "refused: 407" in caplog.text
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch("http://a.example/b.png")
    assert "refuses the user or the password" in caplog.text
    assert "hid" not in caplog.text
    assert expected.split()[1] not in caplog.text


def test_the_settings_of_a_server_are_used(proxy: str, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, fetch_proxy=f"http://{proxy}", fetch_user_agent="Shop/1.0 (shop.example)"
    )
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        for route in ("/v1/crop", "/v1/background/remove"):
            answer = client.post(route, json={"image_url": "http://pictures.example/a.png"})
            assert answer.status_code == 200, answer.text
    agent = "Shop/1.0 (shop.example)"
    assert Proxy.preferences == [
        (agent, "image/jpeg, image/png, image/webp, */*;q=0.1"),
        (agent, "image/jpeg, image/png, */*;q=0.1"),  # a route that does not take WebP
    ]


async def test_a_proxy_that_does_not_answer_is_logged(
    fetcher_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    fetcher = fetcher_of(f"http://user:hidden@127.0.0.1:{free_port()}")
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch("http://a.example/b.png")
    assert "no connection through the proxy for fetching pictures: " in caplog.text
    assert "hidden" not in caplog.text
