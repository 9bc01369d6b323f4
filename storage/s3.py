"""The object store in an S3 bucket; callers read results through presigned links."""

import contextlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError
from obstore.store import S3Store

from storage.bucket import SILENCE_LIMIT_S, Bucket
from storage.errors import ObjectMissingError, StoreSilentError, StoreUnavailableError
from storage.links import LinkState
from storage.object_store import ObjectInfo, Refusal, check_key, content_type_of, is_key
from storage.presigned import access_key_from_environment, verify_presigned

_CODE_KEY, _STATUS_KEY = "retouch-code", "retouch-status"
_REASON_KEY, _PARAMETER_KEY = "retouch-reason", "retouch-parameter"
"""Metadata of an object that stores a refusal; a reader gets them as headers `x-amz-meta-...`."""
_MAX_REASON_BYTES = 500
"""Limit of a refusal's text in bytes; percent-encoding may triple it, and S3 accepts 2 KB of metadata."""
_PAGE_SIZE = 1000
"""Objects listed or removed by one request: the limit of S3."""
_SMALL = 4 << 20
"""Bytes of a body that a store takes within `SILENCE_LIMIT_S`, during which it sends nothing."""
_SLOWEST_UPLOAD = 2 << 20
"""Bytes per second that a store takes at least of a larger body."""


