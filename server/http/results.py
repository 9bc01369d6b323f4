"""Create the links of results and send the files; anyone with a link can read it until it expires."""

import re
import time
import uuid
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from server.errors import JobFailedError, LinkRefusedError, NotFoundError
from server.http.openapi import JOB_REFUSAL, refused_with
from server.http.processor_time import RESULT_OF
from server.http.result_links import NO_RESULT, RESULTS_PATH
from storage.links import LinkState, SignedLinks
from storage.object_store import ObjectStore

router = APIRouter(tags=["results"])

_PART = r"(\d{1,18}-\d{0,18}|-\d{1,18})"
_RANGE = re.compile(rf"bytes=\s*{_PART}(\s*,\s*{_PART})*\s*\Z", re.ASCII)
_BOUNDS = re.compile(r"(\d+)-(\d+)", re.ASCII)


def new_key(
    organisation: str, extension: str, request_id: str, number: int = 0, name: str = ""
) -> str:
    """Return the key of a result of a request, which nobody can guess who does not know its id.

    A request that runs again after a crash has the same keys. request_id: 32 hexadecimal digits. number:
    of the result. name: of the file, without its extension; by default a UUID.
    """
    prefix = f"{organisation}/{uuid.uuid5(uuid.UUID(request_id), str(number))}"
    return f"{prefix}/{name}.{extension}" if name else f"{prefix}.{extension}"


def _is_range(header: str) -> bool:
    """Whether a Range header can be followed: no part may end before it begins."""
    bounds = _BOUNDS.findall(header)
    return _RANGE.match(header) is not None and all(int(a) <= int(b) for a, b in bounds)


class ResultFile(FileResponse):
    """The response with a stored result, sent in chunks of 1 MiB: each is read in a worker thread."""

    chunk_size = 1 << 20


class Delivery:
    """Creates the links of results and verifies them; uses the store's presigned links if it has them.

    public_url: the start of links; None for the address that the caller used. ttl_s: the lifetime of
    links in seconds.
    """

    def __init__(
        self, store: ObjectStore, signer: SignedLinks, public_url: str | None, ttl_s: int
    ) -> None:
        self.store = store
        self._signer = signer
        self._public_url = public_url
        self._ttl_s = ttl_s

    def link(self, request: Request, key: str) -> str:
        """Return the link of a result; the result need not exist yet."""
        return self.sign(self.base_url(request), key)

    def base_url(self, request: Request) -> str:
        """Return the start of the links in the answer to a request."""
        return self._public_url or str(request.base_url).rstrip("/")

    def sign(self, base: str, key: str) -> str:
        """Return the link of a result; base: the start of the link."""
        store_link = self.store.link(key, self._ttl_s)
        if store_link is not None:
            return store_link
        query = self._signer.sign(key, int(time.time()) + self._ttl_s)
        return f"{base}{RESULTS_PATH}{key}?{query}"

    def open(self, key: str, expires: str, signature: str) -> tuple[Path, str, int]:
        """Return the file of a result, its content type, and the seconds until its link expires.

        Raises LinkRefusedError for an expired or forged link, JobFailedError if the job of the result
        failed, NotFoundError if the result does not exist, or does not exist yet.
        """
        now = int(time.time())
        state = self._signer.verify(key, expires, signature, now)
        if state is LinkState.EXPIRED:
            raise LinkRefusedError("This link has expired.")
        if state is LinkState.REVOKED:
            raise LinkRefusedError("This link was revoked.")
        if state is not LinkState.OK:
            raise LinkRefusedError("This link was not made by this server.")
        info, path = self.store.stat(key), self.store.path(key)
        if info is not None and path is not None:
            return path, info.content_type, int(expires) - now
        refusal = self.store.refusal(key)
        if refusal is not None:
            raise JobFailedError(refusal.text, refusal.code, refusal.status, refusal.parameter)
        raise NotFoundError(NO_RESULT)


@router.head("/results/{key:path}", include_in_schema=False)
@router.get(
    "/results/{key:path}",
    summary="Read a result",
    response_class=FileResponse,
    responses={206: {"description": "The requested range."}},
    openapi_extra=refused_with(LinkRefusedError.code, NotFoundError.code, JOB_REFUSAL),
)
def read_result(request: Request, key: str, expires: str = "", signature: str = "") -> Response:
    """Return a stored result, complete or a range of it; the link is the permission."""
    delivery: Delivery = request.app.state.dependencies.delivery
    path, content_type, seconds_left = delivery.open(key, expires, signature)
    request.scope["state"][RESULT_OF] = key.partition("/")[0]
    if not _is_range(request.headers.get("range", "")):
        # An invalid Range header is ignored (RFC 9110, section 14.2).
        request.scope["headers"] = [h for h in request.scope["headers"] if h[0] != b"range"]
    headers = {
        "cache-control": f"private, max-age={seconds_left}",
        "x-content-type-options": "nosniff",
    }
    return ResultFile(path, media_type=content_type, headers=headers)
