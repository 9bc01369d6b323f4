"""One role's calls in this process: so many at work, so many waiting, those alike made together."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from models.errors import EngineBusyError
from models.runtime.batching import Outcome, batch_key, perform
from models.runtime.engine import Call, RoleLoad

_LOOK_S = 0.1
"""How often a waiting call looks whether its caller has left."""
_MEMORY = 0.1
"""Share of the newest call in the mean time of one."""


class _PendingCall:
    """A call on its way: waiting, then either leading a batch or taken into one, then done."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.leads = False
        self.outcome: Outcome | None = None
        self.turn = threading.Event()


class BatchQueue:
    """Makes the calls of one role on the threads that ask for them.

    No thread waits for company: a call that finds a place free is made at once, and whoever gets a
    place takes along what waits and is alike (`models.runtime.batching`). So batches grow with the load
    alone.

    lend: gives the model. concurrency: batches at work at once. queue: calls that may wait. most:
    calls of one batch.
    """

    def __init__(
        self,
        name: str,
        lend: Callable[[], AbstractContextManager[Any]],
        concurrency: int,
        queue: int,
        most: int = 1,
    ) -> None:
        self._name = name
        self._lend = lend
        self._free = concurrency
        self._concurrency = concurrency
        self._queue = queue
        self._most = most
        self._waiting: deque[_PendingCall] = deque()
        self._lock = threading.Lock()
        self._mean_s = 0.0

    def run(self, call: Call) -> Any:
        """Make a call.

        Raises EngineBusyError, WorkCancelledError, ModelUnavailableError or the model's own error.
        """
        call.deadline.check()
        ticket = _PendingCall(call)
        self._admit(ticket)
        self._await_turn(ticket)
        if ticket.leads:
            self._lead(ticket)
        assert ticket.outcome is not None  # noqa: S101 - whoever leads sees to it
        return ticket.outcome.get()

    def load(self) -> RoleLoad:
        """Tell how busy the role is."""
        with self._lock:
            running = self._concurrency - self._free
            return RoleLoad(running, len(self._waiting), self._mean_s)

    def _admit(self, ticket: _PendingCall) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                ticket.leads = True
                ticket.turn.set()
            elif len(self._waiting) < self._queue:
                self._waiting.append(ticket)
            else:
                ahead = (len(self._waiting) + 1) / self._concurrency / self._most
                wait = max(1, math.ceil(ahead * self._mean_s))
                text = f"{len(self._waiting)} calls wait for {self._name}, the limit"
                raise EngineBusyError(text, wait)

    def _await_turn(self, ticket: _PendingCall) -> None:
        while not ticket.turn.wait(_LOOK_S):
            try:
                ticket.call.deadline.check()
            except BaseException:
                with self._lock:
                    if ticket in self._waiting:
                        self._waiting.remove(ticket)
                    elif ticket.leads:
                        self._pass_on()
                raise

    def _lead(self, ticket: _PendingCall) -> None:
        batch = [ticket]
        try:
            with self._lend() as model, self._timed():
                batch += self._alike(model, ticket)
                outcomes = perform(model, [one.call for one in batch])
                del model
        except BaseException as error:  # of lending: each of the batch is told, and raises it
            outcomes = [Outcome(error=error)] * len(batch)
        finally:
            with self._lock:
                self._pass_on()
        for one, outcome in zip(batch, outcomes, strict=True):
            one.outcome = outcome
            one.turn.set()

    def _alike(self, model: Any, ticket: _PendingCall) -> list[_PendingCall]:
        """Take from the waiting what may go together with a call."""
        if self._most < 2:
            return []
        key = batch_key(model, ticket.call)
        with self._lock:
            waiting = list(self._waiting)
        chosen = [one for one in waiting if batch_key(model, one.call) == key]
        with self._lock:
            taken = [one for one in chosen if one in self._waiting][: self._most - 1]
            for one in taken:
                self._waiting.remove(one)
        return taken

    def _pass_on(self) -> None:
        """Give a place to the next who waits, or leave it free; under the lock."""
        if self._waiting:
            following = self._waiting.popleft()
            following.leads = True
            following.turn.set()
        else:
            self._free += 1

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        took = time.monotonic() - start
        with self._lock:
            share = _MEMORY if self._mean_s else 1.0
            self._mean_s += share * (took - self._mean_s)
