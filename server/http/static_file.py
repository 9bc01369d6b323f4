"""An answer that is known as a whole: sent with a tag for caches, and compressed for who takes it."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

_COMPRESSIBLE = re.compile(r"text/|application/json|image/svg\+xml")
_CODING = re.compile(r"\s*(?P<name>[^\s;,]+)\s*(;\s*q=(?P<q>[0-9.]+)\s*)?\Z", re.IGNORECASE)


class StaticFile:
    """Content with its type, its tags and its compressed form, which is made at the first request that takes it.

    A file that never changes while the server runs is kept as one of these.

    content_type: with the charset. headers: of every answer, such as Cache-Control.
    """

    def __init__(self, content: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        self.content = content
        self._is_text = _COMPRESSIBLE.match(content_type) is not None
        self._headers = {
            "Content-Type": content_type,
            "X-Content-Type-Options": "nosniff",
            **headers,
        }
        if self._is_text:
            self._headers["Vary"] = "Accept-Encoding"
        self._tag = hashlib.sha256(content).hexdigest()[:32]

    @cached_property
    def compressed(self) -> bytes:
        """The content as gzip has it; the same bytes in every process."""
        return gzip.compress(self.content, 9, mtime=0)

    def answer(self, request: Request) -> Response:
        """Return the answer to GET or HEAD: 304 if the caller has these bytes."""
        is_compressed = self._is_text and _accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = f'"{self._tag}{"-gzip" if is_compressed else ""}"'
        headers = {**self._headers, "ETag": tag}
        if tag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        return Response(self.compressed if is_compressed else self.content, headers=headers)


def _tags(header: str) -> set[str]:
    """Return the tags of If-None-Match, of which weak ones count too (RFC 9110, section 13.1.2)."""
    return {one.strip().removeprefix("W/") for one in header.split(",")}


def _accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header names gzip, or everything, and not with `q=0`."""
    weights = {
        match["name"].lower(): float(match["q"] or 1)
        for match in map(_CODING.match, header.split(","))
        if match and re.fullmatch(r"[01](\.[0-9]{0,3})?", match["q"] or "1")
    }
    return weights.get("gzip", weights.get("*", 0.0)) > 0
