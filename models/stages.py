"""The stages of a request's work, such as decode and model: observers learn when each begins and ends.

The code that does the work marks its stages:

>>> with stage(Stage.DECODE):
...     picture = decode(data)

Metrics, traces and the like observe them, for all requests of the process:

>>> class Slow(Observer):
...     def end(self, passed: Passed, begun: Any) -> None:
...         if passed.seconds > 10:
...             print(passed.name, passed.role, passed.seconds)
>>> with observing(Slow()):
...     serve()

`begin` and `end` are called on the thread, and in the context, of the work. So `begin` may set context
variables, such as the current span of a trace, and `end` may reset them. Without an observer a stage costs next to
nothing. An observer must be quick and raise nothing.
"""

import time
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple


class Stage(StrEnum):
    """What is done for a request, in this order; `model` within `compose`."""

    INTAKE = "intake"
    """Its body is read and its fields are validated; that includes the time in which the caller sends it."""
    FETCH = "fetch"
    """A picture is fetched from an address."""
    DECODE = "decode"
    """A picture or a mask is decoded."""
    QUEUE = "queue"
    """A task waits for a thread: of a worker, or of a device; then the role is that of the model."""
    MODEL = "model"
    """A model is called. On a cluster that includes the wait for a replica."""
    COMPOSE = "compose"
    """The pipeline of the operation runs."""
    ENCODE = "encode"
    """A result is encoded."""
    STORE = "store"
    """The results are written to the store."""


class Passed(NamedTuple):
    """A stage that has ended.

    role: the name of the model's role; for `queue` of a worker "check", "call" or "job"; else empty. seconds: from
    its begin to its end. own_seconds: without the stages within it, so that the own seconds of all stages add up.
    error: what it raised, or None.
    """

    name: Stage
    role: str
    seconds: float
    own_seconds: float
    error: BaseException | None = None


class Observer:
    """Is told of stages, and of calls of a model that are made together; on many threads."""

    def begin(self, name: Stage, role: str) -> Any:
        """Note that a stage begins; `end` gets what this returns."""

    def end(self, passed: Passed, begun: Any) -> None:
        """Note that it has ended. begun: what `begin` returned; None for a wait, which has no `begin`."""

    def batch(self, role: str, size: int) -> None:
        """Note that `size` calls of a role's model are made together."""


_observers: tuple[Observer, ...] = ()
"""It is replaced, never changed, so that threads may read it at any time."""


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Tell an observer of all stages of this process that begin within the context."""
    global _observers
    _observers = (*_observers, observer)
    try:
        yield
    finally:
        _observers = tuple(one for one in _observers if one is not observer)


class stage(ContextDecorator):  # noqa: N801 - it is used as a function is
    """A context manager, or a decorator of a function each call of which is one: a stage begins and ends.

    role: as in `Passed`, never a caller's text.
    """

    def __init__(self, name: Stage, role: str = "") -> None:
        self._name = name
        self._role = role
        self._inner = 0.0
        self._token: Token[stage | None] | None = None

    def _recreate_cm(self) -> "stage":
        """Return another one for each call of a decorated function: calls may overlap."""
        return stage(self._name, self._role)

    def __enter__(self) -> None:
        """Tell the observers that it begins."""
        if not (observers := _observers):
            return
        self._observers = observers
        self._token = _CURRENT.set(self)
        self._begun = [one.begin(self._name, self._role) for one in observers]
        self._start = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell the observers, the last one first, that it has ended."""
        if self._token is None:
            return
        seconds = time.perf_counter() - self._start
        _CURRENT.reset(self._token)
        _exclude(seconds)
        passed = Passed(self._name, self._role, seconds, max(0.0, seconds - self._inner), error)
        for index in range(len(self._begun) - 1, -1, -1):
            self._observers[index].end(passed, self._begun[index])
        self._begun, self._token = [], None  # what observers hold may be large

    def exclude(self, seconds: float) -> None:
        """Count some seconds as those of a stage within this one."""
        self._inner += seconds


_CURRENT: ContextVar[stage | None] = ContextVar("stage", default=None)
"""The innermost stage of this context."""


def waited(seconds: float, role: str) -> None:
    """Tell the observers of a wait in a queue that has ended. role: as in `Passed`."""
    passed = Passed(Stage.QUEUE, role, seconds, seconds)
    for one in _observers:
        one.end(passed, None)


def batched(role: str, size: int) -> None:
    """Tell the observers of calls of a role's model that are made together."""
    for one in _observers:
        one.batch(role, size)


def exclude_wait(seconds: float) -> None:
    """Count some seconds of the current stage as a wait that another thread tells with `waited`."""
    _exclude(seconds)


def _exclude(seconds: float) -> None:
    if (enclosing := _CURRENT.get()) is not None:
        enclosing.exclude(seconds)
