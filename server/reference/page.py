"""GET /docs: the reference of the API to read and to try, from files of this server alone."""

import functools
import importlib.resources

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from server.http.auth import Tokens
from server.http.readers import check_reader
from server.http.scopes import Scope, needs
from server.http.static_page import StaticPage

_OWN = ("reference.js", "reference.css")
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")


def reference_router(tokens: Tokens) -> APIRouter:
    """Return the routes of the page. tokens: what knows who may read it (`server.http.readers`)."""
    page = _read_page()
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
        return page.file(request, asked, name)

    return router


@functools.cache
def _read_page() -> StaticPage:
    own = importlib.resources.files("server.reference") / "static"
    vendored = importlib.resources.files("server.vendored") / "swagger-ui-dist"
    files = {name: (own / name).read_bytes() for name in _OWN}
    files |= {name: (vendored / name).read_bytes() for name in _SWAGGER}
    return StaticPage((own / "index.html").read_text(encoding="utf-8"), files)
