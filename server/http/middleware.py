"""ASGI middleware: normalize paths, and answer unhandled errors."""

import asyncio
import errno
import logging
import re
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import HttpError, ShuttingDownError, UnavailableError
from server.http.audit import note_operation
from server.http.error_answers import error_response
from server.http.matched_route import matched_operation

log = logging.getLogger("retouch")

_SLASHES = re.compile(r"/{2,}")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Large parts of a multipart body are written to the folder of temporary files."""
_ABSOLUTE = re.compile(r"https?://(?:[^/?#@]*@)?([a-z0-9.:_\[\]-]+)(?=[/?#]|\Z)", re.IGNORECASE)


class NormalizePath:
    """Make different forms of the same request target equal, and note which route answered it.

    `//` becomes `/` and a trailing slash is removed: some callers join paths with too many slashes. A
    target in absolute form, as for a proxy, becomes its path, and its host replaces the Host header (RFC
    9112, section 3.2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the normalized path."""
        if scope["type"] == "http":
            path = scope["path"]
            if absolute := _ABSOLUTE.match(path):
                scope = {**scope, "headers": _with_host(scope["headers"], absolute[1])}
                path = path[absolute.end() :] or "/"
            path = _SLASHES.sub("/", path)
            if len(path) > 1:
                path = path.rstrip("/") or "/"
            if path != scope["path"]:
                scope = {
                    **scope,
                    "path": path,
                    "raw_path": path.encode(),
                    "sent_path": scope["path"],
                }
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                note_operation(scope)


def _with_host(headers: Sequence[tuple[bytes, bytes]], host: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), *(header for header in headers if header[0] != b"host")]


class UnhandledErrors:
    """Log an unhandled error and answer with the API's error body, without the error's text.

    A full disk is 503 with one line in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; answer 500 if it raises before the response has started.

        Answer 503 if the request is cancelled, which happens at the end of the grace period.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_watch)
        except ClientDisconnect:
            return  # the caller has disconnected
        except asyncio.CancelledError:
            if started:
                raise
            await error_response(ShuttingDownError(), scope)(scope, receive, send)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_FULL and not started:
                log.error("%s: %s", matched_operation(scope), error)
                full = UnavailableError("The disk of the server is full; try again later.")
                full.reason = "disk_full"
                await error_response(full, scope)(scope, receive, send)
                return
            log.exception("%s failed", matched_operation(scope) or "a request")
            if started:
                raise
            text = "The server failed to answer this request; the error is in its log."
            await error_response(HttpError(text, 500), scope)(scope, receive, send)
