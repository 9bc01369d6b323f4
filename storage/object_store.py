"""The interface of object stores, and the rules for keys and content types.

All methods are synchronous: each is a blocking call and must run in a worker thread.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult

from storage.errors import InvalidKeyError
from storage.links import LinkState

MAX_KEY_LENGTH = 512
MAX_SEGMENT_LENGTH = 200

CONTENT_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "zip": "application/zip",
    "psd": "image/vnd.adobe.photoshop",
    "json": "application/json",
}
"""Content types by the extension of the key, so that no store has to save the type."""

# A segment never starts with a dot; this excludes `.`, `..` and the names of temporary files.
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Refusal:
    """Why there will never be an object under a key.

    code: of the answer. text: for the caller. status: the name of the error, in capital letters and `_`;
    None in refusals of earlier versions. parameter: the field of the request that was wrong, if any.
    """

    code: int
    text: str
    status: str | None = None
    parameter: str | None = None


@dataclass(frozen=True)
class ObjectInfo:
    """The metadata of an object."""

    size: int
    """Bytes; 0 means a result that moderation blocked."""
    modified: datetime
    """When it was stored, in UTC."""
    content_type: str


class ObjectStore(Protocol):
    """Stores bytes under keys. Several threads and processes may use it at the same time.

    Every method raises InvalidKeyError if the key breaks the rules of `check_key`, and
    StoreUnavailableError if the store cannot be read or written at the moment.
    """

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store `data` and replace an existing object; a reader gets the complete old or new object.

        Raises ValueError if `content_type` does not match the key's extension.
        """
        ...

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Store the error that a reader of `key` will get; an existing object is not replaced."""
        ...

    def refusal(self, key: str) -> Refusal | None:
        """Return the error stored for a key, or None."""
        ...

    def is_settled(self, key: str) -> bool:
        """Whether there is an object or a stored error under `key`."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """Return an object's metadata, or None if there is no object."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object under `key`."""
        ...

    def get(self, key: str) -> bytes:
        """Return all bytes of an object; raises ObjectMissingError."""
        ...

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` up to `end`, exclusive; raises ObjectMissingError.

        0 <= start < end <= its size.
        """
        ...

    def link(self, key: str, ttl_s: int) -> str | None:
        """Return a presigned link to the object, valid for `ttl_s` seconds; it need not exist yet.

        None if the store cannot be read directly; the server then sends the file at `path`.
        """
        ...

    def find_link(self, link: SplitResult, now: float) -> tuple[str, LinkState] | None:
        """Return the key of a link that `link` returned, and whether the link is valid or expired.

        now: seconds since 1970. None for any other URL. Sends no request.
        """
        ...

    def path(self, key: str) -> Path | None:
        """Return the path of the object's file, or None if the store does not use files.

        The file may not exist: call `stat` first.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object and the stored error under `key`; it is not an error if there are none."""
        ...

    def delete_folder(self, folder: str) -> int:
        """Remove every object and stored error whose key begins with a folder; return how many objects.

        folder: one or more segments of a key. Raises InvalidKeyError.
        """
        ...

    def sweep(self, older_than: datetime) -> int:
        """Remove all objects stored before `older_than`, and the remains of failed writes.

        older_than: with a time zone; raises ValueError without one. Returns the number of objects
        removed.
        """
        ...


def check_key(key: str) -> str:
    """Return `key` if it is valid; raises InvalidKeyError.

    A key consists of segments of [A-Za-z0-9._-] joined by `/`. No segment starts with a dot. A key
    has at most 512 characters, a segment at most 200.
    """
    if not is_key(key):
        raise InvalidKeyError("not a valid object key")
    return key


def is_key(text: str) -> bool:
    """Whether a text is a valid key; see `check_key`."""
    return len(text) <= MAX_KEY_LENGTH and all(
        len(segment) <= MAX_SEGMENT_LENGTH and _SEGMENT.fullmatch(segment)
        for segment in text.split("/")
    )


def content_type_of(key: str) -> str:
    """Return the content type for the extension of `key`, or application/octet-stream."""
    extension = key.rpartition("/")[2].rpartition(".")[2].lower()
    return CONTENT_TYPES.get(extension, "application/octet-stream")
