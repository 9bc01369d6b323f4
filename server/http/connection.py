"""One connection of a caller, with timeouts for its requests and its reading."""

import asyncio
import fcntl
import logging
import socket
import struct
import termios
import time
from contextvars import copy_context
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from server.errors import HttpError
from server.http.audit import log_malformed, note_malformed
from server.http.bounded_body import DROPS_BODY
from server.http.error_answers import error_response
from server.http.framing import StrictConnection
from server.http.open_connections import OpenConnections
from server.http.processor_time import count_received, note_disconnected
from server.http.request_id import header_of

_MALFORMED = "Invalid HTTP request received."


def _is_no_warning_of_malformed(record: logging.LogRecord) -> bool:
    """Whether a record of uvicorn is not about malformed HTTP, for which the request has its own line."""
    return record.msg != _MALFORMED


logging.getLogger("uvicorn.error").addFilter(_is_no_warning_of_malformed)


class _Wait(Enum):
    """What a connection waits for."""

    REQUEST = "the head of the next request, after the last answer is read"
    READER = "the caller to read what was written"
    NOTHING = "nothing from the caller: the server works on the answer"


class TimeoutConnection(H11Protocol):
    """uvicorn's connection over h11, with more timeouts.

    uvicorn closes a connection that is idle after an answer. But it waits without limit for the first
    request, for a head that arrives byte by byte, and for a caller who does not read. With enough such
    connections, no file descriptor is left. `StrictConnection` refuses malformed requests. h11, unlike
    httptools, reads the body of a request that offers an upgrade to HTTP/2, as Java's client does.

    An answer counts as read when it has left the transport's buffer and the caller's system has
    acknowledged what the kernel sent. The timeout for the next request starts then. A caller who reads
    slowly is never disconnected as long as some byte leaves within `reading_timeout_s`. This also
    holds when the connection accepts no further requests, for any reason.

    A caller may end its side of the connection after its requests and still gets the answers (RFC 9112,
    section 9.6). One that has closed the connection looks the same until something is sent to it, and its
    work shall stop. So the first bytes of the answer, which are always the same, are sent at once: the
    system of a caller that has closed the connection resets it.

    Each timeout is checked eight times within its length, so it can take up to a quarter longer.
    """

    request_timeout_s = 60.0
    """Timeout for the complete head of a request, from the start of the connection or the last answer."""
    reading_timeout_s = 60.0
    """Timeout while a caller reads nothing of what was written."""
    slow_rate = 1024.0
    """Bytes a second; callers who read or send less are disconnected if there is no room for others."""
    slow_after_s = 2.0
    """Shortest time over which that is measured; the longest is twice this."""
    first_request_s = 1.0
    """Timeout for the first request of a connection when the process shuts down."""
    first_reset_check_s, reset_check_s = 0.005, 0.1
    """Time until the first check, and between later ones, whether a connection that the caller ended is reset."""
    lingering_s = 1.0
    """How long the rest of a refused request is read, so that its caller can read the error."""

    _new = True
    _caller_ended = False
    _is_refused = False
    _end_timer: asyncio.TimerHandle | None = None
    _shutdown_timer: asyncio.TimerHandle | None = None
    _watch_timer: asyncio.TimerHandle | None = None
    _waits_for: tuple[_Wait, RequestResponseCycle | None] | None = None
    _waits_since = 0.0
    _unread_before = 0
    _read_lately = False
    _received = 0
    _measured: tuple[float, int, RequestResponseCycle | None] | None = None

    def __init__(
        self,
        *args: Any,
        open_connections: OpenConnections,
        logs_requests: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._logs_requests = logs_requests
        self.conn: StrictConnection = StrictConnection()
        self._open_connections = open_connections
        self._context = copy_context()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeouts."""
        super().connection_made(transport)
        self._open_connections.opened(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Process bytes that arrived."""
        if self._is_refused:
            return
        self._received += len(data)
        start = time.thread_time()
        super().data_received(data)
        if not self._is_idle():
            count_received(self.scope, time.thread_time() - start)

    def handle_events(self) -> None:
        """Process requests and bodies that have arrived."""
        super().handle_events()
        if not self._is_idle():
            self._open_connections.began(self)
            self._new = False
            if self._shutdown_timer is not None:
                self.cycle.keep_alive = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to keep the connection, of which the caller has ended its side, for an answer."""
        if self._is_refused or self._is_idle() or self.cycle.more_body:
            return False
        self._caller_ended = True
        if self.conn.our_state is h11.SEND_RESPONSE:
            self.transport.write(self.conn.begin_answer())
        self._end_timer = self.loop.call_later(self.first_reset_check_s, self._check_reset)
        return True

    def on_response_complete(self) -> None:
        """Go on with the next request, if the caller can send one or has sent one already."""
        self._open_connections.answered(self)
        # It is called in the context of the answered request, and begins the next one if that has arrived already.
        self._context.copy().run(super().on_response_complete)
        if self._caller_ended and self._is_idle() and not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with the API's error body, and close the connection."""
        self._is_refused = True
        is_answered = self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE)
        refusal = self.conn.refusal
        code = (
            refusal.error_status_hint
            if refusal and refusal.error_status_hint in (431, 505)
            else 400
        )
        error = HttpError(f"The request is not valid HTTP: {refusal or msg}.", code)
        # Before the first request there is no scope, whatever uvicorn's types say.
        last: dict[str, Any] = vars(self).get("scope") or {"path": "/"}
        scope = {"path": last["path"], "state": {}} if self._is_idle() else last
        if not self._is_idle():
            # The application gets a disconnect, as if the caller had left in the middle of the body.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if is_answered:
            self.transport.close()
            return
        answer = error_response(error, scope)
        headers = [*answer.raw_headers, header_of(scope), (b"connection", b"close")]
        if not self._is_idle():
            note_malformed(scope, code)
        elif self._logs_requests:
            log_malformed(scope, code, len(answer.body))
        parts = (
            h11.Response(status_code=code, headers=headers, reason=STATUS_PHRASES[code]),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        # Closed with unread bytes, the connection would be reset, and the answer could be lost.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_timer = self.loop.call_later(self.lingering_s, self.transport.close)

    @property
    def is_read(self) -> bool:
        """Whether the caller's system has all that was written."""
        return self._unread() == 0

    @property
    def is_dropped(self) -> bool:
        """Whether its request is refused, and the rest of the body is read only to be dropped."""
        return not self._is_idle() and bool(self.scope.get("state", {}).get(DROPS_BODY))

    def is_slow(self) -> bool:
        """Whether it waits for its caller, who has read or sent very slowly since an earlier call.

        The first call only begins to measure, so that nobody is measured while there is room.
        """
        if not (self._wait() is _Wait.READER or self._waits_for_body()):
            self._measured = None
            return False
        now, moved = self.loop.time(), self._received + self.conn.bytes_sent - self._unread()
        since, before, cycle = self._measured or (0.0, 0, None)
        seconds = now - since
        if cycle is not self.cycle or seconds > 2 * self.slow_after_s:
            self._measured = (now, moved, self.cycle)
            return False
        return seconds >= self.slow_after_s and moved - before < self.slow_rate * seconds

    def close_now(self) -> None:
        """Close the connection at once, to make room for another one."""
        self.transport.abort()

    def resume_writing(self) -> None:
        """Let the application write again: the caller reads."""
        super().resume_writing()
        self._waits_for = None  # a later wait starts a new timeout

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        super().connection_lost(exc)
        self._open_connections.closed(self)
        if not self._is_idle():
            note_disconnected(self.scope)
        for timer in (
            self._watch_timer,
            self._shutdown_timer,
            self._end_timer,
            self.timeout_keep_alive_task,
        ):
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

    def _check_reset(self) -> None:
        """Abort the connection if the caller's system has reset it; otherwise check again later.

        Nothing is read from such a connection, so the event loop does not notice.
        """
        if self.transport.is_closing():
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        self._end_timer = self.loop.call_later(self.reset_check_s, self._check_reset)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client may offer an upgrade that the server ignores."""

    def _is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def _waits_for_body(self) -> bool:
        """Whether the server reads a body of which nothing more has arrived."""
        return not self._is_idle() and self.cycle.more_body and not self.flow.read_paused

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
