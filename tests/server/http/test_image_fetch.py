"""Picture URLs: which are fetched, which are refused; no private address gets a connection."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from server.errors import FetchFailedError, FetchTooLargeError
from server.http.image_fetch import PictureFetcher
from server.http.url_guard import _tls

LOOPBACK = (ip_network("127.0.0.0/8"),)
BODY = b"picture bytes" * 100

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Host:
    """An HTTP server on 127.0.0.1 with an answer for each path; it records the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def answer(self, path: str, status: str = "200 OK", body: bytes = b"", **headers: str) -> None:
        fields = {"Content-Length": str(len(body)), "Connection": "close"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        raw = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body

        async def send(writer: asyncio.StreamWriter) -> None:
            writer.write(raw)
            await writer.drain()

        self.answers[path] = send

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.answer(path, f"{status} Found", b"elsewhere", Location=to)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            await self.answers[head.split()[1]](writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the fetcher has disconnected
        finally:
            writer.close()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    server = await asyncio.start_server(host.handle, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    host.answer("/picture", body=BODY)
    yield host
    server.close()


@pytest.fixture
async def fetcher_of() -> AsyncIterator[Callable[..., PictureFetcher]]:
    made: list[PictureFetcher] = []

    def make(*args: Any, **options: Any) -> PictureFetcher:
        made.append(PictureFetcher(*args, **options))
        return made[-1]

    yield make
    for fetcher in made:
        await fetcher.aclose()


Make = Callable[..., PictureFetcher]


async def test_fetches_the_bytes_of_a_picture(host: Host, fetcher_of: Make) -> None:
    assert await fetcher_of(LOOPBACK).fetch(host.url("/picture")) == BODY


async def test_fetches_a_body_without_a_declared_length(host: Host, fetcher_of: Make) -> None:
    async def chunked(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
        )
        writer.write(b"0\r\n\r\n")

    host.answers["/chunked"] = chunked
    assert await fetcher_of(LOOPBACK).fetch(host.url("/chunked")) == b"abcde"


async def test_sends_the_given_host_and_no_other_headers(host: Host, fetcher_of: Make) -> None:
    host.answer("/sets", body=b"x", Set_Cookie="id=1")
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: ["127.0.0.1"])
    await fetcher.fetch(host.url("/sets", "pictures.example"))
    host.redirect("/hop", host.url("/picture", "pictures.example"))
    await fetcher.fetch(host.url("/hop", "pictures.example"))
    for head in host.requests:
        lines = head.lower().split("\r\n")
        assert f"host: pictures.example:{host.port}" in lines
        assert "accept-encoding: identity" in lines
        assert not [line for line in lines if line.startswith(("cookie:", "referer:"))]
    assert len(host.requests) == 3


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "[::]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
async def test_never_connects_to_this_machine(host: Host, fetcher_of: Make, name: str) -> None:
    with pytest.raises(FetchFailedError):
        await fetcher_of().fetch(host.url("/picture", name))
    assert host.requests == []


@pytest.mark.parametrize("name", ["2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_an_allowed_network_is_reached_in_any_notation(
    host: Host, fetcher_of: Make, name: str
) -> None:
    assert await fetcher_of(LOOPBACK).fetch(host.url("/picture", name)) == BODY


async def test_a_redirect_to_a_private_address_is_not_followed(
    host: Host, fetcher_of: Make
) -> None:
    host.redirect("/hop", "http://10.0.0.1/latest/meta-data")
    host.redirect("/metadata", "http://169.254.169.254/latest/meta-data")
    for path in ("/hop", "/metadata"):
        with pytest.raises(FetchFailedError, match="could not be reached"):
            await fetcher_of(LOOPBACK).fetch(host.url(path))


async def test_a_name_is_resolved_once_for_each_redirect(host: Host, fetcher_of: Make) -> None:
    resolved: list[str] = []

    def rebinding(name: str, port: int) -> list[str]:
        resolved.append(name)
        return ["127.0.0.1"] if resolved.count(name) == 1 else ["10.0.0.1"]

    host.redirect("/hop", host.url("/picture", "second.example"))
    fetcher = fetcher_of(LOOPBACK, resolve=rebinding)
    assert await fetcher.fetch(host.url("/hop", "first.example")) == BODY
    assert resolved == ["first.example", "second.example"]


async def test_a_name_that_becomes_private_between_calls_is_refused(
    host: Host, fetcher_of: Make
) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: next(answers))
    host.redirect("/hop", host.url("/picture", "pictures.example"))
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch(host.url("/hop", "pictures.example"))
    assert len(host.requests) == 1


async def test_only_the_allowed_addresses_of_a_name_are_used(host: Host, fetcher_of: Make) -> None:
    mixed = ["10.0.0.1", "::1", "fe80::1%eth0", "127.0.0.1"]
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: mixed)
    assert await fetcher.fetch(host.url("/picture", "mixed.example")) == BODY


async def test_the_next_address_is_tried_when_one_refuses(host: Host, fetcher_of: Make) -> None:
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: ["127.0.0.9", "127.0.0.1"])
    assert await fetcher.fetch(host.url("/picture", "two.example")) == BODY


