"""Read figures from a database or a disk on a thread, one at a time, without waiting for what does not answer."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from server.errors import ApiError

log = logging.getLogger("retouch")

T = TypeVar("T")

_WAIT_S = 2.0
"""How long an answer waits for figures that are being read, in seconds."""


@dataclass(frozen=True)
class Figures(Generic[T]):
    """What is known.

    value, age_s: the last figures and their age in seconds; None if there are none. error: why there are no newer
    ones.
    """

    value: T | None
    age_s: float | None
    error: str | None


class Reading(Generic[T]):
    """Reads something again and again; however many ask, it is read once within `fresh_s` seconds.

    read: returns the figures; it blocks, and may hang: then the last ones are told, and nothing else is begun. It
    raises OSError, SQLAlchemyError or ApiError if they are unavailable. away: what is said then. Use it in one
    event loop.
    """

    def __init__(
        self,
        read: Callable[[], T],
        fresh_s: float,
        away: str,
        wait_s: float = _WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._away = away
        self._wait_s = wait_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._value: T | None = None
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._error: str | None = None

    async def latest(self) -> Figures[T]:
        """Return the figures; it waits a moment for newer ones, if they are due."""
        if self._task is None and self._is_due():
            self._task = asyncio.create_task(self._run())
        if (task := self._task) is not None:
            await asyncio.wait([task], timeout=self._wait_s)
        age = None if self._read_at is None else self._clock() - self._read_at
        error = self._away if self._task is not None else self._error
        return Figures(self._value, age, error)

    def _is_due(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self._fresh_s

    async def _run(self) -> None:
        # A thread of its own: those of requests may all be waiting for the same service.
        self._limiter = self._limiter or anyio.CapacityLimiter(1)
        try:
            self._value = await anyio.to_thread.run_sync(
                self._read, abandon_on_cancel=True, limiter=self._limiter
            )
            self._read_at, self._error = self._clock(), None
        except (OSError, SQLAlchemyError, ApiError) as error:
            if self._error is None:  # one line for each outage
                log.warning("figures of /admin are missing: %s", error)
            self._error = self._away
        except Exception:  # the rest of the page must not fail with one of its parts
            log.exception("figures of /admin are missing")
            self._error = "The server failed to read this; the error is in its log."
        finally:
            self._tried_at, self._task = self._clock(), None
