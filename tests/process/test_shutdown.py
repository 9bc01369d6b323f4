"""Graceful shutdown: not ready at once, running requests answered, exit within the grace period."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from signal import SIGINT, SIGTERM

import httpx2 as httpx
import pytest
from PIL import Image

from tests.helpers.places import PHOTOS
from tests.helpers.server_process import TOKEN, Server, b64, encoded, sample, whole_picture

TIMEOUT_S = 180


def send_request(
    server: Server, data: bytes, path: str = "background/remove"
) -> httpx.Response | str:
    """Send a request on a new connection, as load balancers do; return the answer or the error."""
    try:
        with httpx.Client(headers=TOKEN, timeout=TIMEOUT_S) as http:
            return http.post(f"{server.http.base_url}/v1/{path}", json={"file": b64(data)})
    except httpx.ConnectError:
        return "refused"
    except httpx.TransportError as error:
        return f"disconnected: {error!r}"


def test_under_full_load_it_is_not_ready_at_once_and_every_request_is_answered(
    stopped: Server, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    server = stopped.start(DRAIN_S="2", GRACE_S="30", PRELOAD="true")
    data = sample(width=900)
    answers: list[httpx.Response | str] = []
    ended = threading.Event()

    def keep_calling() -> None:
        while not ended.is_set():
            answers.append(send_request(server, data))
            if answers[-1] == "refused":
                return

    with ThreadPoolExecutor(12) as callers:
        for _ in range(12):
            callers.submit(keep_calling)
        wait_until(lambda: len(answers) > 12)
        assert server.process is not None
        server.process.send_signal(SIGTERM)
        time.sleep(0.3)
        ready = httpx.get(f"{server.http.base_url}/readyz", timeout=TIMEOUT_S)
        assert (ready.status_code, ready.json()["status"]) == (503, "ending")
        assert httpx.get(f"{server.http.base_url}/healthz", timeout=TIMEOUT_S).status_code == 200
        assert server.process.wait(30) == 0, server.text()
        ended.set()
    responses = [answer for answer in answers if not isinstance(answer, str)]
    assert len(responses) > 12
    assert {answer.status_code for answer in responses} <= {200, 503}
    assert [answer for answer in answers if answer != "refused" and isinstance(answer, str)] == []
    assert "Traceback" not in server.text()


def test_a_new_connection_is_still_answered(stopped: Server) -> None:
    server = stopped.start(DRAIN_S="0")
    address = server.http.base_url
    with socket.create_connection((address.host, address.port or 0), TIMEOUT_S) as early:
        time.sleep(0.2)  # until the server has accepted it
        assert server.process is not None
        server.process.send_signal(SIGTERM)
        time.sleep(0.6)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port or 0), TIMEOUT_S)
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        # Read to the end: the server closes the connection afterwards.
        answer = early.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert server.process.wait(20) == 0


def test_a_connection_without_a_request_does_not_delay_the_shutdown(stopped: Server) -> None:
    server = stopped.start(DRAIN_S="0", GRACE_S="30")
    address = server.http.base_url
    with socket.create_connection((address.host, address.port or 0), TIMEOUT_S):
        time.sleep(0.2)
        started = time.monotonic()
        assert server.end(SIGTERM) == 0
        assert time.monotonic() - started < 15


def test_requests_longer_than_the_grace_period_are_503(stopped: Server) -> None:
    server = stopped.start(GRACE_S="8", WORKERS="1", PRELOAD="true")
    large = encoded(Image.open(PHOTOS / "coffee.jpg").resize((2000, 1250)), "JPEG")
    running_and_queued = 2
    with ThreadPoolExecutor(running_and_queued) as callers:
        path = "image/increase_resolution?desired_increase=4"
        calls = [
            callers.submit(send_request, server, large, path) for _ in range(running_and_queued)
        ]
        time.sleep(1.5)
        assert server.end(SIGTERM) == 0, server.text()
        answers = [caller.result(TIMEOUT_S) for caller in calls]
    for answer in answers:
        assert isinstance(answer, httpx.Response), answer
        assert answer.status_code == answer.json()["code"] == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert "Traceback" not in server.text()


def test_an_idle_server_ends_at_once_without_warnings(stopped: Server) -> None:
    server = stopped.start()
    assert server.end(SIGTERM) == 0
    assert "exiting without waiting" not in server.text()
    assert "Traceback" not in server.text()
    server.start()
    assert server.end(SIGINT) == 0


def test_a_running_job_finishes_before_the_end(stopped: Server) -> None:
    server = stopped.start(WORKERS="1")
    data = sample(width=900)
    body = {"file": b64(data), "sync": False}
    link = server.http.post("/v1/background/remove", json=body).json()["result_url"]
    assert server.end(SIGTERM) == 0
    server.start()
    deadline = time.monotonic() + TIMEOUT_S
    while (answer := server.read(link)).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert whole_picture(answer.content) == whole_picture(data)


def test_two_servers_do_not_share_a_folder(stopped: Server) -> None:
    server = stopped.start()
    first = server.process
    log = server.text()
    second = server.launch(API_TOKENS="a:secret-a")
    assert second.wait(TIMEOUT_S) == 2
    assert "another server uses the data folder" in server.text()
    server.process = first
    assert "Traceback" not in log
    assert server.http.get("/readyz").status_code == 200
