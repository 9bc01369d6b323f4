"""Circuit breakers: calls of a database or a store that does not answer are refused at once.

The pattern is from M. Nygard, Release It! (2007). Here a thread probes the service all the time, so that
the breaker also opens without load, and no caller has to find out whether the service is back.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from storage.errors import StorageError

log = logging.getLogger("retouch")

_INTERVAL_S = 5.0
"""Seconds between two probes of a service that answers."""
_RETRY_S = 1.0
"""Seconds between two probes of a service that does not."""
PROBE_LIMIT_S = 5.0
"""A service that has not answered a probe for this many seconds counts as unavailable."""
_POLL_S = 0.1
_JOIN_S = 1.0


@dataclass(frozen=True)
class ServiceState:
    """Whether a service answers, and how often it was found not to since the process began."""

    is_up: bool
    outages: int


class Breaker:
    """Knows whether a service answers; it is open while the service does not. Threads may share it.

    name: of the service, for texts. probe: one cheap call of the service; raises an exception if the
    service fails, and may hang. error: the class of the errors that `check` raises. close_probe: is
    called after the last probe.
    is_ending: whether the server shuts down. outages: how often it was opened.
    """

    is_ending = False

    def __init__(
        self,
        name: str,
        probe: Callable[[], object],
        error: type[StorageError],
        close_probe: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._close_probe = close_probe
        self._probe = probe
        self._error = error
        self._fault: str | None = None
        self.outages = 0
        self._open_since = 0.0
        self._probe_began: float | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to probe; until then the breaker stays closed."""
        self._thread = threading.Thread(
            target=self._watch, name=f"{self.name}-breaker", daemon=True
        )
        self._thread.start()

    def hurry(self) -> None:
        """Probe at once: the server shuts down, and calls that get no answer must not delay it."""
        self.is_ending = True
        self._wake.set()

    def close(self) -> None:
        """Stop probing, and let those that `wait` go on."""
        self._ended.set()
        self._wake.set()
        # A probe that hangs ends with the process; that of a folder may hang for ever.
        if self._thread is not None and self.reason is None:
            self._thread.join(_JOIN_S)

    @property
    def reason(self) -> str | None:
        """Why calls are refused; None if they are not."""
        began = self._probe_began
        if began is not None and time.monotonic() - began > PROBE_LIMIT_S:
            return f"the {self.name} does not answer"
        return self._fault

    def check(self) -> None:
        """Raise the error of an unavailable service if the breaker is open."""
        if (reason := self.reason) is not None:
            raise self._error(reason)

    def wait(self) -> bool:
        """Wait until the service answers; False if the breaker is closed down before."""
        while self.reason is not None:
            if self._ended.wait(_POLL_S):
                return False
        return True

    def trip(self, fault: str) -> None:
        """Open the breaker after a call that got no answer; the next successful probe closes it."""
        if self._thread is None or self._fault is not None:
            return
        self._open(fault)
        self._wake.set()

    def probe_soon(self) -> None:
        """Probe at once, after something that a busy machine explains as well as an outage."""
        if self._fault is None:
            self._wake.set()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            self._try()
            self._wake.wait(_RETRY_S if self._fault else _INTERVAL_S)
        self._close_probe()

    def _try(self) -> None:
        self._probe_began = time.monotonic()
        try:
            self._probe()
        except Exception as error:  # whatever it is, the service cannot be used
            self._open(str(error).partition("\n")[0] or type(error).__name__)
        else:
            self._closed_again()
        finally:
            self._probe_began = None

    def _open(self, fault: str) -> None:
        if self._fault is None:
            self._open_since = time.monotonic()
            self.outages += 1
            log.warning("the %s does not answer, calls are refused: %s", self.name, fault)
        self._fault = fault

    def _closed_again(self) -> None:
        if self._fault is not None:
            seconds = time.monotonic() - self._open_since
            self._fault = None
            log.warning("the %s answers again after %.1f s", self.name, seconds)


class Availability:
    """The breakers of a server, by the names of the services. is_ending: whether the server shuts down."""

    is_ending = False

    def __init__(self, breakers: Sequence[Breaker] = ()) -> None:
        self._breakers = {breaker.name: breaker for breaker in breakers}

    def start(self) -> None:
        """Begin to probe each service."""
        for breaker in self._breakers.values():
            breaker.start()

    def hurry(self) -> None:
        """Probe each service at once: the server shuts down, and waits for none that does not answer."""
        self.is_ending = True
        for breaker in self._breakers.values():
            breaker.hurry()

    def close(self) -> None:
        """Stop probing."""
        for breaker in self._breakers.values():
            breaker.close()

    @property
    def reasons(self) -> Mapping[str, str]:
        """By the name of each service that does not answer: the reason, which is for the log only."""
        found = {name: breaker.reason for name, breaker in self._breakers.items()}
        return {name: reason for name, reason in found.items() if reason is not None}

    def states(self) -> Mapping[str, ServiceState]:
        """Return the state of each service by its name."""
        return {
            name: ServiceState(breaker.reason is None, breaker.outages)
            for name, breaker in self._breakers.items()
        }

    def check(self, name: str) -> None:
        """Raise the error of an unavailable service if its breaker is open."""
        if name in self._breakers:
            self._breakers[name].check()
