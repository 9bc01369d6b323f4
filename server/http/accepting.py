"""Accepts connections on the listening sockets, within the limit of open connections."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from server.http.open_connections import OpenConnections

log = logging.getLogger("retouch")

_AT_ONCE = 4
"""Connections accepted in one go, before the event loop does other things. Each costs it about a millisecond, and
an answer to another caller takes some thirty rounds of it."""
_PAUSE_S = 0.1
"""Time until the next try when there is no room, or no file descriptor."""


class Acceptor:
    """Accepts connections; it has the part of asyncio's Server that uvicorn uses.

    uvloop's own server closes a connection that it cannot accept for want of a file descriptor, or itself
    for good, and says nothing. Here the connection waits in the system's queue until there is room.

    sockets: the listening sockets, which it closes. make_protocol: returns the protocol of a connection.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make_protocol: Callable[[], asyncio.Protocol],
        connections: OpenConnections,
    ) -> None:
        self.sockets = tuple(sockets)
        self._make_protocol = make_protocol
        self._connections = connections
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        for listening in self.sockets:
            listening.setblocking(False)
            self._listen(listening)

    def close(self) -> None:
        """Stop accepting; open connections stay open."""
        for listening in self.sockets:
            if listening.fileno() >= 0:
                self._loop.remove_reader(listening)
                listening.close()

    async def wait_closed(self) -> None:
        """Wait until connections that were being accepted are open."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _pause(self, listening: socket.socket) -> None:
        self._loop.remove_reader(listening)
        self._loop.call_later(_PAUSE_S, self._listen, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self._connections.make_room(len(self._opening)):
                self._pause(listening)
                return
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # never one of the listening socket itself (accept(2))
                self._connections.accept_failed(error)
                self._pause(listening)
                return
            self._open(accepted)

    def _open(self, accepted: socket.socket) -> None:
        task = self._loop.create_task(self._connect(accepted))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        try:
            # An answer is written in pieces, which Nagle's algorithm would delay.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make_protocol, accepted)
        except OSError as error:
            log.info("a new connection was lost: %s", error)
            accepted.close()
