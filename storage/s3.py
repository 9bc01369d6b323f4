"""A store of objects in an S3 bucket, read by whoever has a presigned link."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from storage.errors import ObjectMissingError, StoreUnavailableError
from storage.object_store import ObjectInfo, Refusal, check_key, content_type_of

_CODE, _REASON = "retouch-code", "retouch-reason"
"""Metadata of an object that stands for a refusal; a reader sees them with `x-amz-meta-` before."""
_MAX_REASON = 500
"""Bytes of a refusal's text, up to three times as many in percent-encoding; S3 takes 2 KB of metadata."""
_PAGE = 1000
"""Objects listed, and removed, by one request; S3's own limit."""
_CLIENT = {"connect_timeout": "3s", "timeout": "60s"}
_RETRY: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}
"""A request that waits for a store that is away is answered before its caller gives up."""


@dataclass(frozen=True)
class Bucket:
    """Where objects lie in S3.

    prefix: of every key, without slashes at its ends; may be empty. endpoint: address of a store other
    than AWS's own. public_endpoint: the same store as readers of links reach it; by default the
    endpoint. region: as the store names it. path_style: the bucket is in the path, not in the host.
    lifecycle: the bucket has a rule that removes old results, so that `sweep` need not list them.
    Credentials are found as AWS's own tools find them, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY first.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = True
    lifecycle: bool = False

    def store(self, folder: str, *, public: bool = False) -> S3Store:
        """Open the objects of a folder below the prefix; public: as readers of links see them."""
        endpoint = (self.public_endpoint if public else None) or self.endpoint
        placed: dict[str, Any] = {} if endpoint is None else {"endpoint": self._addressed(endpoint)}
        options: Any = {**_CLIENT, "allow_http": bool(endpoint and _is_plain(endpoint))}
        return S3Store(
            self.name,
            prefix=f"{self.prefix}/{folder}" if self.prefix else folder,
            region=self.region,
            virtual_hosted_style_request=not self.path_style,
            client_options=options,
            retry_config=_RETRY,
            **placed,
        )

    def _addressed(self, endpoint: str) -> str:
        """Put the bucket into the host where it belongs there: obstore leaves an endpoint as it is."""
        scheme, host = urlsplit(endpoint)[:2]
        return endpoint if self.path_style else f"{scheme}://{self.name}.{host}"


class S3Objects:
    """An ObjectStore whose object `a/b.png` is `prefix/folder/a/b.png` in a bucket.

    A refusal is an object of no bytes under the very key, as callers who poll a link know it; why is
    told by its metadata.
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        """Open a folder; nothing is asked of the store yet."""
        self._bucket = bucket
        self._store = bucket.store(folder)
        self._public = bucket.store(folder, public=True)

    def check(self) -> None:
        """Raise StoreUnavailableError unless the bucket is there and lets us read it."""
        self.stat("check")

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See ObjectStore: one request, which the store takes whole or not at all."""
        if content_type != content_type_of(check_key(key)):
            raise ValueError(f"{content_type} is not the content type of {key}")
        self._put(key, data, {})

    def refuse(self, key: str, refusal: Refusal) -> None:
        """See ObjectStore."""
        text = refusal.text.encode()[:_MAX_REASON].decode(errors="ignore")
        notes = {_CODE: str(refusal.code), _REASON: quote(text, safe=",.:;()'")}
        with contextlib.suppress(AlreadyExistsError):  # settled before, perhaps by another server
            self._put(check_key(key), b"", notes, mode="create")

    def _put(
        self,
        key: str,
        data: bytes,
        notes: dict[str, str],
        mode: Literal["create", "overwrite"] = "overwrite",
    ) -> None:
        headers = {"Content-Type": content_type_of(key), "Cache-Control": "private, no-transform"}
        attributes = {**headers, **notes}
        with _translated(key):
            obstore.put(
                self._store, key, data, attributes=attributes, mode=mode, use_multipart=False
            )

    def refusal(self, key: str) -> Refusal | None:
        """See ObjectStore."""
        with _translated(check_key(key)):
            try:
                notes = obstore.get(self._store, key).attributes
            except FileNotFoundError:
                return None
        code = notes.get(_CODE)
        return None if code is None else Refusal(int(code), unquote(notes.get(_REASON, "")))

    def is_settled(self, key: str) -> bool:
        """See ObjectStore."""
        return self.exists(key)

    def stat(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        with _translated(check_key(key)):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return ObjectInfo(found["size"], found["last_modified"], content_type_of(key))

    def exists(self, key: str) -> bool:
        """See ObjectStore; true of a refused key too."""
        return self.stat(key) is not None

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with _translated(check_key(key)):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                raise ObjectMissingError(key) from None

    def link(self, key: str, ttl_s: int) -> str:
        """See ObjectStore: a presigned address (AWS Signature Version 4), 7 days at most."""
        with _translated(check_key(key)):
            return obstore.sign(self._public, "GET", key, timedelta(seconds=ttl_s))

    def path(self, key: str) -> Path | None:
        """See ObjectStore: there is no file."""
        return None

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        with _translated(check_key(key)):
            obstore.delete(self._store, [key])

    def sweep(self, older_than: datetime) -> int:
        """See ObjectStore. Lists every object, 1,000 a request: a large bucket has a lifecycle rule instead."""
        if older_than.tzinfo is None:
            raise ValueError("older_than needs a time zone")
        if self._bucket.lifecycle:
            return 0
        removed = 0
        with _translated("the listing"):
            for page in obstore.list(self._store, chunk_size=_PAGE):
                old = [found["path"] for found in page if found["last_modified"] < older_than]
                if old:
                    obstore.delete(self._store, old)
                    removed += len(old)
        return removed


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what obstore raises into StoreUnavailableError."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:  # an OSError where the bucket itself is missing
        # The first line tells it; what follows is the library's own record of the request.
        reason = str(error).partition("\n")[0]
        raise StoreUnavailableError(f"the store failed at {what}: {reason}") from error


def _is_plain(endpoint: str) -> bool:
    return endpoint.lower().startswith("http://")
