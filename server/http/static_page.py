"""A page of this server with the files that it loads: what it may load, and how long browsers keep it."""

import hashlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from server.errors import NotFoundError
from server.http.static_file import StaticFile

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
"""By the end of a file's name: its content type."""
_VERSION = "VERSION"
"""What stands in the page for the version of its files."""
_IMMUTABLE = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The address of a file names the version of all of them, so that none ever changes."""


class StaticPage:
    """A page, and its files by name.

    html: the page, with VERSION in the addresses of its files. store_origin: of `content_security_policy`.
    """

    def __init__(
        self, html: str, files: Mapping[str, bytes], store_origin: str | None = None
    ) -> None:
        self.version = _digest({"index.html": html.encode(), **files})
        text = html.replace(_VERSION, self.version)
        self._page = StaticFile(text.encode(), _TYPES["html"], _page_headers(store_origin))
        self._files = {
            name: StaticFile(content, _TYPES[name.rpartition(".")[2]], _IMMUTABLE)
            for name, content in files.items()
        }

    def answer(self, request: Request) -> Response:
        """Return the page."""
        return self._page.answer(request)

    def file(self, request: Request, asked: str, name: str) -> Response:
        """Return a file. asked: the version in its address. Raises NotFoundError for any other version."""
        found = self._files.get(name)
        if found is None or asked != self.version:
            raise NotFoundError("There is no such file of this version of the page.")
        return found.answer(request)


def content_security_policy(store_origin: str | None) -> str:
    """Return the policy of a page: this server, and the store that results are read from.

    store_origin: scheme, host and port of the links of results; None if they lead to this server.
    """
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


def _digest(files: Mapping[str, bytes]) -> str:
    """Return a digest of all files, so that a new one has new addresses."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]
