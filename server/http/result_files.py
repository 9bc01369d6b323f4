"""The answer with the file of a result itself, read from the store in parts."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.errors import NotFoundError
from server.http.processor_time import run_in_thread
from storage.errors import ObjectMissingError, StoreUnavailableError
from storage.object_store import ObjectStore, content_type_of

log = logging.getLogger("retouch")

_PART = 1 << 20
"""Bytes that are in memory of each answer: callers may read slowly, and results may be large."""
_MARK = b"file:"
"""Begins a stored reference; no JSON text begins so."""
SEED, SID, VISUAL_ID = "Retouch-Seed", "Retouch-Sid", "Retouch-Visual-Id"
REQUEST_ID, WARNING = "Retouch-Request-Id", "Retouch-Warning"
"""The headers with what the JSON answer would have told beside the link."""
HEADERS = ("Content-Disposition", "Content-Location", SEED, SID, VISUAL_ID, REQUEST_ID, WARNING)
"""The headers of an answer with a file that pages of browsers may read."""


@dataclass(frozen=True)
class ResultFile:
    """A stored result and the headers of an answer with it. size: in bytes. headers: of this result."""

    key: str
    size: int
    headers: Mapping[str, str]

    def reference(self) -> bytes:
        """Return a short text of it for repeats of the request, instead of the bytes."""
        return _MARK + json.dumps([self.key, self.size, dict(self.headers)]).encode()


def read_reference(stored: bytes) -> ResultFile | None:
    """Return what `ResultFile.reference` has made; None for any other stored answer."""
    if not stored.startswith(_MARK):
        return None
    key, size, headers = json.loads(stored.removeprefix(_MARK))
    return ResultFile(key, size, headers)


class FileResponse(Response):
    """The answer with a stored file; `open_file` makes it.

    If the store fails after the answer has begun, the connection is closed: the caller got fewer bytes than
    Content-Length says.
    """

    def __init__(
        self, store: ObjectStore, file: ResultFile, first: bytes, more: Mapping[str, str]
    ) -> None:
        headers = {
            "content-length": str(file.size),
            "cache-control": "no-store",
            "vary": "Accept",
            "x-content-type-options": "nosniff",
            **file.headers,
            **more,
        }
        super().__init__(headers=headers, media_type=content_type_of(file.key))
        self.file = file
        self._store = store
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, and no more of it once the caller has gone."""
        request = Request(scope, receive)
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        part, end = self._first, len(self._first)
        while True:
            more = end < self.file.size
            await send({"type": "http.response.body", "body": part, "more_body": more})
            if not more or await request.is_disconnected():
                return
            try:
                part = await run_in_thread(_read, self._store, self.file, end)
            except (ObjectMissingError, StoreUnavailableError) as error:
                log.warning("an answer ends after %d of %d bytes: %s", end, self.file.size, error)
                return
            end += len(part)


async def open_file(
    store: ObjectStore, file: ResultFile, more: Mapping[str, str] | None = None
) -> FileResponse:
    """Return the answer with a stored file, of which the first part is read.

    more: further headers. Raises NotFoundError if it was removed, StoreUnavailableError.
    """
    try:
        first = await run_in_thread(_read, store, file, 0)
    except ObjectMissingError:
        raise NotFoundError("This result has expired or was removed.") from None
    return FileResponse(store, file, first, more or {})


def _read(store: ObjectStore, file: ResultFile, start: int) -> bytes:
    part = store.get_range(file.key, start, min(file.size, start + _PART))
    if not part:
        raise ObjectMissingError(file.key)  # it is shorter than it was
    return part
