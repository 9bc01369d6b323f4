"""Recognizes the result links of this server among the URLs that callers send, and reads their results."""

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from server.errors import FetchFailedError, FetchTooLargeError
from storage.errors import ObjectMissingError
from storage.links import LinkState, SignedLinks
from storage.object_store import MAX_KEY_LENGTH, ObjectStore, is_key

RESULTS_PATH = "/results/"
NO_RESULT = "There is no result under this link, or not yet."

_NOT_OURS = (
    " It looks like a result link, but this server did not sign it;"
    " check that it is complete and unchanged."
)
_MAX_LINK_LENGTH = 8192
"""Longer than any link; a presigned one may contain the token of a session."""
_SLASHES = re.compile(r"/{2,}")


class ResultLinks:
    """Reads results for their links: those that `signer` signed, and the presigned ones of the store.

    A link is recognized by its signature, whatever host stands before it: callers reach this server
    by several names, and links may name another server that shares the store and the secret.
    """

    def __init__(self, store: ObjectStore, signer: SignedLinks) -> None:
        self._store = store
        self._signer = signer

    def read(self, url: str, max_bytes: int) -> bytes | None:
        """Return the file of a result from the store; None if `url` is not a link of this server.

        It blocks. max_bytes: of the file. Raises FetchFailedError if the link has expired or there is
        no result, FetchTooLargeError, and StoreUnavailableError.
        """
        found = self._find(url, time.time())
        if found is None:
            return None
        key, state = found
        if state is LinkState.EXPIRED:
            raise FetchFailedError("This result link has expired.")
        if state is LinkState.REVOKED:
            raise FetchFailedError("This result link was revoked.")
        return self._read_result(key, max_bytes)

    def hint(self, url: str) -> str:
        """Return what to add to the error of a fetch: why a link that looks like one of ours is not.

        Empty for any other URL. It depends on the text of the URL only, so it tells nothing about hosts. It
        blocks.
        """
        try:
            looks_like_one = len(url) <= _MAX_LINK_LENGTH and any(_keys_in(urlsplit(url).path))
            is_other = looks_like_one and self._find(url, time.time()) is None
        except ValueError:  # not a URL
            return ""
        return _NOT_OURS if is_other else ""

    def _find(self, url: str, now: float) -> tuple[str, LinkState] | None:
        """Return the key and the state of a link of this server."""
        if len(url) > _MAX_LINK_LENGTH:
            return None
        link = urlsplit(url)
        fields = dict(parse_qsl(link.query))
        expires, signature = fields.get("expires", ""), fields.get("signature", "")
        for key in _keys_in(link.path):
            state = self._signer.verify(key, expires, signature, now)
            if state is not LinkState.FORGED:
                return key, state
        return self._store.find_link(link, now)

    def _read_result(self, key: str, max_bytes: int) -> bytes:
        info = self._store.stat(key)
        if info is not None and info.size > max_bytes:
            raise FetchTooLargeError(max_bytes)
        try:
            if info is not None and (data := self._store.get(key)):
                return data
        except ObjectMissingError:  # it was removed a moment ago
            info = None
        if (refusal := self._store.refusal(key)) is not None:
            raise FetchFailedError(f"The job of this result failed: {refusal.text}")
        if info is not None:
            raise FetchFailedError("Content moderation refused this result.")
        raise FetchFailedError(NO_RESULT)


def _keys_in(path: str) -> Iterator[str]:
    """Yield each part of a URL's path that can be the key of a result: an organisation may be `results`."""
    # As in `NormalizePath`: some callers join paths with too many slashes.
    path = _SLASHES.sub("/", unquote(path)).rstrip("/")
    path = path[-len(RESULTS_PATH) - MAX_KEY_LENGTH :]
    at = path.find(RESULTS_PATH)
    while at >= 0:
        key = path[at + len(RESULTS_PATH) :]
        if is_key(key):
            yield key
        at = path.find(RESULTS_PATH, at + 1)