async def test_follows_relative_redirects_up_to_the_limit(host: Host, fetcher_of: Make) -> None:
    for hop, status in enumerate((301, 302, 303, 307, 308)):
        host.redirect(f"/{hop}", f"/{hop + 1}" if hop < 4 else "picture", status)
    assert await fetcher_of(LOOPBACK, max_redirects=5).fetch(host.url("/0")) == BODY
    with pytest.raises(FetchFailedError, match="more than 4 times"):
        await fetcher_of(LOOPBACK, max_redirects=4).fetch(host.url("/0"))


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://x", "data:,x", ""]
)
async def test_a_redirect_to_another_scheme_is_refused(
    host: Host, fetcher_of: Make, location: str
) -> None:
    host.redirect("/hop", location)
    with pytest.raises(FetchFailedError):
        await fetcher_of(LOOPBACK).fetch(host.url("/hop"))
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "picture.png",
        "//127.0.0.1/x",
        "ftp://example.com/x.png",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://[::1",
        "http://exa mple/",
        "http://a:99999/",
        "http://x\0y/",
        "http://\ud800/",
        "http://" + "a" * 300 + "/",
        "http://" + "a" * 100_000,
        "http://user:secret@127.0.0.1/x",
        "http://user@127.0.0.1/x",
        "http://xn--\udcff/",
    ],
)
async def test_refuses_invalid_urls(fetcher_of: Make, url: str) -> None:
    with pytest.raises(FetchFailedError):
        await fetcher_of(LOOPBACK, timeout_s=5).fetch(url)


async def test_a_redirect_with_a_password_is_refused(host: Host, fetcher_of: Make) -> None:
    host.redirect("/hop", f"http://user:secret@127.0.0.1:{host.port}/picture")
    with pytest.raises(FetchFailedError, match="password"):
        await fetcher_of(LOOPBACK).fetch(host.url("/hop"))


async def test_a_declared_length_over_the_limit_is_refused_before_the_body(
    host: Host, fetcher_of: Make
) -> None:
    async def declare(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(5)

    host.answers["/large"] = declare
    with pytest.raises(FetchTooLargeError):
        await fetcher_of(LOOPBACK, max_bytes=1000, timeout_s=4).fetch(host.url("/large"))


async def test_a_body_without_length_is_stopped_at_the_limit(host: Host, fetcher_of: Make) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(10_000))
            await writer.drain()
            sent += 10_000

    host.answers["/endless"] = endless
    with pytest.raises(FetchTooLargeError):
        await fetcher_of(LOOPBACK, max_bytes=100_000).fetch(host.url("/endless"))
    assert sent < 50_000_000


async def test_a_body_of_exactly_the_limit_is_accepted(host: Host, fetcher_of: Make) -> None:
    assert await fetcher_of(LOOPBACK, max_bytes=len(BODY)).fetch(host.url("/picture")) == BODY
    with pytest.raises(FetchTooLargeError):
        await fetcher_of(LOOPBACK, max_bytes=len(BODY) - 1).fetch(host.url("/picture"))


