"""An object store behind a breaker: while the store does not answer, each call is refused at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import SplitResult

from storage.breaker import Breaker
from storage.counts import SERVICE_ERRORS
from storage.errors import DiskFullError, StoreSilentError, StoreUnavailableError
from storage.links import LinkState
from storage.object_store import ObjectInfo, ObjectStore, Refusal


class GuardedObjects:
    """An ObjectStore that passes its calls on to another one, unless the breaker is open.

    A call that gets no answer opens the breaker. Links and paths need no answer of the store.
    """

    def __init__(self, store: ObjectStore, breaker: Breaker) -> None:
        self._store = store
        self._breaker = breaker

    @contextmanager
    def _guarded(self) -> Iterator[ObjectStore]:
        """Raise StoreSilentError while the breaker is open, and open it after such an error."""
        try:
            self._breaker.check()
            yield self._store
        except StoreUnavailableError as error:
            if not isinstance(error, DiskFullError):  # which is no fault of the store
                SERVICE_ERRORS.add("store")
            if isinstance(error, StoreSilentError):
                self._breaker.trip(str(error))
            raise

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See ObjectStore."""
        with self._guarded() as store:
            store.put(key, data, content_type)

    def refuse(self, key: str, refusal: Refusal) -> None:
        """See ObjectStore."""
        with self._guarded() as store:
            store.refuse(key, refusal)

    def refusal(self, key: str) -> Refusal | None:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.refusal(key)

    def is_settled(self, key: str) -> bool:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.is_settled(key)

    def stat(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.stat(key)

    def exists(self, key: str) -> bool:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.exists(key)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.get(key)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.get_range(key, start, end)

    def link(self, key: str, ttl_s: int) -> str | None:
        """See ObjectStore."""
        return self._store.link(key, ttl_s)

    def find_link(self, link: SplitResult, now: float) -> tuple[str, LinkState] | None:
        """See ObjectStore."""
        return self._store.find_link(link, now)

    def path(self, key: str) -> Path | None:
        """See ObjectStore."""
        return self._store.path(key)

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        with self._guarded() as store:
            store.delete(key)

    def delete_folder(self, folder: str) -> int:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.delete_folder(folder)

    def sweep(self, older_than: datetime) -> int:
        """See ObjectStore."""
        with self._guarded() as store:
            return store.sweep(older_than)