class S3Objects:
    """An ObjectStore in a bucket: the object `a/b.png` has the key `prefix/folder/a/b.png` there.

    A refusal is an empty object under the same key, so that callers who poll a presigned link find
    it. Its metadata hold the status code and the text.
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        """Create the clients of a folder; this sends no request."""
        self._bucket = bucket
        self._name = folder
        self._folder = f"/{bucket.prefix}/{folder}/" if bucket.prefix else f"/{folder}/"
        # The store below reads the same variables now, too.
        self._access_key = access_key_from_environment()
        self._store = bucket.store(folder)
        self._public = bucket.store(folder, public=True)
        self._writers: dict[int, S3Store] = {}

    def check(self) -> None:
        """Raise StoreUnavailableError if the bucket does not exist or cannot be read."""
        self.stat("check")

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See ObjectStore. It is one request, so the store has all bytes or none."""
        if content_type != content_type_of(check_key(key)):
            raise ValueError(f"{content_type} is not the content type of {key}")
        self._put(key, data, {})

    def refuse(self, key: str, refusal: Refusal) -> None:
        """See ObjectStore."""
        text = refusal.text.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        metadata = {_CODE_KEY: str(refusal.code), _REASON_KEY: quote(text, safe=",.:;()'")}
        if refusal.status is not None:
            metadata[_STATUS_KEY] = refusal.status
        if refusal.parameter is not None:
            metadata[_PARAMETER_KEY] = quote(refusal.parameter)
        with contextlib.suppress(AlreadyExistsError):  # an object or a refusal is already there
            self._put(check_key(key), b"", metadata, mode="create")

    def _put(
        self,
        key: str,
        data: bytes,
        metadata: dict[str, str],
        mode: Literal["create", "overwrite"] = "overwrite",
    ) -> None:
        """Store an object with metadata; with mode "create" raises AlreadyExistsError."""
        headers = {"Content-Type": content_type_of(key), "Cache-Control": "private, no-transform"}
        attributes = {**headers, **metadata}
        with _wrap_store_errors(key):
            obstore.put(
                self._writer(len(data)),
                key,
                data,
                attributes=attributes,
                mode=mode,
                use_multipart=False,
            )

    def _writer(self, size: int) -> S3Store:
        """Return a client whose limit of a request is enough to send `size` bytes."""
        if size <= _SMALL:
            return self._store
        seconds = SILENCE_LIMIT_S + 2 ** math.ceil(math.log2(size / _SLOWEST_UPLOAD))
        if seconds not in self._writers:
            limits = {"connect_timeout": "3s", "timeout": f"{seconds}s"}
            self._writers[seconds] = self._bucket.store(self._name, limits=limits)
        return self._writers[seconds]

    def refusal(self, key: str) -> Refusal | None:
        """See ObjectStore."""
        with _wrap_store_errors(check_key(key)):
            try:
                metadata = obstore.get(self._store, key).attributes
            except FileNotFoundError:
                return None
        code = metadata.get(_CODE_KEY)
        if code is None:
            return None
        parameter = metadata.get(_PARAMETER_KEY)
        return Refusal(
            int(code),
            unquote(metadata.get(_REASON_KEY, "")),
            metadata.get(_STATUS_KEY),
            None if parameter is None else unquote(parameter),
        )

    def is_settled(self, key: str) -> bool:
        """See ObjectStore."""
        return self.exists(key)

    def stat(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        with _wrap_store_errors(check_key(key)):
            try:
                info = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return ObjectInfo(info["size"], info["last_modified"], content_type_of(key))

    def exists(self, key: str) -> bool:
        """See ObjectStore. It is also True for a key with a refusal."""
        return self.stat(key) is not None

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with _wrap_store_errors(check_key(key)):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                raise ObjectMissingError(key) from None

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """See ObjectStore."""
        with _wrap_store_errors(check_key(key)):
            try:
                return bytes(obstore.get_range(self._store, key, start=start, end=end))
            except FileNotFoundError:
                raise ObjectMissingError(key) from None

    def link(self, key: str, ttl_s: int) -> str:
        """See ObjectStore. The link is signed with AWS Signature Version 4 and lasts at most 7 days."""
        with _wrap_store_errors(check_key(key)):
            return obstore.sign(self._public, "GET", key, timedelta(seconds=ttl_s))

    def find_link(self, link: SplitResult, now: float) -> tuple[str, LinkState] | None:
        """See ObjectStore. It finds links of any server with the same access key, whatever their host.

        The result is None if the credentials come from a role: their secret is not known here.
        """
        key = self._key_at(link)
        if key is None or self._access_key is None:
            return None
        state = verify_presigned(link, self._access_key, now)
        return None if state is LinkState.FORGED else (key, state)

    def _key_at(self, link: SplitResult) -> str | None:
        """Return the key of the object at an address of this folder; the bucket is in its host or path."""
        path, name = link.path, self._bucket.name
        if link.netloc.lower().startswith(f"{name}.") and path.startswith(self._folder):
            key = path.removeprefix(self._folder)
        else:
            key = path.partition(f"/{name}{self._folder}")[2]
        return key if is_key(key) else None

    def path(self, key: str) -> Path | None:
        """See ObjectStore. The result is None: there are no files."""
        return None

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        with _wrap_store_errors(check_key(key)):
            obstore.delete(self._store, [key])

    def delete_folder(self, folder: str) -> int:
        """See ObjectStore. It lists the objects, 1,000 for each request."""
        removed = 0
        with _wrap_store_errors(check_key(folder)):
            for page in obstore.list(self._store, prefix=folder, chunk_size=_PAGE_SIZE):
                obstore.delete(self._store, [info["path"] for info in page])
                removed += len(page)
        return removed

    def sweep(self, older_than: datetime) -> int:
        """See ObjectStore. It lists all objects, 1,000 for each request; use `lifecycle` for a large bucket."""
        if older_than.tzinfo is None:
            raise ValueError("older_than needs a time zone")
        if self._bucket.lifecycle:
            return 0
        removed = 0
        with _wrap_store_errors("the listing"):
            for page in obstore.list(self._store, chunk_size=_PAGE_SIZE):
                old = [info["path"] for info in page if info["last_modified"] < older_than]
                if old:
                    obstore.delete(self._store, old)
                    removed += len(old)
        return removed


@contextmanager
def _wrap_store_errors(target: str) -> Iterator[None]:
    """Convert the errors of obstore to StoreUnavailableError, except AlreadyExistsError."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:  # OSError: the bucket does not exist
        # The first line has the reason; the other lines are details of the request.
        reason = str(error).partition("\n")[0]
        kind = StoreSilentError if isinstance(error, GenericError) else StoreUnavailableError
        raise kind(f"the store failed at {target}: {reason}") from error
