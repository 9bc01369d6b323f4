"""One connection of a caller, with timeouts for its requests and its reading."""

import asyncio
import fcntl
import struct
import termios
from enum import Enum

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class _Wait(Enum):
    """What a connection waits for."""

    REQUEST = "the head of the next request, after the last answer is read"
    READER = "the caller to read what was written"
    NOTHING = "nothing from the caller: the server works on the answer"


class TimeoutConnection(H11Protocol):
    """uvicorn's connection over h11, with more timeouts.

    uvicorn closes a connection that is idle after an answer. But it waits without limit for the first
    request, for a head that arrives byte by byte, and for a caller who does not read. With enough such
    connections, no file descriptor is left. h11 limits a head to 64 KiB. Unlike httptools, it reads the
    body of a request that offers an upgrade to HTTP/2, as Java's client does.

    An answer counts as read when it has left the transport's buffer and the caller's system has
    acknowledged what the kernel sent. The timeout for the next request starts then. A caller who reads
    slowly is never disconnected as long as some byte leaves within `reading_timeout_s`. This also
    holds when the connection accepts no further requests, for any reason.

    Each timeout is checked eight times within its length, so it can take up to a quarter longer.
    """

    request_timeout_s = 60.0
    """Timeout for the complete head of a request, from the start of the connection or the last answer."""
    reading_timeout_s = 60.0
    """Timeout while a caller reads nothing of what was written."""
    first_request_s = 1.0
    """Timeout for the first request of a connection when the process shuts down."""

    _new = True
    _shutdown_timer: asyncio.TimerHandle | None = None
    _watch_timer: asyncio.TimerHandle | None = None
    _waits_for: tuple[_Wait, RequestResponseCycle | None] | None = None
    _waits_since = 0.0
    _unread_before = 0
    _read_lately = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeouts."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Process bytes that arrived."""
        super().data_received(data)
        if not self._is_idle():
            self._new = False
            if self._shutdown_timer is not None:
                self.cycle.keep_alive = False

    def resume_writing(self) -> None:
        """Let the application write again: the caller reads."""
        super().resume_writing()
        self._waits_for = None  # a later wait starts a new timeout

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        super().connection_lost(exc)
        for timer in (self._watch_timer, self._shutdown_timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection once it has been idle for uvicorn's keep-alive timeout.

        uvicorn starts this timer when an answer is written. It restarts while the caller still reads,
        so that the next request has its full time.
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
        """Close when the current answer is complete and read; a first request can still arrive.

        uvicorn would close a connection at once if it had not read the first request yet.
        """
        if self._new and self._shutdown_timer is None:
            self._shutdown_timer = self.loop.call_later(self.first_request_s, super().shutdown)
        else:
            super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client may offer an upgrade that the server ignores."""

    def _is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def _unread(self) -> int:
        """Return the number of written bytes that the caller's system has not acknowledged."""
        return self.transport.get_write_buffer_size() + _unacknowledged(self.transport)

    def _wait(self) -> _Wait:
        """Return what the connection waits for."""
        if self.transport.is_closing() or self.flow.write_paused:
            return _Wait.READER
        if not self._is_idle():
            return _Wait.NOTHING
        return _Wait.READER if self._unread() else _Wait.REQUEST

    def _watch(self) -> None:
        """Abort the connection if its timeout has passed; otherwise check again later.

        While a connection waits for its reader, nothing is written, so fewer unread bytes mean progress.
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
        self._watch_timer = self.loop.call_later(min(limits.values()) / 8, self._watch)


def _unacknowledged(transport: asyncio.BaseTransport) -> int:
    """Return the number of bytes in the kernel's send queue; 0 if the system does not report it."""
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:  # closed
        return 0
    try:
        unsent = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:  # not Linux: only the transport's own buffer counts
        return 0
    return int(struct.unpack("i", unsent)[0])
