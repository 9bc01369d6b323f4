"""The health checks: whether the process is alive, and whether it is ready for requests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from models.start_progress import StartProgress
from server.http.shutdown import Shutdown
from storage.breaker import Availability

router = APIRouter(tags=["health"])

PROBE_PATHS = frozenset({"/healthz", "/readyz"})
"""The paths of this router."""

_REASONS = {
    "models": "the models are being loaded",
    "weights": "the weights are being checked, and fetched where they are missing",
}
"""By the name of what is awaited: what the server is doing."""


@dataclass
class Readiness:
    """What the server still waits for before it is ready.

    awaited: names of what is not ready yet, of `_REASONS`. availability: whether the store and the
    database answer. error: why loading the models failed, or None. done: set when nothing is awaited any
    more. is_disk_full: whether nothing new is stored. progress: how far the start is.
    """

    shutdown: Shutdown
    awaited: set[str] = field(default_factory=set)
    availability: Availability = field(default_factory=Availability)
    error: str | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    is_disk_full: Callable[[], bool] = lambda: False
    progress: StartProgress = field(default_factory=StartProgress)

    @property
    def reason(self) -> str:
        """What the server is doing before it is ready."""
        doing = " and ".join(_REASONS[name] for name in sorted(self.awaited))
        far = str(self.progress)
        return f"{doing} ({far})" if far else doing

    def state(self) -> tuple[dict[str, Any], int]:
        """Return what the server is ready for, in JSON values, and the status code that says the same."""
        if self.shutdown.begun:
            return {"status": "ending"}, 503
        if self.error is not None:
            return {"status": "failed", "reason": self.error}, 503
        if self.awaited:
            told: dict[str, Any] = {"awaited": sorted(self.awaited), "reason": self.reason}
            if far := self.progress.as_json():
                told["progress"] = far
            return {"status": "starting", **told}, 503
        if names := sorted(self.availability.reasons):
            reason = " and ".join(f"the {name} does not answer" for name in names)
            return {"status": "unavailable", "unavailable": names, "reason": reason}, 503
        if self.is_disk_full():
            return {"status": "ready", "disk": "full"}, 200
        return {"status": "ready"}, 200

    def complete(self, name: str) -> None:
        """Note that something is no longer awaited."""
        self.error = None
        self.awaited.discard(name)
        if not self.awaited:
            self.done.set()


@router.get("/healthz", summary="The process lives")
async def healthz() -> dict[str, str]:
    """Answer as long as the event loop runs."""
    return {"status": "ok"}


@router.get("/readyz", summary="The models have run once, and the store and the database answer")
async def readyz(request: Request) -> JSONResponse:
    """Answer 200 if every model has run once, and the store and the database answer; else 503.

    It never waits for them: threads probe them all the time. If they are unavailable to every server, a
    load balancer that follows this answer has no server left, and its own error has no Retry-After.

    A server whose disk is full is ready: it still serves results and removes pictures.
    """
    readiness: Readiness = request.app.state.readiness
    body, code = readiness.state()
    return JSONResponse(body, code)
