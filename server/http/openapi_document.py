"""GET /openapi.json: the description of the API, written and compressed once."""

import json

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.static_file import StaticFile


def document_router() -> APIRouter:
    """Return the route. The document has 400 kB, and less than a tenth of that compressed."""
    router = APIRouter(include_in_schema=False)
    made: list[StaticFile] = []

    @router.head("/openapi.json")
    @router.get("/openapi.json")
    def openapi(request: Request) -> Response:
        if not made:
            text = json.dumps(request.app.openapi(), ensure_ascii=False, separators=(",", ":"))
            made.append(
                StaticFile(text.encode(), "application/json", {"Cache-Control": "no-cache"})
            )
        return made[0].answer(request)

    return router