async def test_a_slow_body_ends_at_the_timeout(host: Host, fetcher_of: Make) -> None:
    async def slow_body(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(600):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    host.answers["/slow_body"] = slow_body
    with pytest.raises(FetchFailedError, match=r"0\.3 s"):
        await fetcher_of(LOOPBACK, timeout_s=0.3).fetch(host.url("/slow_body"))


async def test_the_timeout_includes_all_redirects(host: Host, fetcher_of: Make) -> None:
    async def slow_loop(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")

    host.answers["/loop"] = slow_loop
    with pytest.raises(FetchFailedError, match=r"0\.3 s"):
        await fetcher_of(LOOPBACK, timeout_s=0.3, max_redirects=1000).fetch(host.url("/loop"))


async def test_a_slow_name_server_ends_at_the_timeout(fetcher_of: Make) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(name: str, port: int) -> list[str]:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(10)
        return []

    with pytest.raises(FetchFailedError, match=r"0\.2 s"):
        await fetcher_of(timeout_s=0.2, resolve=hang).fetch("http://slow.example/")
    released.set()


async def test_the_body_of_a_redirect_is_not_read(host: Host, fetcher_of: Make) -> None:
    async def endless_redirect(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /picture\r\n\r\n")
        while True:
            writer.write(bytes(10_000))
            await writer.drain()

    host.answers["/hop"] = endless_redirect
    assert await fetcher_of(LOOPBACK).fetch(host.url("/hop")) == BODY


async def test_a_compressed_answer_is_decompressed(host: Host, fetcher_of: Make) -> None:
    host.answer("/packed", body=gzip.compress(BODY), Content_Encoding="GZIP, aws-chunked")
    fetcher = fetcher_of(LOOPBACK, max_bytes=len(BODY))
    assert await fetcher.fetch(host.url("/packed")) == BODY
    with pytest.raises(FetchTooLargeError):
        await fetcher_of(LOOPBACK, max_bytes=len(BODY) - 1).fetch(host.url("/packed"))
    host.answer("/nothing", body=gzip.compress(b""), Content_Encoding="gzip")
    with pytest.raises(FetchFailedError, match="empty"):
        await fetcher.fetch(host.url("/nothing"))


@pytest.mark.parametrize("encoding", ["Identity", "", "aws-chunked", "UTF-8", "binary, none"])
async def test_another_encoding_is_no_compression(
    host: Host, fetcher_of: Make, encoding: str
) -> None:
    host.answer("/plain", body=BODY, Content_Encoding=encoding)
    assert await fetcher_of(LOOPBACK).fetch(host.url("/plain")) == BODY


async def test_the_request_says_what_is_accepted_and_who_asks(host: Host, fetcher_of: Make) -> None:
    host.redirect("/hop", "/picture")
    fetcher = fetcher_of(LOOPBACK, user_agent="Shop/1.0 (mail@shop.example)")
    await fetcher.fetch(host.url("/hop"), {"PNG", "JPEG"})
    await fetcher_of(LOOPBACK).fetch(host.url("/picture"))
    lines = [head.split("\r\n") for head in host.requests]
    for request in lines[:2]:
        assert "Accept: image/jpeg, image/png, */*;q=0.1" in request
        assert "User-Agent: Shop/1.0 (mail@shop.example)" in request
    assert "Accept: image/jpeg, image/png, image/webp, */*;q=0.1" in lines[2]
    assert "User-Agent: Retouch" in lines[2]


async def test_empty_and_invalid_answers_are_errors(host: Host, fetcher_of: Make) -> None:
    host.answer("/empty")
    host.answer("/nothing", "204 No Content")
    host.answer("/short", body=BODY, Content_Length="5000")

    async def garbage(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")

    async def silence(writer: asyncio.StreamWriter) -> None:
        pass

    host.answers |= {"/garbage": garbage, "/silence": silence}
    for path in ("/empty", "/nothing", "/short", "/garbage", "/silence"):
        with pytest.raises(FetchFailedError):
            await fetcher_of(LOOPBACK).fetch(host.url(path))


async def test_the_error_does_not_reveal_what_a_private_host_answered(
    host: Host, fetcher_of: Make
) -> None:
    for status in ("403 Forbidden", "404 Not Found", "500 Oops"):
        host.answer(f"/{status[:3]}", status, b"secret page")
    fetcher = fetcher_of(LOOPBACK)
    reasons: set[str] = set()
    for url in (
        host.url("/403"),
        host.url("/404"),
        host.url("/500"),
        "http://127.0.0.1:1/",  # refuses
        "http://10.0.0.1/",  # blocked
        "http://no-such-name.invalid/",
    ):
        with pytest.raises(FetchFailedError) as failure:
            await fetcher.fetch(url)
        reasons.add(failure.value.reason)
    assert len(reasons) == 1


async def test_tls_certificates_are_checked_against_the_name(
    host: Host, fetcher_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[bytes] = []

    def spy(self: ssl.SSLContext, *args: Any, **options: Any) -> ssl.SSLObject:
        names.append(options["server_hostname"])
        assert self.check_hostname
        assert self.verify_mode is ssl.CERT_REQUIRED
        raise ssl.SSLCertVerificationError("the certificate is for another name")

    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", spy)
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: ["127.0.0.1"])
    with pytest.raises(FetchFailedError):
        await fetcher.fetch(f"https://pictures.example.:{host.port}/picture")
    assert names == [b"pictures.example"]


async def test_the_certificates_of_the_system_are_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes longer than to make the rest of a server."""
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *given: read.append(given))
    _tls.cache_clear()
    for _ in range(3):
        await PictureFetcher().aclose()
    _tls.cache_clear()
    assert len(read) == 1


async def test_each_fetch_opens_its_own_connection(fetcher_of: Make) -> None:
    connections = 0

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(keep_alive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fetcher = fetcher_of(LOOPBACK, resolve=lambda name, port: ["127.0.0.1"])
    for name in ("one.example", "two.example"):  # one address, two certificates
        assert await fetcher.fetch(f"http://{name}:{port}/") == b"x"
    assert connections == 2
    server.close()
