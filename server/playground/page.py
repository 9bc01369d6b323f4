"""Serve the playground: its page at `/` and the files that the page loads, all public text without a token."""

import functools
import importlib.resources
from collections.abc import Iterable
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.static_page import StaticPage

_VENDORED = (
    "htm/standalone.js",
    "img-comparison-slider/index.js",
    "perfect-freehand/index.js",
)
"""What the page loads of `server/vendored`."""
_PAGE, _SCRIPTS = "index.html", "<!-- scripts -->"


def playground_router(store_origin: str | None) -> APIRouter:
    """Return the routes of the page.

    store_origin: scheme, host and port of the links of results, if those lead to a bucket; None if they lead
    to this server.
    """
    page = _read_page(store_origin)
    router = APIRouter(include_in_schema=False)

    @router.head("/")
    @router.get("/")
    async def playground(request: Request) -> Response:
        return page.answer(request)

    @router.head("/playground/{asked}/{name:path}")
    @router.get("/playground/{asked}/{name:path}")
    async def playground_file(request: Request, asked: str, name: str) -> Response:
        return page.file(request, asked, name)

    return router


@functools.cache
def _read_page(store_origin: str | None) -> StaticPage:
    files = _read_files()
    html = _with_modules(files.pop(_PAGE).decode(), files)
    return StaticPage(html, files, store_origin)


def _read_files() -> dict[str, bytes]:
    """Return every file by its name in the page's folder; vendored ones are below `vendored/`."""
    own = importlib.resources.files("server.playground") / "static"
    vendored = importlib.resources.files("server.vendored")
    files = _walk(own, "")
    return files | {f"vendored/{name}": (vendored / name).read_bytes() for name in _VENDORED}


def _walk(folder: Traversable, prefix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _walk(entry, f"{prefix}{entry.name}/")
        else:
            found[prefix + entry.name] = entry.read_bytes()
    return found


def _with_modules(html: str, names: Iterable[str]) -> str:
    """Return the page with the addresses of its modules, so that all are loaded at once."""
    scripts = "\n".join(
        f'<link rel="modulepreload" href="playground/VERSION/{name}">'
        for name in sorted(names)
        if name.endswith(".js") and name != "theme.js"
    )
    return html.replace(_SCRIPTS, scripts)
