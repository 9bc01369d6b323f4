"""Idle and stalled connections are closed; others stay open.

The timers of the connection use a clock that the tests advance, so no test depends on the machine.
"""

import asyncio
import heapq
import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from models.log_context import REQUEST_ID, LogContext, log_context, log_scope
from server.http.connection import TimeoutConnection
from server.http.open_connections import OpenConnections

LARGE = 8 * 2**20
SMALL_WINDOW = 32 * 2**10
"""Receive buffer of the callers: small, so that the server buffers most of an answer."""
TIMEOUT_S = 10
"""Timeout, in real time, of anything that happens at once on an idle machine."""
KEEP_ALIVE_S = 5
HEAD = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"


class Timer:
    """A scheduled call that can be cancelled."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class Clock:
    """The event loop of a connection. Its timers run only when the test advances the time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, call: Callable[[], object]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self._now + delay, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Run every timer that is due within `seconds`, each at its time."""
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            self._now, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()
                await asyncio.sleep(0)
        self._now = until


class FakeClockConnection(TimeoutConnection):
    """A connection with a `Clock`; `latest` is the newest one of the test."""

    latest: "FakeClockConnection"
    clock: Clock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.clock = Clock(self.loop)
        self.loop = self.clock  # type: ignore[assignment]
        self.lost = asyncio.Event()
        FakeClockConnection.latest = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    def unread(self) -> int:
        return 0 if self.lost.is_set() else self._unread()


class Application:
    """Reads the body, waits for `may_answer`, then sends as many bytes as the path says."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.found: list[LogContext] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and note what lines have that are logged before the request has a scope of its own."""
        self.found.append({**log_context()})
        with log_scope({REQUEST_ID: scope["path"]}):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await self.may_answer.wait()
        if scope["path"] == "/fails":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(LARGE), "more_body": True})
            raise OSError
        body = bytes(int(scope["path"][1:]))
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Caller:
    """The other side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.received = 0

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def read(self, most: int = 2**16) -> bytes:
        """Wait for bytes and return them; return none at the end of the connection."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT_S):
            try:
                data = await loop.sock_recv(self._socket, most)
            except ConnectionError:
                return b""
        self.received += len(data)
        return data

    async def read_answer(self, body: int) -> bool:
        """Read an answer with a body of this length; return False if the connection ends first."""
        answer = b""
        while not (parted := answer.partition(b"\r\n\r\n"))[1] or len(parted[2]) < body:
            data = await self.read()
            if not data:
                return False
            answer += data
        assert answer.startswith(b"HTTP/1.1 200 ")
        return len(parted[2]) == body

    async def read_all(self) -> bytes:
        """Read to the end of the connection; return the bytes."""
        answer = b""
        while data := await self.read():
            answer += data
        return answer

    def end(self) -> None:
        """Send no more."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def read_to_end(self) -> int:
        """Read to the end of the connection; return the total number of bytes received."""
        while await self.read():
            pass
        return self.received


Scenario = Callable[[Application, Caller], Awaitable[None]]
Run = Callable[[Scenario], None]


@asynccontextmanager
async def served(application: Application) -> AsyncIterator[Caller]:
    """Serve `application` on one connection."""
    config = uvicorn.Config(
        application, ws="none", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S
    )
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: FakeClockConnection(
            config=config, server_state=state, app_state={}, open_connections=OpenConnections(9)
        ),
        "127.0.0.1",
        0,
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        connection.setblocking(False)
        await loop.sock_connect(connection, server.sockets[0].getsockname())
        await until(lambda: bool(state.connections))
        try:
            yield Caller(connection)
        finally:
            server.close()
            for protocol in list(state.connections):
                protocol.transport.abort()
            await until(lambda: not state.connections and not state.tasks)


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """A function that runs a scenario on uvloop, as the server does, or on asyncio's own event loop."""

    async def serve_and_run(scenario: Scenario) -> None:
        application = Application()
        async with served(application) as caller:
            await scenario(application, caller)

    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda scenario: runner.run(serve_and_run(scenario))


