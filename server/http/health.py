"""Whether the process lives, and whether it can work."""

from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from server.http.shutdown import Shutdown

router = APIRouter(tags=["health"])


@dataclass
class Readiness:
    """What is still awaited before the first request; ready when nothing is, until the end is begun."""

    shutdown: Shutdown
    awaited: set[str] = field(default_factory=set)
    fault: str | None = None


@router.get("/healthz", summary="The process lives")
async def healthz() -> dict[str, str]:
    """Answer as long as the event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", summary="The models are loaded and have run once")
async def readyz(request: Request) -> JSONResponse:
    """Answer 200 when every model of the profile is loaded and has run once, else 503.

    Neither store nor database is asked: they are away for every server at once, and one that is not
    ready could not tell its callers when to come again.
    """
    readiness: Readiness = request.app.state.readiness
    if readiness.shutdown.begun:
        return JSONResponse({"status": "ending"}, 503)
    if readiness.fault is not None:
        return JSONResponse({"status": "failed", "reason": readiness.fault}, 503)
    if readiness.awaited:
        return JSONResponse({"status": "starting", "awaited": sorted(readiness.awaited)}, 503)
    return JSONResponse({"status": "ready"})
