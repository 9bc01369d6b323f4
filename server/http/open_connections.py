"""The open connections of the process: when there are too many, which to close first."""

import errno
import logging
import time
from typing import Protocol

log = logging.getLogger("retouch")

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REPORT_S = 60.0
"""Shortest time between two lines in the log about the same."""


class Closable(Protocol):
    """A connection that can be closed to make room."""

    @property
    def is_read(self) -> bool:
        """Whether the caller's system has all that was written."""
        ...

    @property
    def is_dropped(self) -> bool:
        """Whether its request is refused, and the rest of the body is read only to be dropped."""
        ...

    def is_slow(self) -> bool:
        """Whether it waits for its caller, who has read or sent very slowly since an earlier call."""
        ...

    def close_now(self) -> None:
        """Close it at once."""
        ...


class OpenConnections:
    """Connections by what they do: no request yet, a request in progress, or idle after an answer.

    limit: the most that may be open. Beyond it, room is made for a new one by closing the oldest that
    has sent no complete request, also not the head of one; then the one that has been idle the longest
    after its answer was read; then one whose request is refused and whose body is dropped; then one whose
    caller reads its answer, or sends its body, very slowly. Any other one with a request in progress stays
    open. Callers behind one proxy share its address, so the address decides
    nothing. Use it in one event loop.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._new: dict[Closable, None] = {}
        self._busy: dict[Closable, None] = {}
        self._idle: dict[Closable, None] = {}
        self._full = _Report()
        self._failures = _Report()

    def __len__(self) -> int:
        return len(self._new) + len(self._busy) + len(self._idle)

    def opened(self, connection: Closable) -> None:
        """Add a connection."""
        self._new[connection] = None

    def began(self, connection: Closable) -> None:
        """Note that a connection has a request in progress."""
        self._remove(connection)
        self._busy[connection] = None

    def answered(self, connection: Closable) -> None:
        """Note that the request of a connection is answered."""
        if connection in self._busy:
            del self._busy[connection]
            self._idle[connection] = None

    def closed(self, connection: Closable) -> None:
        """Remove a connection; it may have been removed before."""
        self._remove(connection)

    def make_room(self, opening: int = 0) -> bool:
        """Return whether one more may be opened; close an idle one if that is needed.

        opening: connections that are accepted and not added yet.
        """
        if len(self) + opening < self.limit:
            return True
        has_room = self._close_one()
        self._full.add(f"the limit of {self.limit} connections is reached", has_room)
        return has_room

    def accept_failed(self, error: OSError) -> None:
        """Log that the system could not accept a connection; close an idle one if resources are short."""
        is_exhausted = error.errno in _EXHAUSTED
        self._failures.add(
            f"a connection could not be accepted ({error})", is_exhausted and self._close_one()
        )

    def _remove(self, connection: Closable) -> None:
        self._new.pop(connection, None)
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)

    def _victim(self) -> Closable | None:
        """Return the connection to close first; None if every caller is served."""
        if self._new:
            return next(iter(self._new))
        idle = next((one for one in self._idle if one.is_read), None)
        if idle is not None:
            return idle
        dropped = next((one for one in self._busy if one.is_dropped), None)
        if dropped is not None:
            return dropped
        # All of them, since the first look at one only begins to measure it.
        return next(iter([one for one in (*self._idle, *self._busy) if one.is_slow()]), None)

    def _close_one(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        self._remove(victim)
        victim.close_now()
        return True


class _Report:
    """Logs an event at once, then at most once a minute with what has happened since."""

    def __init__(self) -> None:
        self._closed = self._delayed = 0
        self._last = -_REPORT_S

    def add(self, text: str, has_closed: bool) -> None:
        self._closed += has_closed
        self._delayed += not has_closed
        now = time.monotonic()
        if now - self._last >= _REPORT_S:
            log.warning(
                "%s: closed %d idle or slow ones, %d times there was none and new ones wait",
                text,
                self._closed,
                self._delayed,
            )
            self._closed = self._delayed = 0
            self._last = now
