"""ASGI middleware that measures the processor time of each request and holds it up above its share."""

import time
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import BusyError
from server.http.auth import caller_of
from server.http.error_answers import error_response
from server.http.health import PROBE_PATHS
from server.http.result_links import RESULTS_PATH
from server.processor_shares import NOBODY, ProcessorShares

R = TypeVar("R")
P = TypeVarTuple("P")

_BESIDE_S = 0.0007
"""What each request takes of the event loop before and after `ShareProcessor`, in seconds: its connection, its
token, its lines in the logs."""
_METER, _RECEIVED, _DISCONNECTED = "meter", "received_s", "disconnected"
"""Names in the state of a request: what counts its time, the time that was taken before that existed, and whether
the caller has gone."""
RESULT_OF = "result_of"
"""Name in the state of a request: the organisation whose result it reads, once its link is verified."""


class _Meter:
    """Counts the processor time of one request, whose organisation is known."""

    def __init__(self, shares: ProcessorShares, organisation: str) -> None:
        self.seconds = 0.0
        self._shares = shares
        self._organisation = organisation
        self.has_run = False
        self._reserved = 0.0
        self._beyond = 0.0
        self._has_ended = False
        shares.begin(organisation)

    async def turn(self) -> None:
        """Wait for the organisation's turn; raises BusyError."""
        self._reserved = await self._shares.turn(self._organisation)

    def add(self, seconds: float) -> None:
        """Count some processor time; nothing once the request has ended."""
        if self._has_ended:
            return
        self.seconds += seconds
        beyond = max(0.0, self.seconds - self._reserved)
        self._shares.charge(self._organisation, seconds, beyond - self._beyond)
        self._beyond = beyond

    def end(self) -> None:
        """Give back what was reserved and not used."""
        self._shares.charge(self._organisation, 0.0, min(0.0, self.seconds - self._reserved))
        if self.has_run:
            self._shares.record(self._organisation, self.seconds)
        self._shares.end(self._organisation)
        self._has_ended = True


class _ResultMeter:
    """Counts the time of a request for a result, which has no token: its link tells whose result it is.

    It waits as the requests of the organisation do that the link names. That one is charged in the end, if
    the link turned out to be valid: a forged one must not be at its expense.
    """

    def __init__(self, shares: ProcessorShares, scope: Scope) -> None:
        self.has_run = False
        self._seconds = 0.0
        self._shares = shares
        self._scope = scope

    async def turn(self) -> None:
        """Wait as the organisation that the link names, or as nobody; raises BusyError."""
        named = self._scope["path"].removeprefix(RESULTS_PATH).partition("/")[0]
        await self._shares.follow(named if self._shares.asks(named) else NOBODY)

    def add(self, seconds: float) -> None:
        """Count some processor time."""
        self._seconds += seconds

    def end(self) -> None:
        """Charge the owner of the result, or nobody in particular."""
        owner = self._scope["state"].get(RESULT_OF, NOBODY)
        self._shares.begin(owner)
        self._shares.charge(owner, self._seconds)
        self._shares.end(owner)


_CURRENT: ContextVar[_Meter | _ResultMeter | None] = ContextVar("meter", default=None)
"""The meter of the request that the current task answers."""
_TAKEN: ContextVar[list[float] | None] = ContextVar("taken", default=None)
"""The seconds that threads have taken for that request, in one of its threads."""


class ShareProcessor:
    """ASGI middleware: measures what each request takes of the processor, and lets it wait for its turn.

    Measured are the steps of its task on the event loop, the reading of its bytes (`count_received`), and
    what runs in `run_in_thread`. Health checks are neither measured nor held up. The reader of a result has
    no token: the time is its owner's, once the link is verified.
    """

    def __init__(self, app: ASGIApp, shares: ProcessorShares) -> None:
        self.app = app
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application in its organisation's turn."""
        if scope["type"] != "http" or scope["path"] in PROBE_PATHS:
            _CURRENT.set(None)  # it may be that of the request before, on the same connection
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        meter = self._meter(scope)
        token = _CURRENT.set(meter)
        answer = self.app
        try:
            try:
                await meter.turn()
            except BusyError as error:
                answer = error_response(error, scope)  # which reads the rest of the body
            meter.add(_BESIDE_S + state.pop(_RECEIVED, 0.0))
            state[_METER] = meter
            if not state.get(_DISCONNECTED):
                meter.has_run = answer is self.app
                await measured(_call(answer, scope, receive, send), meter.add)
        finally:
            state.pop(_METER, None)
            _CURRENT.reset(token)
            meter.end()

    def _meter(self, scope: Scope) -> _Meter | _ResultMeter:
        if scope["path"].startswith(RESULTS_PATH):
            return _ResultMeter(self._shares, scope)
        caller = caller_of(scope)
        # A token that was revoked still tells its organisation.
        is_valid = caller is not None and caller.error is None
        return _Meter(self._shares, (is_valid and caller and caller.organisation) or NOBODY)


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call an application; `measured` needs a coroutine, and the application may return any awaitable."""
    await app(scope, receive, send)


def count_received(scope: Mapping[str, Any], seconds: float) -> None:
    """Count the processor time in which bytes of a request were read."""
    state = scope["state"]
    meter: _Meter | _ResultMeter | None = state.get(_METER)
    if meter is None:  # it has not begun, or has ended
        state[_RECEIVED] = state.get(_RECEIVED, 0.0) + seconds
    else:
        meter.add(seconds)


def note_disconnected(scope: Mapping[str, Any]) -> None:
    """Note that the caller has gone: a request that still waits for its turn then does nothing."""
    scope["state"][_DISCONNECTED] = True


async def run_in_thread(function: Callable[[*P], R], *arguments: *P) -> R:
    """Run a function in a thread, and count its processor time for the request of the current task."""
    meter = _CURRENT.get()
    if meter is None:
        return await anyio.to_thread.run_sync(function, *arguments)
    taken: list[float] = []

    def timed() -> R:
        _TAKEN.set(taken)  # in the thread's copy of the context
        return _timed(taken, function, *arguments)

    try:
        return await anyio.to_thread.run_sync(timed)
    finally:
        meter.add(sum(taken))


def counted(function: Callable[[*P], R]) -> Callable[[*P], R]:
    """Return a function for a thread of another pool, for which the caller waits in `run_in_thread`.

    Its processor time counts for the same request.
    """
    taken = _TAKEN.get()
    if taken is None:
        return function
    total = taken

    def timed(*arguments: *P) -> R:
        return _timed(total, function, *arguments)

    return timed


def _timed(taken: list[float], function: Callable[[*P], R], *arguments: *P) -> R:
    start = time.thread_time()
    try:
        return function(*arguments)
    finally:
        taken.append(time.thread_time() - start)


@types.coroutine
def measured(
    coroutine: Coroutine[Any, Any, R], add: Callable[[float], None]
) -> Generator[Any, Any, R]:
    """Run a coroutine; `add` gets the processor time of each of its steps, in seconds."""
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        start = time.thread_time()
        try:
            awaited = step(value)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            add(time.thread_time() - start)
        try:
            value, step = (yield awaited), coroutine.send
        except BaseException as error:  # the task is cancelled, or what it waits for has failed
            value, step = error, coroutine.throw
