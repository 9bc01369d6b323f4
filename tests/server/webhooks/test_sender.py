"""One webhook: what arrives, which answers are success, and which addresses are never called."""

import asyncio
import json
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import pytest

from server.errors import BadRequestError, WebhookFailedError
from server.webhooks.sender import WebhookSender
from server.webhooks.signing import signing_key
from server.webhooks.webhook import check_url
from tests.helpers.webhook_receiver import Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)
ID = "9f4c1f6f6f0e4d0b8a1f5f1d1c2b3a49"
BODY = json.dumps({"status": "COMPLETED", "request_id": ID, "result": {"image_url": "x"}}).encode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


async def send(url: str, networks: Any = LOOPBACK, timeout_s: float = 10, **options: Any) -> None:
    """Send one webhook with a sender of its own."""
    sender = WebhookSender(networks, timeout_s, **options)
    try:
        await sender.send(url, signing_key("secret-ä"), ID, BODY)
    finally:
        await sender.aclose()


async def test_a_receiver_gets_the_signed_body(receiver: Receiver) -> None:
    await send(receiver.url("/ok?a=b"), user_agent="Retouch test")
    (one,) = receiver.received
    assert one.body == BODY
    assert one.path == "/ok?a=b"
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["User-Agent"] == "Retouch test"
    assert one.headers["Bria-Webhook-Id"] == ID
    assert abs(int(one.headers["Bria-Webhook-Timestamp"]) - time.time()) < 60
    assert one.is_signed_with("secret-ä")
    assert not one.is_signed_with("secret-a")
    assert not {"Cookie", "Referer", "Authorization"} & set(one.headers)


@pytest.mark.parametrize("code", [200, 201, 202, 204])
async def test_any_2xx_is_success(receiver: Receiver, code: int) -> None:
    await send(receiver.url(f"/status?code={code}"))


@pytest.mark.parametrize("code", [304, 400, 404, 410, 422, 500, 503])
async def test_any_other_status_is_a_failure(receiver: Receiver, code: int) -> None:
    with pytest.raises(WebhookFailedError, match=f"status {code}"):
        await send(receiver.url(f"/status?code={code}"))


@pytest.mark.parametrize("path", ["/hang", "/drip"])
async def test_an_answer_must_come_in_time(receiver: Receiver, path: str) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(WebhookFailedError, match="no answer in"):
            await send(receiver.url(path), timeout_s=0.5)


async def test_a_2xx_counts_although_its_body_never_ends(receiver: Receiver) -> None:
    async with asyncio.timeout(8):
        await send(receiver.url("/slow-body"), timeout_s=0.5)


async def test_a_connection_that_closes_is_a_failure(receiver: Receiver) -> None:
    with pytest.raises(WebhookFailedError):
        await send(receiver.url("/close"))
    with pytest.raises(WebhookFailedError):
        await send("http://127.0.0.1:9/nobody-listens")


@pytest.mark.parametrize("code", [307, 308])
async def test_a_redirect_that_keeps_the_method_is_followed(receiver: Receiver, code: int) -> None:
    await send(receiver.url(f"/redirect?code={code}&to=/ok"))
    first, second = receiver.received
    assert second.path == "/ok"
    assert first.body == second.body == BODY
    assert second.is_signed_with("secret-ä")


@pytest.mark.parametrize("code", [301, 302, 303])
async def test_a_redirect_that_makes_it_a_get_is_a_failure(receiver: Receiver, code: int) -> None:
    with pytest.raises(WebhookFailedError, match=f"redirects with {code}.*308"):
        await send(receiver.url(f"/redirect?code={code}&to=/ok"))
    assert len(receiver.received) == 1


async def test_endless_redirects_end(receiver: Receiver) -> None:
    own = quote(receiver.url("/redirect?code=307&to=/redirect"))
    receiver_url = receiver.url(f"/redirect?code=307&to={own}")
    with pytest.raises(WebhookFailedError):
        await send(receiver_url)
    loop = receiver.url("/loop")
    receiver.answer = lambda handler, one: _redirect(handler, loop)  # type: ignore[method-assign]
    with pytest.raises(WebhookFailedError, match="more than 5 times"):
        await send(loop)


def _redirect(handler: Any, to: str) -> None:
    handler.send_response(307)
    handler.send_header("Location", to)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[::1]:{port}/ok",
        "http://0x7f.1:{port}/ok",
        "http://localhost:{port}/ok",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1:{port}/ok",
    ],
)
async def test_a_redirect_is_guarded_as_the_address_is(receiver: Receiver, to: str) -> None:
    port = receiver.url("").rpartition(":")[2]
    target = quote(to.format(port=port), safe="")
    # Only one name is allowed: it resolves to the receiver, whose address is not allowed otherwise.

    def resolve(host: str, _: int) -> list[str]:
        return ["127.0.0.1" if host == "hooks.example" else "10.0.0.1"]

    url = receiver.url(f"/redirect?code=307&to={target}", "hooks.example")
    with pytest.raises(WebhookFailedError):
        await send(url, [ip_network("127.0.0.1/32")], resolve=resolve)
    assert [one.path.partition("?")[0] for one in receiver.received] == ["/redirect"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_never_called(receiver: Receiver, host: str) -> None:
    with pytest.raises(WebhookFailedError, match="could not be reached"):
        await send(receiver.url("/ok", host), ())
    assert receiver.received == []


async def test_each_hop_is_resolved_once_and_keeps_its_name(receiver: Receiver) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]])

    def resolve(_: str, __: int) -> list[str]:
        return next(answers)

    port = receiver.url("").rpartition(":")[2]
    to = quote(f"http://second.example:{port}/ok", safe="")
    await send(receiver.url(f"/redirect?code=308&to={to}", "first.example"), resolve=resolve)
    hosts = [one.headers["Host"] for one in receiver.received]
    assert hosts == [f"first.example:{port}", f"second.example:{port}"]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/bria?x=1",
        "http://hooks.example.com:8080",
        " https://hooks.example.com/a ",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
        "https://hooks.bücher.example/",
        "http://localhost/only-its-addresses-show-that",
    ],
)
def test_addresses_that_are_accepted(url: str) -> None:
    assert check_url(url, (), has_proxy=False) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.com/x",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "http://user@hooks.example.com/",
        "http://user:password@hooks.example.com/",
        "http://hooks.example.com:99999/",
        "http://hooks.example.com:0/",
        "http://two words.example/",
        "http://[::1",
        "http://hooks.example/\x00",
        "http://\ud800.example/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://10.1.2.3:8000/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://192.168.0.1./",
    ],
)
def test_addresses_that_are_refused_at_once(url: str) -> None:
    with pytest.raises(BadRequestError, match="webhook_url cannot be called") as caught:
        check_url(url, (), has_proxy=False)
    assert caught.value.parameter == "webhook_url"


def test_an_allowed_network_is_accepted_and_a_proxy_needs_a_public_name() -> None:
    assert check_url("http://127.0.0.1:8/x", LOOPBACK, has_proxy=False)
    assert check_url("https://hooks.example.com/", (), has_proxy=True)
    for url in ("http://localhost/", "http://metadata.internal/", "http://receiver/"):
        with pytest.raises(BadRequestError):
            check_url(url, (), has_proxy=True)
