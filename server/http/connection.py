"""One connection of a caller, ended where a caller keeps it without using it."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientConnection(H11Protocol):
    """uvicorn's connection over h11, with bounds on what it waits for.

    uvicorn ends a connection that is idle after an answer, but waits without end for the first
    request, for one whose head comes in drops, and for a caller who does not read: enough of those
    and no descriptor is left for anybody. h11 itself bounds a head to 64 KiB, and unlike httptools
    reads the body of a request that offers an upgrade to HTTP/2, as Java's client does.
    """

    request_timeout_s = 60.0
    """Longest time until a request's head is there, from the connection or the last answer on."""
    reading_timeout_s = 60.0
    """Longest time until a caller has read a piece of an answer, of 1 MiB with results."""
    first_request_s = 1.0
    """Longest time that a new connection has for its request once the process ends."""

    _new = True
    _leaving: asyncio.TimerHandle | None = None
    _request_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch_for_request()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch_for_request()
        if self._request_timer is None:  # a request is in hand
            self._new = False
            if self._leaving is not None:
                self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch_for_request()

    def pause_writing(self) -> None:
        """Begin to wait for the caller to read."""
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self.reading_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: the caller reads."""
        super().resume_writing()
        if self._reading_timer is not None:
            self._reading_timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        for timer in (self._request_timer, self._reading_timer, self._leaving):
            if timer is not None:
                timer.cancel()

    def shutdown(self) -> None:
        """End once what is in hand is answered; a request that is on its way may still arrive.

        uvicorn hangs up at once on a caller who has connected and whose request it has not read yet.
        """
        if self._new and self._leaving is None:
            self._leaving = self.loop.call_later(self.first_request_s, super().shutdown)
        else:
            super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: an upgrade is offered, and not taking it up is no fault."""

    def _watch_for_request(self) -> None:
        """Have the timer run while no request is in hand, without starting it anew."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._request_timer is None:
            self._request_timer = self.loop.call_later(self.request_timeout_s, self.transport.abort)
        elif not idle and self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None
