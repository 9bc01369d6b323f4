"""From a result to a link that anyone who has it can read until it expires."""

import re
import time
import uuid
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from server.errors import JobFailedError, LinkRefusedError, NotFoundError
from server.http.openapi import JOB_REFUSAL, refused_with
from storage.links import LinkSigner, LinkState
from storage.object_store import ObjectStore

router = APIRouter(tags=["results"])

_RANGE = re.compile(r"bytes=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*\Z")


def new_key(organisation: str, extension: str, name: str = "") -> str:
    """Give a result a place that nobody can guess; `name` is what its file is called there."""
    place = f"{organisation}/{uuid.uuid4()}"
    return f"{place}/{name}.{extension}" if name else f"{place}.{extension}"


class ResultFile(FileResponse):
    """A stored result as it is sent: in pieces large enough that reading each on a thread costs little."""

    chunk_size = 1 << 20


class Delivery:
    """Names results, and signs and serves their links; where the store serves them itself, its own links.

    public_url: what links start with; None for the address that the caller used. ttl_s: their life.
    """

    def __init__(
        self, store: ObjectStore, signer: LinkSigner, public_url: str | None, ttl_s: int
    ) -> None:
        self.store = store
        self._signer = signer
        self._public_url = public_url
        self._ttl_s = ttl_s

    def link(self, request: Request, key: str) -> str:
        """Return the link of a result, stored or still to come."""
        elsewhere = self.store.link(key, self._ttl_s)
        if elsewhere is not None:
            return elsewhere
        base = self._public_url or str(request.base_url).rstrip("/")
        query = self._signer.sign(key, int(time.time()) + self._ttl_s)
        return f"{base}/results/{key}?{query}"

    def open(self, key: str, expires: str, signature: str) -> tuple[Path, str, int]:
        """Find a stored result: its file, its content type and the seconds its link still lives.

        Raises LinkRefusedError for an expired or forged link, NotFoundError for a result not there (yet).
        """
        now = int(time.time())
        state = self._signer.verify(key, expires, signature, now)
        if state is LinkState.EXPIRED:
            raise LinkRefusedError("This link has expired.")
        if state is not LinkState.OK:
            raise LinkRefusedError("This link was not made by this server.")
        info, path = self.store.stat(key), self.store.path(key)
        if info is not None and path is not None:
            return path, info.content_type, int(expires) - now
        refusal = self.store.refusal(key)
        if refusal is not None:
            raise JobFailedError(refusal.text, code=refusal.code)
        raise NotFoundError("There is no result under this link, or not yet.")


@router.head("/results/{key:path}", include_in_schema=False)
@router.get(
    "/results/{key:path}",
    summary="Read a result",
    response_class=FileResponse,
    responses={206: {"description": "The range that was asked for."}},
    openapi_extra=refused_with(LinkRefusedError.code, NotFoundError.code, JOB_REFUSAL),
)
def read_result(request: Request, key: str, expires: str = "", signature: str = "") -> Response:
    """Serve a stored result, whole or by range; the link itself is the permission."""
    delivery: Delivery = request.app.state.dependencies.delivery
    path, content_type, life = delivery.open(key, expires, signature)
    if "range" in request.headers and not _RANGE.match(request.headers["range"]):
        # A Range header that cannot be read is ignored (RFC 9110, section 14.2).
        request.scope["headers"] = [h for h in request.scope["headers"] if h[0] != b"range"]
    headers = {
        "cache-control": f"private, max-age={life}",
        "x-content-type-options": "nosniff",
    }
    return ResultFile(path, media_type=content_type, headers=headers)
