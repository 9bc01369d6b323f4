"""How the process ends: unready at once, then unreachable, then gone, all within a grace period."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

log = logging.getLogger("retouch")

_LAST_S = 3.0
"""Kept of the grace period for what comes after the last answer: jobs at work, connections, files."""


class Shutdown:
    """The end of the process: when it was asked for, and the seconds that are left of its time.

    drain_s: between the signal and closing the listener, while balancers learn that the server is not
    ready. grace_s: from the signal to the end of the process, at most. unfinished: threads are still
    at work when all else is done.
    """

    unfinished = False

    def __init__(self, drain_s: float, grace_s: float) -> None:
        self.drain_s = drain_s
        self.grace_s = grace_s
        self._began: float | None = None
        self._begin_hooks: list[Callable[[], None]] = []
        self._late_hooks: list[Callable[[], None]] = []

    @property
    def begun(self) -> bool:
        """Whether the process has been asked to end."""
        return self._began is not None

    def begin(self) -> None:
        """Take note that the process is asked to end; nothing else, as signals come at any moment."""
        if self._began is None:
            self._began = time.monotonic()

    def remaining(self) -> float:
        """Return the seconds that are left, 0 at least; the whole grace period before the end is begun."""
        passed = 0.0 if self._began is None else time.monotonic() - self._began
        return max(0.0, self.grace_s - passed)

    def drained(self) -> bool:
        """Whether balancers have had their time to look elsewhere."""
        return self.begun and self.grace_s - self.remaining() >= self.drain_s

    def on_begin(self, hook: Callable[[], None]) -> None:
        """Have something done soon after the end has begun."""
        self._begin_hooks.append(hook)

    def on_late(self, hook: Callable[[], None]) -> None:
        """Have something done when there is just time enough to tell those who still wait."""
        self._late_hooks.append(hook)

    def run_begin_hooks(self) -> None:
        """Do what is to be done once the end has begun; each once."""
        while self._begin_hooks:
            self._begin_hooks.pop(0)()

    def watch(self) -> None:
        """See to it that the process is gone when its time is over; returns never."""
        time.sleep(max(0.0, self.remaining() - 2 * _LAST_S))
        for hook in self._late_hooks:
            hook()
        time.sleep(self.remaining())
        log.critical("the grace period of %g s is over: leaving as it is", self.grace_s)
        os._exit(1)

    def leave(self, status: int) -> int:
        """End the process here where threads are still at work, otherwise give `status` to end with.

        The interpreter's own end breaks such threads off, which networks in C++ answer with an abort.
        """
        if self.unfinished:
            log.warning("work that took longer than the grace period is left unfinished")
            logging.shutdown()
            os._exit(status)
        return status


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which goes on answering for a while after SIGTERM.

    A second signal, or Ctrl-C, closes the listener at once. Whatever hangs, the process is gone once
    the grace period is over.
    """

    def __init__(self, config: uvicorn.Config, shutdown: Shutdown) -> None:
        config.timeout_graceful_shutdown = max(
            1, int(shutdown.grace_s - shutdown.drain_s - _LAST_S)
        )
        super().__init__(config)
        self._shutdown = shutdown
        self._listener_is_full = False
        watcher = threading.Thread(target=shutdown.watch, name="ending", daemon=True)
        shutdown.on_begin(watcher.start)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; called by the signal."""
        if sig == signal.SIGTERM and not self._shutdown.begun:
            self._captured_signals.append(sig)
            self._shutdown.begin()
            return
        self._shutdown.begin()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether the listener is to be closed."""
        if counter % 10 == 1:
            self._hold_signals()
        if self._shutdown.begun:
            self._shutdown.run_begin_hooks()
            if self._listener_is_full:
                self.should_exit = True
            elif self._shutdown.drained():
                self._refuse_connections()
        return await super().on_tick(counter)

    def _refuse_connections(self) -> None:
        """Let no caller in any more, a moment before the listener closes.

        The system would hang up on those whom it has let in and who have not been accepted yet.
        """
        self._listener_is_full = True
        for server in self.servers:
            for listening in server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as listener:
                    listener.listen(0)

    def _hold_signals(self) -> None:
        """Take back the signals that native code has taken, as Ray does when it attaches to a cluster.

        Python still believes that they are ours: setting its handler anew sets the system's.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                if handler == self.handle_exit:
                    signal.signal(number, handler)
