"""What `retouch edit` does when a server is busy, breaks connections or refuses, and how it waits for jobs."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2 as httpx
import pytest

from retouch.edit.batch import links_in
from retouch.edit.connection import Connection, EditError, StopError

Answer = httpx.Response | Exception
Send = Callable[..., object]
OK = httpx.Response(200, json={"result_url": "http://server/results/a.png"})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that it waits, which do not pass."""
    seconds: list[float] = []

    async def sleep(wait: float) -> None:
        seconds.append(wait)

    monkeypatch.setattr("asyncio.sleep", sleep)
    return seconds


@pytest.fixture
def requests() -> list[httpx.Request]:
    """The requests that were sent."""
    return []


@pytest.fixture
def send(requests: list[httpx.Request], slept: list[float]) -> Send:
    """Send one request to a server that gives these answers, and return the last answer."""

    def send(*answers: Answer, patience_s: float = 900.0, local: bool = False) -> object:
        left: Iterator[Answer] = iter(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            given = next(left)
            if isinstance(given, Exception):
                raise given
            return given

        async def run() -> object:
            transport = httpx.MockTransport(answer)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                results = Path("/nowhere") if local else None
                it = Connection(client, "secret", results, patience_s)
                return await it.send("/v1/crop", {"sync": "true"}, {"file": ("a", b"x")}, "key-1")

        return asyncio.run(run())

    return send


def busy(status: int, retry_after: str | None) -> httpx.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(status, headers=headers, json={"error": "busy"})


def test_a_request_has_the_token_and_a_key(send: Send, requests: list[httpx.Request]) -> None:
    assert send(OK) == {"result_url": "http://server/results/a.png"}
    (request,) = requests
    assert request.headers["api_token"] == "secret"
    assert request.headers["Idempotency-Key"] == "key-1"


@pytest.mark.parametrize("status", [429, 503, 409])
def test_a_busy_server_is_asked_again_when_it_says(
    status: int, send: Send, slept: list[float], requests: list[httpx.Request]
) -> None:
    send(busy(status, "7"), busy(status, "0"), OK)
    assert slept == [7.0, 0.0]
    # The same request: the server does not work on it twice.
    assert {request.headers["Idempotency-Key"] for request in requests} == {"key-1"}


def test_a_date_is_understood_and_without_any_the_waits_grow(
    send: Send, slept: list[float]
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    send(busy(503, date), OK)
    assert 50 < slept[0] <= 60
    slept.clear()
    send(busy(503, None), busy(503, "soon"), busy(503, None), OK)
    assert slept == [1.0, 2.0, 4.0]


def test_a_longer_wait_than_anybody_has_patience_for_is_a_failure(
    send: Send, slept: list[float]
) -> None:
    with pytest.raises(EditError, match="busy"):
        send(busy(429, "3600"))
    assert slept == []


@pytest.mark.parametrize("status", [400, 406, 413, 415, 422, 500, 506])
def test_a_refusal_is_told_in_the_words_of_the_server(status: int, send: Send) -> None:
    with pytest.raises(EditError, match="file is no picture"):
        send(httpx.Response(status, json={"error": "file is no picture"}))
    with pytest.raises(EditError, match="image is no picture"):
        send(httpx.Response(status, json={"error": {"message": "image is no picture"}}))
    with pytest.raises(EditError, match=f"http://server/v1/crop answered {status}"):
        send(httpx.Response(status, text="<html>"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_stops_all(status: int, send: Send) -> None:
    with pytest.raises(StopError, match=r"unknown token.*--token"):
        send(httpx.Response(status, json={"error": "unknown token"}))


def test_a_server_that_is_not_there_stops_all_at_once(send: Send, slept: list[float]) -> None:
    with pytest.raises(StopError, match="http://server: refused"):
        send(httpx.ConnectError("refused"))
    assert slept == []


def test_a_broken_connection_is_tried_again(send: Send, slept: list[float]) -> None:
    broken = httpx.ReadError("reset")
    assert send(broken, broken, OK)
    assert slept == [1.0, 2.0]
    with pytest.raises(EditError, match="reset"):
        send(*[broken] * 5)


def test_no_json_is_told(send: Send) -> None:
    with pytest.raises(EditError, match="is it a Retouch server"):
        send(httpx.Response(200, text="hello"))


def test_a_job_is_waited_for(send: Send, slept: list[float], requests: list[httpx.Request]) -> None:
    accepted = httpx.Response(202, json={"request_id": "77", "status_url": "http://other/77"})
    working = httpx.Response(200, json={"status": "IN_PROGRESS"})
    done = httpx.Response(200, json={"status": "COMPLETED", "result": {"image_url": "http://x/y"}})
    assert links_in(send(accepted, working, busy(503, "9"), working, done)) == ["http://x/y"]
    assert slept == [0.5, 9.0, 0.5]
    assert [request.url.path for request in requests[1:]] == ["/v2/status/77"] * 4
    failed = {"status": "ERROR", "error": {"message": "no subject"}}
    with pytest.raises(EditError, match="no subject"):
        send(accepted, httpx.Response(200, json=failed))


def test_the_application_of_this_process_is_not_asked_again(
    send: Send, slept: list[float], requests: list[httpx.Request]
) -> None:
    with pytest.raises(EditError, match="busy"):
        send(busy(503, "7"), local=True)
    assert slept == []
    assert "Idempotency-Key" not in requests[0].headers


def test_links_are_found_in_their_order_and_texts_are_none() -> None:
    answer = {
        "result": [["http://a/1.png", 7], ["https://a/2.png", 8]],
        "prompt": "http://a is an address",
        "status_url": "http://a/status",
        "masks": [{"id": 1, "image_url": "http://a/3.png"}],
    }
    assert links_in(answer) == ["http://a/1.png", "https://a/2.png", "http://a/3.png"]


def test_a_result_is_read_without_the_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"png", headers={"Content-Type": "image/png"})

    async def read() -> tuple[bytes, str]:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await Connection(client, "secret").read("http://bucket/results/a.png?x=1")

    assert asyncio.run(read()) == (b"png", "image/png")
    assert seen[0].headers["api_token"] == ""
    assert seen[0].url.host == "bucket"
