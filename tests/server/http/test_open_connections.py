"""When there are too many connections, the right ones are closed, and the log says so."""

import asyncio
import errno
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvloop

from server.descriptors import max_connections
from server.http.accepting import Acceptor
from server.http.open_connections import OpenConnections
from tests.helpers.places import ROOT


class Connection:
    """A connection that notes whether it was closed."""

    is_read = True
    is_dropped = False
    reads_slowly = False
    is_closed = False

    def is_slow(self) -> bool:
        return self.reads_slowly

    def close_now(self) -> None:
        self.is_closed = True


def test_the_oldest_without_a_request_is_closed_first_then_the_oldest_idle_one() -> None:
    table = OpenConnections(5)
    new, answered, busy, later, last = (Connection() for _ in range(5))
    for one in (answered, busy, later, new, last):
        table.opened(one)
    for one in (answered, busy, later):
        table.began(one)
    table.answered(later)
    table.answered(answered)
    answered.is_read = False
    closed = []
    for _ in range(4):
        extra = Connection()
        if table.make_room():
            table.opened(extra)
            table.began(extra)
        closed.append([one for one in (new, answered, busy, later, last) if one.is_closed])
    assert closed == [[new], [new, last], [new, later, last], [new, later, last]]
    assert len(table) == 5
    answered.is_read = True
    assert table.make_room()
    assert answered.is_closed
    table.opened(later)
    table.began(later)
    refused = Connection()
    table.opened(refused)
    table.began(refused)
    table.closed(later)
    busy.reads_slowly = refused.is_dropped = True
    assert table.make_room()
    assert refused.is_closed
    table.opened(later)
    table.began(later)
    assert table.make_room()
    assert busy.is_closed


def test_connections_that_are_being_opened_count() -> None:
    table = OpenConnections(2)
    assert table.make_room(1)
    assert not table.make_room(2)


def test_the_log_says_it_at_once_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("server.http.open_connections.time.monotonic", lambda: now[0])
    table = OpenConnections(1)
    with caplog.at_level(logging.WARNING, "retouch"):
        for second in range(130):
            now[0] = 100.0 + second
            assert table.make_room()
            table.opened(Connection())
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    assert "the limit of 1 connections is reached: closed 1 idle or slow ones" in texts[0]
    assert "closed 60 idle or slow ones" in texts[1]
    with caplog.at_level(logging.WARNING, "retouch"):
        table.accept_failed(OSError(errno.EMFILE, "Too many open files"))
    assert "Too many open files" in caplog.messages[-1]
    assert len(table) == 0


@pytest.mark.parametrize(("descriptors", "most"), [(256, 85), (1024, 341), (65536, 4096), (1, 1)])
def test_connections_leave_descriptors_for_the_rest(descriptors: int, most: int) -> None:
    assert max_connections(descriptors) == most


def test_the_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    """In another process, because the limit of this one must stay."""
    code = (
        "import resource; from server.descriptors import raise_descriptor_limit;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200));"
        "print(raise_descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert told.stdout == b"200 (200, 200)\n"


class Echo(asyncio.Protocol):
    """Answers with what it got, and is in a table of connections."""

    def __init__(self, table: OpenConnections) -> None:
        self._table = table

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._table.opened(self)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.closed(self)

    is_read = True
    is_dropped = False

    def is_slow(self) -> bool:
        return False

    def close_now(self) -> None:
        self._transport.abort()


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """A runner on uvloop, as the server's, or on asyncio's own event loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def echoed(address: tuple[str, int]) -> bytes:
    """Send bytes on a new connection, and return the answer; it blocks."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"hello")
        return connection.recv(5)


def accepting(table: OpenConnections) -> tuple[Acceptor, tuple[str, int]]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    return Acceptor([listening], lambda: Echo(table), table), listening.getsockname()


def test_callers_are_served_although_idle_connections_reach_the_limit(
    runner: asyncio.Runner,
) -> None:
    async def scenario() -> None:
        table = OpenConnections(10)
        acceptor, address = accepting(table)
        loop = asyncio.get_running_loop()
        with ExitStack() as idle:
            for _ in range(50):
                idle.enter_context(socket.create_connection(address))
            assert await loop.run_in_executor(None, echoed, address) == b"hello"
            assert len(table) <= 10
        acceptor.close()
        await acceptor.wait_closed()

    runner.run(scenario())


class ExhaustedSocket(socket.socket):
    """A listening socket for which the system has no file descriptor, the first times."""

    failures = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_without_descriptors_callers_wait_and_are_served_later(
    runner: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        table = OpenConnections(1000)
        listening = ExhaustedSocket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        acceptor = Acceptor([listening], lambda: Echo(table), table)
        loop = asyncio.get_running_loop()
        address = listening.getsockname()
        assert await loop.run_in_executor(None, echoed, address) == b"hello"
        acceptor.close()
        await acceptor.wait_closed()

    with caplog.at_level(logging.WARNING, "retouch"):
        runner.run(scenario())
    assert "a connection could not be accepted ([Errno 24] Too many open files)" in caplog.text
