"""What a browser gets at `/` while the server starts: a page that says so, and asks again by itself."""

import base64
import hashlib
import html
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import UnavailableError

_AGAIN_S = 3
"""Seconds after which the browser asks again."""
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;padding:0 1rem}"
    "h1{font-size:1.4rem;font-weight:600}"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Retouch is starting</title>
<style>{_STYLE}</style>
<main><h1>The server is starting</h1>
<p role="status">{{}}. The playground opens here by itself.</p></main>
</html>
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Refresh": str(_AGAIN_S),
    "Retry-After": str(_AGAIN_S),
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def waiting_page_router(reason: Callable[[], str]) -> APIRouter:
    """Return the route. reason: what the server is doing before it is ready."""
    router = APIRouter(include_in_schema=False)

    @router.head("/")
    @router.get("/")
    async def waiting_page(request: Request) -> Response:
        doing = reason()
        if "text/html" not in request.headers.get("accept", ""):  # a program
            raise UnavailableError(f"The server is starting: {doing}; try again.")
        text = _PAGE.replace("{}", html.escape(doing[:1].upper() + doing[1:]))
        return Response(text, 503, _HEADERS, "text/html")

    return router
