"""The requests that run, and the roles that each of them needs: what is evicted depends on it (decision 31)."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

from models.roles import Role


class Need(IntEnum):
    """How soon the running requests need a role. What has the lowest is evicted first."""

    NONE = 0
    """No running request needs it."""
    USED = 1
    """Each running request that needs it has used it already; the next one of the kind will need it again."""
    PENDING = 2
    """A running request has yet to use it."""


class _Request:
    """One request that runs. roles: what it needs; used: what it has used and released."""

    def __init__(self, roles: Iterable[Role[Any]]) -> None:
        self.roles = set(roles)
        self.used: set[Role[Any]] = set()


_CURRENT: ContextVar[_Request | None] = ContextVar("request", default=None)
"""The request that the current thread works for."""


class RunningRequests:
    """Knows which roles the running requests need. Threads may share it."""

    def __init__(self) -> None:
        self._requests: set[_Request] = set()
        self._lock = threading.Lock()

    @contextmanager
    def needing(self, roles: Iterable[Role[Any]]) -> Iterator[None]:
        """Count a request that needs some roles, for as long as the context is open on this thread."""
        request = _Request(roles)
        token = _CURRENT.set(request)
        with self._lock:
            self._requests.add(request)
        try:
            yield
        finally:
            with self._lock:
                self._requests.discard(request)
            _CURRENT.reset(token)

    @contextmanager
    def using(self, role: Role[Any]) -> Iterator[None]:
        """Count a role as one that this thread's request needs, and at the end as one that it has used."""
        request = _CURRENT.get()
        if request is None:
            yield
            return
        with self._lock:
            request.roles.add(role)
            request.used.discard(role)
        try:
            yield
        finally:
            with self._lock:
                request.used.add(role)

    def need(self, role: Role[Any]) -> Need:
        """Return how soon a role is needed."""
        with self._lock:
            found = [one for one in self._requests if role in one.roles]
            if any(role not in one.used for one in found):
                return Need.PENDING
            return Need.USED if found else Need.NONE


@runtime_checkable
class PlansMemory(Protocol):
    """An engine that evicts models by what the running requests need."""

    def needing(self, roles: Iterable[Role[Any]]) -> AbstractContextManager[None]:
        """Return a context in which a request that needs some roles runs on this thread."""
        ...


def needing(models: object, roles: Iterable[Role[Any]]) -> AbstractContextManager[None]:
    """Tell models which roles a request needs while the context is open, if they want to know."""
    return models.needing(roles) if isinstance(models, PlansMemory) else nullcontext()
