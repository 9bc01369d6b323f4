"""Graceful shutdown: not ready at once, then no new connections, then exit within the grace period."""

import asyncio
import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn

from server.http.accepting import Acceptor
from server.http.open_connections import OpenConnections
from server.http.readers import FOR_OPERATORS

log = logging.getLogger("retouch")

_CLOSE_RESERVE_S = 3.0
"""Part of the grace period that is reserved for the time after the last answer: jobs, connections, files."""


class Shutdown:
    """The shutdown of the process: whether it has begun, and how many seconds remain.

    drain_s: time from the signal until the listener closes, in which load balancers notice that the
    server is not ready. grace_s: the longest time from the signal to the exit of the process.
    unfinished: whether threads still run when everything else is finished. failed: whether the start
    has failed, so that the server ends at once.
    """

    unfinished = False
    failed = False

    def __init__(self, drain_s: float, grace_s: float) -> None:
        self.drain_s = drain_s
        self.grace_s = grace_s
        self._started_at: float | None = None
        self._begin_hooks: list[Callable[[], None]] = []
        self._deadline_hooks: list[Callable[[], None]] = []

    @property
    def begun(self) -> bool:
        """Whether the shutdown has begun."""
        return self._started_at is not None

    def begin(self) -> None:
        """Begin the shutdown; this only stores the time, because a signal handler calls it."""
        if self._started_at is None:
            self._started_at = time.monotonic()

    def remaining(self) -> float:
        """Return the seconds that remain, at least 0; before the shutdown the whole grace period."""
        elapsed = 0.0 if self._started_at is None else time.monotonic() - self._started_at
        return max(0.0, self.grace_s - elapsed)

    def drained(self) -> bool:
        """Whether the drain time is over."""
        return self.begun and self.grace_s - self.remaining() >= self.drain_s

    def on_begin(self, hook: Callable[[], None]) -> None:
        """Add a function to call soon after the shutdown has begun."""
        self._begin_hooks.append(hook)

    def on_deadline_near(self, hook: Callable[[], None]) -> None:
        """Add a function to call shortly before the deadline, while waiting callers can get an answer."""
        self._deadline_hooks.append(hook)

    def run_begin_hooks(self) -> None:
        """Call the functions of `on_begin`, each once."""
        while self._begin_hooks:
            self._begin_hooks.pop(0)()

    def watch(self) -> None:
        """Call the functions of `on_deadline_near` in time, and exit when the time is over; never returns."""
        time.sleep(max(0.0, self.remaining() - 2 * _CLOSE_RESERVE_S))
        for hook in self._deadline_hooks:
            hook()
        time.sleep(self.remaining())
        log.critical("the grace period of %g s is over: exiting without waiting", self.grace_s)
        os._exit(1)

    def exit(self, status: int) -> int:
        """Return `status`, or exit the process at once with it if threads still run.

        A normal exit of the interpreter stops such threads, and networks in C++ then abort the process.
        """
        if self.unfinished:
            log.warning("exiting with unfinished work that did not stop in time")
            logging.shutdown()
            os._exit(status)
        return status


class GracefulServer(uvicorn.Server):
    """uvicorn's server with a drain time after SIGTERM in which it still accepts requests.

    A second signal, or Ctrl-C, closes the listener at once. The process exits at the end of the grace
    period even if something hangs.

    operators: host and port of a second listener, whose requests `server.http.readers` knows; None: there is
    none.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        shutdown: Shutdown,
        connections: OpenConnections,
        operators: tuple[str, int] | None = None,
    ) -> None:
        config.timeout_graceful_shutdown = max(
            1, int(shutdown.grace_s - shutdown.drain_s - _CLOSE_RESERVE_S)
        )
        super().__init__(config)
        self._shutdown = shutdown
        self._connections = connections
        self._operators = operators
        self._refuses_connections = False
        watcher = threading.Thread(target=shutdown.watch, name="shutdown", daemon=True)
        shutdown.on_begin(watcher.start)

    @property
    def port(self) -> int:
        """The port on which it listens; known once it has started."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; connections are accepted by an `Acceptor` instead of the event loop's server."""
        await super().startup(sockets)
        self.servers = [self._acceptor(self.servers, self.lifespan.state)]
        if self._operators is not None:
            host, port = self._operators
            loop = asyncio.get_running_loop()
            server = await loop.create_server(
                asyncio.Protocol, host, port, backlog=self.config.backlog
            )
            self.servers.append(self._acceptor([server], {**self.lifespan.state, **FOR_OPERATORS}))
            port = self.servers[-1].sockets[0].getsockname()[1]
            log.info(
                "pages for operators, without a token, on %s port %d: /docs and /capabilities",
                host,
                port,
            )

    def _acceptor(self, servers: Sequence[asyncio.Server], state: dict[str, Any]) -> Any:
        """Return what accepts the connections of servers in their place. state: of each of their requests."""
        listening = [one.dup() for server in servers for one in server.sockets]
        for server in servers:
            server.close()
        return Acceptor(listening, functools.partial(self._make_protocol, state), self._connections)

    def _make_protocol(self, state: dict[str, Any]) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=state
        )
        return protocol

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown; this is the signal handler."""
        if sig == signal.SIGTERM and not self._shutdown.begun:
            self._captured_signals.append(sig)
            self._shutdown.begin()
            return
        self._shutdown.begin()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Check, ten times a second, whether the listener must be closed."""
        if counter % 10 == 1:
            self._restore_signal_handlers()
        if self._shutdown.begun:
            self._shutdown.run_begin_hooks()
            if self._refuses_connections:
                self.should_exit = True
            elif self._shutdown.drained():
                self._refuse_connections()
        if self._shutdown.failed:
            self.should_exit = True
        return await super().on_tick(counter)

    def _refuse_connections(self) -> None:
        """Stop new connections a moment before the listener closes.

        Otherwise the system would reset connections that it has completed but uvicorn has not accepted.
        """
        self._refuses_connections = True
        for server in self.servers:
            for listening in server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as listener:
                    listener.listen(0)

    def _restore_signal_handlers(self) -> None:
        """Restore the signal handlers that native code has replaced, as Ray does when it connects.

        Python does not notice that; setting its handler again also sets the system's handler.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                if handler == self.handle_exit:
                    signal.signal(number, handler)