async def until(condition: Callable[[], bool]) -> None:
    """Wait, in real time, until a condition is true."""
    for _ in range(TIMEOUT_S * 1000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def lost(connection: FakeClockConnection) -> None:
    """Wait until the server has closed the connection."""
    async with asyncio.timeout(TIMEOUT_S):
        await connection.lost.wait()


async def answer_is_written(connection: FakeClockConnection) -> None:
    """Wait until the application has written all it can and some bytes are unread."""
    await until(
        lambda: (
            connection.unread() > 0
            and (connection.cycle.response_complete or connection.flow.write_paused)
        )
    )


async def read_slowly(caller: Caller, connection: FakeClockConnection) -> None:
    """Read all bytes in pieces, each shortly before the timeout."""
    while connection.unread():
        await connection.clock.advance(0.8 * connection.reading_timeout_s)
        # Measured here: the connection may have seen earlier progress at the start of this wait.
        before = connection.unread()
        # The caller's system may accept only small pieces.
        while before and connection.unread() >= before:
            assert await caller.read(), "the connection was closed"
            await asyncio.sleep(0)


def test_a_connection_without_a_request_is_closed(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await connection.clock.advance(0.9 * connection.request_timeout_s)
        assert not connection.transport.is_closing()
        await connection.clock.advance(0.4 * connection.request_timeout_s)
        assert await caller.read_to_end() == 0

    run(scenario)


@pytest.mark.parametrize("piece", [b"x: y\r\n", b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_only_a_complete_head_restarts_its_timeout(run: Run, piece: bytes) -> None:
    is_complete = piece.startswith(b"GET")

    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        if not is_complete:
            await caller.send(b"GET /2 HTTP/1.1\r\n")
        for _ in range(10):
            if connection.lost.is_set():
                break
            await caller.send(piece)
            if is_complete:
                assert await caller.read_answer(2)
            else:
                await asyncio.sleep(0.01)
            await until(lambda: connection.unread() == 0)
            await connection.clock.advance(0.9 * KEEP_ALIVE_S)
            if not is_complete:
                await connection.clock.advance(0.2 * connection.request_timeout_s)
        assert connection.lost.is_set() is not is_complete

    run(scenario)


def test_bytes_after_an_answer_do_not_keep_the_connection_open(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(HEAD % (b"/2", b""))
        assert await caller.read_answer(2)
        await caller.send(b"\r\n")  # uvicorn's own timer stops at any byte
        await until(lambda: connection.timeout_keep_alive_task is None)
        await connection.clock.advance(1.3 * connection.request_timeout_s)
        await lost(connection)

    run(scenario)


def test_a_slow_request_is_answered_and_so_is_the_next(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        for _ in range(2):
            application.may_answer.clear()
            await caller.send(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            await until(lambda: connection.scope is not None and not connection._is_idle())
            await connection.clock.advance(3 * connection.request_timeout_s)  # the body takes long
            await caller.send(b"ok")
            await connection.clock.advance(3 * connection.request_timeout_s)  # the work takes long
            application.may_answer.set()
            assert await caller.read_answer(2)
            await connection.clock.advance(0.9 * KEEP_ALIVE_S)

    run(scenario)


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (LARGE, b""),
        (LARGE, b"Connection: close\r\n"),
        (200_000, b""),
        ("fails", b""),
    ],
)
def test_a_caller_who_stops_reading_is_disconnected(run: Run, head: bytes, body: int | str) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(HEAD % (f"/{body}".encode(), head))
        await until(lambda: connection.unread() > 0)
        for _ in range(3):  # reading some bytes first does not help
            await caller.read()
        await asyncio.sleep(0.05)
        await connection.clock.advance(2 * connection.reading_timeout_s)
        await lost(connection)
        if body != 200_000:  # so few bytes can be in the kernel's buffer and still arrive
            assert 0 < await caller.read_to_end() < LARGE

    run(scenario)


@pytest.mark.parametrize(
    "head",
    [
        HEAD % (b"/%d" % LARGE, b""),
        HEAD % (b"/%d" % LARGE, b"Connection: close\r\n"),
        b"GET /%d HTTP/1.0\r\nHost: x\r\n\r\n" % LARGE,
        2 * HEAD % (b"/%d" % (LARGE // 2), b"", b"/%d" % (LARGE // 2), b""),
        HEAD % (b"/200000", b""),
    ],
    ids=["kept alive", "closed", "HTTP/1.0", "pipelined", "in the kernel"],
)
def test_a_caller_who_reads_slowly_gets_all(run: Run, head: bytes) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        connection.timeout_keep_alive = 10**6  # tested separately
        await caller.send(head)
        await answer_is_written(connection)
        await read_slowly(caller, connection)
        assert connection.clock.time() > 4 * connection.request_timeout_s
        if b"1.0" in head or b"close" in head:
            assert await caller.read_to_end() > LARGE
        else:
            await caller.send(HEAD % (b"/2", b""))
            request_count = head.count(b"GET") + 1
            await until(lambda: connection.server_state.total_requests == request_count)

    run(scenario)


def test_the_timeout_of_the_next_request_starts_when_the_answer_is_read(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(HEAD % (b"/%d" % LARGE, b""))
        assert await caller.read(10)
        await answer_is_written(connection)
        await connection.clock.advance(0.9 * connection.reading_timeout_s)
        while caller.received < LARGE:
            assert await caller.read()
        await until(lambda: connection.unread() == 0)
        await connection.clock.advance(0.9 * KEEP_ALIVE_S)
        assert not connection.transport.is_closing()
        await connection.clock.advance(2 * KEEP_ALIVE_S)
        await lost(connection)

    run(scenario)


@pytest.mark.parametrize("answered", [True, False])
def test_unread_bytes_at_the_shutdown_can_still_be_read(run: Run, answered: bool) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        if not answered:  # the shutdown begins before the answer
            application.may_answer.clear()
        await caller.send(HEAD % (b"/%d" % LARGE, b""))
        if answered:
            await answer_is_written(connection)
        else:
            await until(lambda: connection.cycle is not None)
        connection.shutdown()
        application.may_answer.set()
        connection.timeout_keep_alive = 10**6
        await answer_is_written(connection)
        await read_slowly(caller, connection)
        assert await caller.read_to_end() > LARGE
        await lost(connection)

    run(scenario)


def test_an_answer_to_head_has_no_body_and_the_connection_stays_open(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send((HEAD % (b"/%d" % LARGE, b"")).replace(b"GET", b"HEAD"))
        assert await caller.read_answer(0)
        await until(lambda: connection.unread() == 0)
        await connection.clock.advance(0.9 * KEEP_ALIVE_S)
        await caller.send(HEAD % (b"/2", b""))
        assert await caller.read_answer(2)

    run(scenario)


def test_a_caller_who_ends_its_side_gets_all_answers(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        application.may_answer.clear()
        await caller.send(HEAD % (b"/2", b"") + HEAD % (b"/3", b""))
        caller.end()
        await until(lambda: FakeClockConnection.latest.cycle is not None)
        await FakeClockConnection.latest.clock.advance(10)
        application.may_answer.set()
        answers = await caller.read_all()
        assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200 ") == 2
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert answers.endswith(b"\r\n\r\n\0\0\0")
        await lost(FakeClockConnection.latest)

    run(scenario)


def test_a_caller_who_ends_its_side_gets_a_long_answer(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        await caller.send(HEAD % (f"/{LARGE}".encode(), b""))
        caller.end()
        assert await caller.read_to_end() > LARGE

    run(scenario)


def test_a_caller_who_has_closed_the_connection_is_noticed(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        application.may_answer.clear()
        await caller.send(HEAD % (b"/2", b""))
        await until(lambda: connection.cycle is not None and not connection._is_idle())
        caller.close()
        for _ in range(TIMEOUT_S * 100):
            await connection.clock.advance(connection.reset_check_s)
            if connection.lost.is_set():
                break
            await asyncio.sleep(0.01)
        assert connection.cycle.disconnected
        application.may_answer.set()

    run(scenario)


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"]
)
def test_a_caller_who_ends_its_side_within_a_request_gets_nothing(run: Run, sent: bytes) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        await caller.send(sent)
        caller.end()
        assert await caller.read_to_end() == 0

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000, 431),
        (b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (
            b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ],
)
def test_a_refusal_has_the_error_body_and_closes_the_connection(
    run: Run, sent: bytes, status: int
) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(sent)
        head, _, body = (await caller.read_all()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in head.lower()
        assert json.loads(body)["code"] == status
        await caller.send(HEAD % (b"/2", b""))  # it is read and dropped
        await connection.clock.advance(connection.lingering_s)
        await lost(connection)

    run(scenario)


def test_a_malformed_request_after_a_complete_one_is_refused_after_its_answer(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        await caller.send(HEAD % (b"/2", b"") + b"GET / HTTP/1.1\nHost: x\n\n")
        answers = await caller.read_all()
        assert answers.index(b"HTTP/1.1 200 ") < answers.index(b"HTTP/1.1 400 ")

    run(scenario)


def test_a_request_that_came_early_has_nothing_of_the_one_before_it(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        last = HEAD % (b"/4", b"Connection: close\r\n")
        await caller.send(HEAD % (b"/2", b"") + HEAD % (b"/3", b"") + last)
        assert (await caller.read_all()).count(b"HTTP/1.1 200 ") == 3
        assert application.found == [{}, {}, {}]

    run(scenario)


def test_open_connections_knows_what_each_connection_does(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        table = connection._open_connections
        application.may_answer.clear()
        await caller.send(HEAD % (b"/2", b""))
        await until(lambda: connection in table._busy)
        application.may_answer.set()
        assert await caller.read_answer(2)
        await until(lambda: connection in table._idle)
        await caller.send(b"GET /2 HTT")
        await asyncio.sleep(0.02)
        assert connection in table._idle
        caller.close()
        await lost(connection)
        assert len(table) == 0

    run(scenario)


@pytest.mark.parametrize("is_slow", [True, False])
def test_who_reads_slowly_is_known(run: Run, is_slow: bool) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(HEAD % (f"/{LARGE}".encode(), b""))
        await answer_is_written(connection)
        assert not connection.is_slow()
        for _ in range(3):
            await connection.clock.advance(connection.slow_after_s / 2)
            before = connection.unread()
            while not is_slow and before and connection.unread() > before - 100_000:
                assert await caller.read()
                await asyncio.sleep(0)
        assert connection.is_slow() == is_slow

    run(scenario)


@pytest.mark.parametrize("piece", [0, 1, 10_000])
def test_who_sends_a_body_slowly_is_known(run: Run, piece: int) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        await caller.send(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await until(lambda: connection.cycle is not None)
        assert not connection.is_slow()
        for number in range(3):
            await connection.clock.advance(connection.slow_after_s / 2)
            received = connection._received
            await caller.send(bytes(piece))
            await until(lambda before=received: connection._received == before + piece)
            assert connection.is_slow() == (piece < 1000 and number > 0)

    run(scenario)


def test_who_waits_for_the_server_is_not_slow(run: Run) -> None:
    async def scenario(application: Application, caller: Caller) -> None:
        connection = FakeClockConnection.latest
        application.may_answer.clear()
        await caller.send(HEAD % (b"/2", b""))
        await until(lambda: connection.cycle is not None)
        for _ in range(3):
            assert not connection.is_slow()
            await connection.clock.advance(connection.slow_after_s)
        application.may_answer.set()
        assert await caller.read_answer(2)

    run(scenario)
