"""GET /docs: the reference of the API to read and to try, from files of this server alone."""

import hashlib
import importlib.resources

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from server.errors import NotFoundError
from server.http.auth import Tokens
from server.http.readers import check_reader
from server.http.scopes import Scope, needs
from server.http.static_file import StaticFile

_SWAGGER = "swagger-ui-dist"
_ASSETS = {
    "reference.js": "text/javascript; charset=utf-8",
    "reference.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
"""By name: the content types of what the page loads."""
_HTML = "text/html; charset=utf-8"
_VERSION = "VERSION"
"""What stands in the page for the version of its files."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # results of calls, and the icons in the style sheet
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_IMMUTABLE = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The address of a file names the version of all of them, so that none ever changes."""


def reference_router(tokens: Tokens) -> APIRouter:
    """Return the routes of the page. tokens: what knows who may read it (`server.http.readers`)."""
    own = importlib.resources.files("server.reference") / "static"
    vendored = importlib.resources.files("server.vendored") / _SWAGGER
    files = {
        name: ((vendored if "swagger" in name else own) / name).read_bytes() for name in _ASSETS
    }
    version = hashlib.sha256(b"".join(files.values())).hexdigest()[:16]
    assets = {name: StaticFile(files[name], kind, _IMMUTABLE) for name, kind in _ASSETS.items()}
    text = (own / "index.html").read_text(encoding="utf-8").replace(_VERSION, version)
    page = StaticFile(text.encode(), _HTML, _PAGE_HEADERS)
    # Its routes run on threads: the largest file takes a tenth of a second to compress, once.
    router = APIRouter(include_in_schema=False)

    @router.head("/docs")
    @router.get("/docs")
    @needs(Scope.READ)
    def reference(request: Request) -> Response:
        check_reader(request, tokens)
        if request.scope.get("sent_path", "").endswith("/"):
            # The addresses in the page are relative, for proxies with a prefix.
            return RedirectResponse("../docs", 308)
        return page.answer(request)

    @router.head("/docs/{asked}/{name}")
    @router.get("/docs/{asked}/{name}")
    def reference_file(request: Request, asked: str, name: str) -> Response:
        file = assets.get(name)
        if file is None or asked != version:
            raise NotFoundError("There is no such file of this version of the page.")
        return file.answer(request)

    return router
