"""Connections that are kept without being used end; others are left alone."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from server.http.connection import PatientConnection

LARGE = 64 * 2**20


class Hasty(PatientConnection):
    """Waits for a moment only."""

    request_timeout_s = 0.4
    reading_timeout_s = 2.0


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after more than a moment; with very much to `/large`."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.8)
    body = bytes(LARGE if scope["path"] == "/large" else 2)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port() -> Iterator[int]:
    """Serve on a port of this machine."""
    config = uvicorn.Config(slow, port=0, http=Hasty, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()


def ended(connection: socket.socket) -> bool:
    """Tell whether the other side hangs up; waits for ten seconds at most."""
    connection.settimeout(10)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def ends_in_spite_of(drop: bytes, connection: socket.socket) -> bool:
    """Tell whether the other side hangs up on one that goes on sending drops."""
    for _ in range(50):
        try:
            connection.sendall(drop)
        except ConnectionError:
            return True
        time.sleep(0.1)
    return False


def test_a_connection_that_asks_nothing_ends(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert ended(connection)


def test_a_head_in_drops_ends_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert ends_in_spite_of(b"x: y\r\n", connection)


def test_a_body_after_its_answer_ends_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert ends_in_spite_of(b"\r\n", connection)


def test_a_request_that_takes_longer_is_answered_and_so_is_the_next(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            time.sleep(0.6)  # the body may take longer than the head
            connection.sendall(b"ok")
            received = b""
            while not received.endswith(b"\0\0"):
                part = connection.recv(65536)
                assert part, "the connection ended"
                received += part
            assert received.startswith(b"HTTP/1.1 200 ")


def test_a_caller_who_reads_nothing_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(4)
        received = 0
        connection.settimeout(10)
        try:
            while part := connection.recv(2**20):
                received += len(part)
        except ConnectionError:
            pass
        assert 0 < received < LARGE


def test_a_caller_who_reads_slowly_gets_all(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        connection.settimeout(10)
        received = pauses = 0
        while part := connection.recv(2**22):
            received += len(part)
            if pauses < 50:  # however small the pieces are that arrive
                pauses += 1
                time.sleep(0.01)
        assert received > LARGE
