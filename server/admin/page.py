"""GET /admin: the page of the operator, and GET /admin/state, the figures on it."""

import functools
import importlib.resources

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from server.admin.report import AdminReport
from server.errors import HttpError, InvalidTokenError
from server.http.auth import Tokens
from server.http.scopes import Scope, needs
from server.http.static_page import StaticPage

_OWN = ("admin.css", "admin.js", "format.js", "sections.js")
_SHARED = ("brand.js", "html.js", "icon.svg", "style.css", "theme.js")
"""What the page has in common with the playground: colours, type, controls, icons."""
_VENDORED = ("htm/standalone.js",)
_CHALLENGE = {
    "WWW-Authenticate": 'Basic realm="Retouch administration: a token as the password", charset="UTF-8"'
}
_NO_STORE = "no-store"
_SAME_ORIGIN = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site of this page, and of an address that someone has typed."""


def admin_router(tokens: Tokens, report: AdminReport) -> APIRouter:
    """Return the routes. tokens: what knows who may read them (`check_operator`)."""
    page = _read_page()
    router = APIRouter(include_in_schema=False)

    @router.head("/admin")
    @router.get("/admin")
    @needs(Scope.ADMIN)
    async def admin(request: Request) -> Response:
        check_operator(request, tokens)
        if request.scope.get("sent_path", "").endswith("/"):
            # The addresses in the page are relative, for proxies with a prefix.
            return RedirectResponse("../admin", 308)
        answer = page.answer(request)
        answer.headers["Cache-Control"] = _NO_STORE
        return answer

    @router.get("/admin/state")
    @needs(Scope.ADMIN)
    async def admin_state(request: Request) -> Response:
        check_operator(request, tokens)
        _check_same_origin(request)
        state = await report.describe()
        return Response(
            state.model_dump_json(),
            media_type="application/json",
            headers={"Cache-Control": _NO_STORE, "X-Content-Type-Options": "nosniff"},
        )

    @router.head("/admin/{asked}/{name:path}")
    @router.get("/admin/{asked}/{name:path}")
    async def admin_file(request: Request, asked: str, name: str) -> Response:
        return page.file(request, asked, name)

    return router


def check_operator(request: Request, tokens: Tokens) -> None:
    """Raise InvalidTokenError or MissingScopeError if a request may not see what all organisations do.

    Where tokens are required it needs one with the scope `admin`, also from this machine.
    """
    if not tokens.required:
        return
    try:
        tokens.organisation(request)
    except InvalidTokenError as error:
        raise InvalidTokenError(error.text, headers=_CHALLENGE) from None


def _check_same_origin(request: Request) -> None:
    """Refuse pages of other sites: the server allows them its routes, and one without tokens knows no operator."""
    if request.headers.get("sec-fetch-site", "none") not in _SAME_ORIGIN:
        raise HttpError("Only the page /admin of this server may read this in a browser.", 403)


@functools.cache
def _read_page() -> StaticPage:
    own = importlib.resources.files("server.admin") / "static"
    shared = importlib.resources.files("server.playground") / "static"
    vendored = importlib.resources.files("server.vendored")
    files = {name: (own / name).read_bytes() for name in _OWN}
    files |= {name: (shared / name).read_bytes() for name in _SHARED}
    files |= {f"vendored/{name}": (vendored / name).read_bytes() for name in _VENDORED}
    return StaticPage((own / "index.html").read_text(encoding="utf-8"), files)
