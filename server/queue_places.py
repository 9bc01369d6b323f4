"""The places of requests in the queue, for callers who ask by an id that they have sent with the request."""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from starlette.requests import Request

from models.runtime.scheduler import Scheduler
from server.errors import BadRequestError

HEADER = "Queue-Id"
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


def queue_id(request: Request) -> str | None:
    """Return the id that a caller has sent with a request, None without one; raises BadRequestError."""
    sent = request.headers.get(HEADER)
    if sent is not None and not _ID.fullmatch(sent):
        raise BadRequestError(
            f"{HEADER} must be 16 to 64 letters, digits, hyphens or underscores, such as a UUID.",
            HEADER,
        )
    return sent


@dataclass(frozen=True)
class Place:
    """Where a request is. before: how many tasks would start before its own; None if that is not known."""

    state: Literal["waiting", "running"]
    before: int | None = None


class UnfinishedJobs(Protocol):
    """Knows the jobs of sync=false that this process has accepted."""

    def task(self, organisation: str, known_as: str) -> "Future[Any] | None":
        """Return the task of a job; None while it has none. Raises LookupError for an unknown job."""
        ...


class QueuePlaces:
    """Knows the tasks of requests by organisation and id: as many as there are requests with a place.

    jobs: of sync=false, which are bounded too. Nothing here tells of an id of another organisation. What other
    servers do is not known here. Use it in one event loop.
    """

    def __init__(self, scheduler: Scheduler, jobs: UnfinishedJobs) -> None:
        self._scheduler = scheduler
        self._jobs = jobs
        self._tasks: dict[tuple[str, str], Future[Any]] = {}

    @contextmanager
    def noted(self, organisation: str, request: Request, task: "Future[Any]") -> Iterator[None]:
        """Know the task of a request, if that has an id, while the context lasts."""
        sent = queue_id(request)
        if sent is None:
            yield
            return
        key = organisation, sent
        self._tasks[key] = task
        try:
            yield
        finally:
            # Another request of this organisation may have the id now.
            if self._tasks.get(key) is task:
                del self._tasks[key]

    def find(self, organisation: str, known_as: str) -> Place | None:
        """Return the place of an organisation's request; None if none with this id is in work here.

        known_as: the id that was sent with it or, of an accepted request of version 2, its request id.
        """
        try:
            task = self._tasks.get((organisation, known_as)) or self._jobs.task(
                organisation, known_as
            )
        except LookupError:
            return None
        if task is None:
            return Place("waiting")
        before = self._scheduler.ahead(task)
        return Place("running") if before is None else Place("waiting", before)
