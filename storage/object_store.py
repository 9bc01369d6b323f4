"""What every store of results offers, and the rules for its keys and content types.

The methods are synchronous: each is one blocking call that belongs in a worker thread.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from storage.errors import InvalidKeyError

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
"""The type an object has by the extension of its key: the key says it, so no side file has to."""

# A segment never starts with a dot: neither `.`, `..` nor the names of files being written.
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Refusal:
    """Why no object will ever lie under a key: a status code and a text that callers may read."""

    code: int
    text: str


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object without reading it."""

    size: int
    """Bytes; 0 is a result that moderation blocked."""
    modified: datetime
    """When it was put, with time zone UTC."""
    content_type: str


class ObjectStore(Protocol):
    """Preserve bytes under keys. Safe to call from several threads and processes at once.

    Every method raises InvalidKeyError where the key breaks the rules of `check_key`, and
    StoreUnavailableError where nothing can be read or written just now.
    """

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store `data`, replacing what lay there. A reader sees the old object or the new, whole.

        Raises ValueError when `content_type` is not that of the key's extension.
        """
        ...

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Write under `key` the error that its reader is to get; an object there stays."""
        ...

    def refusal(self, key: str) -> Refusal | None:
        """Return the word that was left for a key, if any."""
        ...

    def is_settled(self, key: str) -> bool:
        """Whether an object, or word that there will be none, lies under `key`."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; None when there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Whether an object lies under `key`."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object whole. Raises ObjectMissingError."""
        ...

    def link(self, key: str, ttl_s: int) -> str | None:
        """Return an address where anyone reads the object, there or still to come, for `ttl_s` seconds.

        None where the store serves nobody: then the server does, from `path`.
        """
        ...

    def path(self, key: str) -> Path | None:
        """Return the file to serve the object from, or None when the store keeps none.

        The file need not exist: call `stat` first.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object and what word was left for its key, where there is any."""
        ...

    def sweep(self, older_than: datetime) -> int:
        """Remove what was put before `older_than` (with a time zone) and what failed writes left.

        Gives the number of objects removed.
        """
        ...


def check_key(key: str) -> str:
    """Give `key` back if it is one; raises InvalidKeyError.

    A key is segments of [A-Za-z0-9._-] joined by `/`, none starting with a dot: at most 512
    characters, 200 a segment.
    """
    if not is_key(key):
        raise InvalidKeyError("not a valid object key")
    return key


def is_key(text: str) -> bool:
    """Whether a text is a key, as `check_key` has it."""
    return len(text) <= MAX_KEY_LENGTH and all(
        len(segment) <= MAX_SEGMENT_LENGTH and _SEGMENT.fullmatch(segment)
        for segment in text.split("/")
    )


def content_type_of(key: str) -> str:
    """Return the content type that the extension of `key` stands for; bytes of no known kind else."""
    extension = key.rpartition("/")[2].rpartition(".")[2].lower()
    return CONTENT_TYPES.get(extension, "application/octet-stream")
