"""The log of a real server: one line of JSON for each request, and a complaint that is found by its request id."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from signal import SIGKILL
from typing import Any

import pytest

from models.runtime.pool import Pool
from tests.helpers.log_lines import parsed
from tests.helpers.server_process import Server, b64, sample
from tests.helpers.webhook_receiver import receiving

Wait = Callable[[Callable[[], bool]], None]
SETTINGS = {
    "LOG_FORMAT": "json",
    "WORKERS": "1",
    "MAX_BODY_MB": "1",
    "RATE_LIMITS": "/v1/crop=1",
    "ALLOWED_URL_NETWORKS": "127.0.0.1/32",
}
CHUNKED = "api_token: secret-a\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
FORGED = "%0a%7b%22event%22:%22forged%22%7d%0d%1b%5b31m%e2%80%ae%e2%80%a8"
"""A path that is a line of its own where it is written as it is."""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Any, lite: Pool
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("logs"), weights_dir)
    yield server.start(**SETTINGS)
    server.close()


def send(server: Server, request: str) -> tuple[int, dict[str, str]]:
    """Send text over a new connection; return the code and the headers of the answer."""
    with socket.create_connection(("127.0.0.1", server.port()), timeout=30) as connection:
        connection.sendall(request.encode())
        received = b""
        while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
            received += part
    first, *lines = received.decode().partition("\r\n\r\n")[0].split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)


def about(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Return the lines about requests with an id."""
    lines = [line for line in parsed(server.text()) if line["logger"] == "retouch.audit"]
    return [line for line in lines if line["request_id"] == request_id]


@pytest.mark.parametrize(
    ("code", "request_line", "rest"),
    [
        (200, "GET /capabilities", "api_token: secret-a\r\n\r\n"),
        (401, "POST /v1/crop", "\r\n"),
        (404, f"GET /{FORGED}", "api_token: secret-a\r\n\r\n"),
        (404, f"GET /v1/{FORGED}/info", "api_token: secret-a\r\n\r\n"),
        (405, "DELETE /v1/crop", "api_token: secret-a\r\n\r\n"),
        (413, "POST /v1/crop", "api_token: secret-a\r\nContent-Length: 2000000\r\n\r\n"),
        (400, "POST /v1/eraser", f"{CHUNKED}\r\nZZ\r\n"),
    ],
)
def test_each_request_has_one_line_with_the_id_of_its_caller(
    server: Server, wait_until: Wait, code: int, request_line: str, rest: str
) -> None:
    sent = f"case-{code}-{len(request_line)}"
    head = f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: {sent}\r\n"
    answered, headers = send(server, f"{head}{rest}")
    assert (answered, headers["x-request-id"]) == (code, sent)
    wait_until(lambda: bool(about(server, sent)))
    (line,) = about(server, sent)
    assert line["code"] == code
    assert "forged" not in json.dumps(line)


@pytest.mark.parametrize(
    ("code", "head"),
    [
        (400, "nonsense"),
        (400, "GET / HTTP/1.1\r\nHost: x\r\nX: \x1b[31m"),
        (431, f"GET / HTTP/1.1\r\nHost: x\r\nX: {'y' * 70_000}"),
        (505, "GET / HTTP/2.0\r\nHost: x"),
    ],
)
def test_a_request_that_is_no_http_has_one_line(
    server: Server, wait_until: Wait, code: int, head: str
) -> None:
    answered, headers = send(server, f"{head}\r\n\r\n")
    assert answered == code
    wait_until(lambda: bool(about(server, headers["x-request-id"])))
    (line,) = about(server, headers["x-request-id"])
    assert (line["code"], line["operation"], line["organisation"]) == (code, None, None)


def test_a_caller_above_its_rate_and_one_who_hangs_up_have_lines(
    server: Server, wait_until: Wait
) -> None:
    for number in range(2):  # a refused request is not counted
        body = {"file": b64(sample())}
        server.http.post("/v1/crop", json=body, headers={"X-Request-ID": f"rate-{number}"})
    head = "POST /v1/eraser HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone\r\napi_token: secret-a\r\n"
    with socket.create_connection(("127.0.0.1", server.port())) as connection:
        connection.sendall(f"{head}Content-Length: 99\r\n\r\n{{".encode())
    wait_until(lambda: bool(about(server, "gone")))
    codes = [about(server, name)[0]["code"] for name in ("rate-0", "rate-1", "gone")]
    assert codes == [200, 429, 499]


def test_a_complaint_is_found_by_its_id_although_the_server_was_killed(
    server: Server, wait_until: Wait
) -> None:
    """A job begins in a server that is killed; the next one ends it and tells its caller's receiver."""
    body = {"image": b64(sample("chelsea")), "canvas_size": [1400, 1200]}
    with receiving() as receiver:
        body |= {"webhook_url": receiver.url()}
        for tries in range(5):
            sent = f"order-4711.{tries}"
            answer = server.http.post(
                "/v2/image/edit/expand", json=body, headers={"X-Request-ID": sent}
            )
            assert (answer.status_code, answer.headers["X-Request-ID"]) == (202, sent), answer.text
            job = answer.json()["request_id"]
            wait_until(lambda: is_seen(server, sent))  # noqa: B023
            server.end(SIGKILL)
            first = told(server, sent)
            server.start(**SETTINGS)
            if "the job has ended" not in first:  # it was killed in time
                break
        wait_until(lambda: "webhook of" in told(server, sent))
        second = told(server, sent)
    assert re.fullmatch("[0-9a-f]{32}", job)
    assert "POST /v2/image/edit/expand 202" in first
    assert [line for line in second.splitlines() if "job" in line] == [
        f"the job begins: {OPERATION} {job}",
        f"the job has ended: COMPLETED {job}",
    ]
    assert f"webhook of {job} to 127.0.0.1, try 1: sent {job}" in second


def is_seen(server: Server, request_id: str) -> bool:
    """Whether the line of a request is written, after its answer, and its job has begun."""
    text = told(server, request_id)
    return " 202 " in text and "the job begins" in text


OPERATION = "/v2/image/edit/expand"


def told(server: Server, request_id: str) -> str:
    """Return the texts of the lines with an id, each with the id of the job."""
    lines = [line for line in parsed(server.text()) if line.get("request_id") == request_id]
    return "\n".join(f"{line['event']} {line['job_id']}" for line in lines)
