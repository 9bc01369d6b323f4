"""Forms of a request target that mean the same path."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from server.http.middleware import NormalizePath


def normalized(path: str) -> tuple[str, bytes, str]:
    """Return the path, the raw path and the host that the application gets."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "headers": [(b"accept", b"*/*"), (b"host", b"asked.example")],
    }
    unused: Any = None
    asyncio.run(NormalizePath(app)(scope, unused, unused))
    headers = seen[0]["headers"]
    assert (b"accept", b"*/*") in headers
    (host,) = [value.decode() for name, value in headers if name == b"host"]
    return seen[0]["path"], seen[0]["raw_path"], host


@pytest.mark.parametrize(
    ("path", "wanted", "host"),
    [
        ("/v1/crop", "/v1/crop", "asked.example"),
        ("//v1///crop/", "/v1/crop", "asked.example"),
        ("http://a.example/v1/crop", "/v1/crop", "a.example"),
        ("HTTPS://a.example:8443//v1/crop/", "/v1/crop", "a.example:8443"),
        ("http://[::1]:8000/v1/crop", "/v1/crop", "[::1]:8000"),
        ("http://user:secret@a.example/v1/crop", "/v1/crop", "a.example"),
        ("http://a.example", "/", "a.example"),
        ("/v1/http://a.example", "/v1/http:/a.example", "asked.example"),
        ("http:///v1/crop", "http:/v1/crop", "asked.example"),
        ("http://a b/v1/crop", "http:/a b/v1/crop", "asked.example"),
        ("ftp://a.example/v1/crop", "ftp:/a.example/v1/crop", "asked.example"),
    ],
)
def test_a_target_becomes_its_path(path: str, wanted: str, host: str) -> None:
    assert normalized(path) == (wanted, wanted.encode(), host)
