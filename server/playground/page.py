"""Serve the playground: its page at `/` and the files that the page loads, all public text without a token."""

import hashlib
import importlib.resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import NotFoundError
from server.http.static_file import StaticFile

_VENDORED = (
    "htm/standalone.js",
    "img-comparison-slider/index.js",
    "perfect-freehand/index.js",
)
"""What the page loads of `server/vendored`."""
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
"""By the end of a file's name: its content type."""
_IMMUTABLE = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The address of a file names the version of all of them, so that none ever changes."""
_PAGE, _SCRIPTS = "index.html", "<!-- scripts -->"
_VERSION = "VERSION"
"""What stands in the page for the version of its files."""


def playground_router(store_origin: str | None) -> APIRouter:
    """Return the routes of the page.

    store_origin: scheme, host and port of the links of results, if those lead to a bucket; None if they lead
    to this server.
    """
    files = _read_files()
    version = _version(files)
    assets = {
        name: StaticFile(content, _type(name), _IMMUTABLE)
        for name, content in files.items()
        if name != _PAGE
    }
    page = StaticFile(_page(files, version), _TYPES["html"], _page_headers(store_origin))
    router = APIRouter(include_in_schema=False)

    @router.head("/")
    @router.get("/")
    async def playground(request: Request) -> Response:
        return page.answer(request)

    @router.head("/playground/{asked}/{name:path}")
    @router.get("/playground/{asked}/{name:path}")
    async def playground_file(request: Request, asked: str, name: str) -> Response:
        file = assets.get(name)
        if file is None or asked != version:
            raise NotFoundError("There is no such file of this version of the page.")
        return file.answer(request)

    return router


def content_security_policy(store_origin: str | None) -> str:
    """Return the policy of the page: this server, and the store that its results are read from."""
    store = f" {store_origin}" if store_origin else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{store}",
            f"connect-src 'self' blob:{store}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _page_headers(store_origin: str | None) -> dict[str, str]:
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": content_security_policy(store_origin),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }


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


def _version(files: dict[str, bytes]) -> str:
    """Return a digest of all files, so that a new one has new addresses."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def _page(files: dict[str, bytes], version: str) -> bytes:
    """Return the page with the version in its addresses, and with its modules, so that all are loaded at once."""
    scripts = "\n".join(
        f'<link rel="modulepreload" href="playground/{version}/{name}">'
        for name in sorted(files)
        if name.endswith(".js") and name != "theme.js"
    )
    text = files[_PAGE].decode().replace(_VERSION, version)
    return text.replace(_SCRIPTS, scripts).encode()


def _type(name: str) -> str:
    return _TYPES[name.rpartition(".")[2]]
