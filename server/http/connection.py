"""One connection of a caller, with bounds on how long it may keep the server waiting."""

import asyncio
import fcntl
import struct
import termios
from enum import Enum

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class _Wait(Enum):
    """What a connection waits for."""

    REQUEST = "the head of the next request, once the last answer is read"
    READER = "the caller to read what was written"
    NOTHING = "no act of the caller: the answer is being made"


class PatientConnection(H11Protocol):
    """uvicorn's connection over h11, with bounds on what it waits for.

    uvicorn closes a connection that is idle after an answer, but waits without limit for the first
    request, for a head that arrives byte by byte, and for a caller who does not read: enough of those
    and no file descriptor is left. h11 itself bounds a head to 64 KiB, and unlike httptools reads the
    body of a request that offers an upgrade to HTTP/2, as Java's client does.

    An answer counts as read once it has left the transport's buffer and the caller's system has
    acknowledged what the kernel sent. Only then does the time for the next request begin. A caller
    who reads slowly is never cut off as long as some byte leaves within `reading_timeout_s`; the same
    holds after the connection is closed for further requests, whatever the reason.

    Each limit is checked eight times within its length, so it may take up to a quarter longer.
    """

    request_timeout_s = 60.0
    """Longest time until a request's head is complete, from the connection or the last answer on."""
    reading_timeout_s = 60.0
    """Longest time in which a caller reads nothing of what was written."""
    first_request_s = 1.0
    """Longest time that a new connection has for its request once the process is shutting down."""

    _new = True
    _leaving: asyncio.TimerHandle | None = None
    _watcher: asyncio.TimerHandle | None = None
    _waits_for: tuple[_Wait, RequestResponseCycle | None] | None = None
    _waits_since = 0.0
    _unread_before = 0
    _read_lately = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to watch the connection."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Process what arrived."""
        super().data_received(data)
        if not self._is_idle():
            self._new = False
            if self._leaving is not None:
                self.cycle.keep_alive = False

    def resume_writing(self) -> None:
        """Let the application write; the caller reads."""
        super().resume_writing()
        self._waits_for = None  # a wait that begins after this is another one

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        super().connection_lost(exc)
        for timer in (self._watcher, self._leaving, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection once it has been idle for uvicorn's keep-alive timeout.

        uvicorn starts this timer when an answer is written. While the caller still reads, it starts
        again, so that the next request has its full time.
        """
        if self.transport.is_closing():
            return
        still_reads = self._unread() > 0
        if still_reads or self._read_lately:
            self._read_lately = still_reads
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close once the current request is answered and read; a first request may still arrive.

        uvicorn closes at once the connection of a caller whose first request it has not read yet.
        """
        if self._new and self._leaving is None:
            self._leaving = self.loop.call_later(self.first_request_s, super().shutdown)
        else:
            super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: to offer an upgrade that is not taken up is no fault."""

    def _is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def _unread(self) -> int:
        """Return the bytes written that the caller's system has not acknowledged."""
        return self.transport.get_write_buffer_size() + _unacknowledged(self.transport)

    def _wait(self) -> _Wait:
        """Return what the connection waits for."""
        if self.transport.is_closing() or self.flow.write_paused:
            return _Wait.READER
        if not self._is_idle():
            return _Wait.NOTHING
        return _Wait.READER if self._unread() else _Wait.REQUEST

    def _watch(self) -> None:
        """Abort the connection if its wait is too long; otherwise look again later.

        While a connection waits for its reader nothing is written, so what is unread only shrinks.
        """
        now = self.loop.time()
        waits_for, unread = (self._wait(), self.cycle), self._unread()
        if waits_for != self._waits_for or unread < self._unread_before:
            self._waits_for, self._waits_since = waits_for, now
        self._unread_before = unread
        limits = {_Wait.REQUEST: self.request_timeout_s, _Wait.READER: self.reading_timeout_s}
        limit = limits.get(waits_for[0])
        if limit is not None and now - self._waits_since >= limit:
            self.transport.abort()
            return
        self._watcher = self.loop.call_later(min(limits.values()) / 8, self._watch)


def _unacknowledged(transport: asyncio.BaseTransport) -> int:
    """Return the bytes in the kernel's send queue; 0 where the system does not tell."""
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:  # closed
        return 0
    try:
        told = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:  # not Linux: then only the transport's own buffer counts
        return 0
    return int(struct.unpack("i", told)[0])
