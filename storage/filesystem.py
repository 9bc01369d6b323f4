"""A store of results in a folder of this machine."""

import contextlib
import errno
import json
import os
import secrets
import stat as file_kinds
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import ObjectMissingError, StoreUnavailableError
from storage.object_store import ObjectInfo, Refusal, check_key, content_type_of

# A key's segment cannot start with a dot, so no link ever names a file that is being written.
_WRITING_PREFIX = ".writing-"
# No write takes this long: an older file was left by a process that died.
_ABANDONED_AFTER_S = 3600.0
# How often a folder may vanish (swept as empty) between making it and writing into it.
_FOLDER_TRIES = 100


@contextlib.contextmanager
def _at_work() -> Iterator[None]:
    """Tell a full, read-only or vanished disk from every other fault."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(*error.args) from error


class LocalObjects:
    """An ObjectStore whose object `a/b.png` is the file `root/a/b.png`.

    Folders are made with mode 0700 and files with 0600: results are read through the server alone.
    """

    def __init__(self, root: Path) -> None:
        """Keep objects under `root`, which is made when it does not exist."""
        self._root = root.absolute()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @_at_work()
    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See ObjectStore. The object is on disk when this returns; a failure leaves nothing."""
        target = self.path(key)
        if content_type != content_type_of(key):
            raise ValueError(f"{content_type} is not the content type of {key}")
        writing, descriptor = _open_beside(target)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            writing.replace(target)
        except BaseException:
            writing.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def refuse(self, key: str, refusal: Refusal) -> None:
        """See ObjectStore. The word is a file of its own, so that nobody takes it for the object."""
        if self.exists(key):
            return
        word = json.dumps({"code": refusal.code, "text": refusal.text}).encode()
        self.put(_word(key), word, content_type_of(_word(key)))

    def refusal(self, key: str) -> Refusal | None:
        """See ObjectStore."""
        try:
            return Refusal(**json.loads(self.get(_word(key))))
        except ObjectMissingError:
            return None

    def is_settled(self, key: str) -> bool:
        """See ObjectStore."""
        return self.exists(key) or self.exists(_word(key))

    @_at_work()
    def stat(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        try:
            found = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not file_kinds.S_ISREG(found.st_mode):
            return None
        return ObjectInfo(
            size=found.st_size,
            modified=datetime.fromtimestamp(found.st_mtime, UTC),
            content_type=content_type_of(key),
        )

    def exists(self, key: str) -> bool:
        """See ObjectStore."""
        return self.stat(key) is not None

    @_at_work()
    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissingError(key) from None

    def path(self, key: str) -> Path:
        """See ObjectStore. A file that was opened stays whole even if it is replaced or swept."""
        return self._root / check_key(key)

    def link(self, key: str, ttl_s: int) -> None:
        """See ObjectStore: files are served by the server."""

    @_at_work()
    def delete(self, key: str) -> None:
        """See ObjectStore."""
        for path in (self.path(key), self.path(_word(key))):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()

    @_at_work()
    def sweep(self, older_than: datetime) -> int:
        """See ObjectStore. Reads each folder once: one `stat` per object, none is opened."""
        if older_than.tzinfo is None:
            raise ValueError("older_than needs a time zone")
        before = older_than.timestamp()
        abandoned_before = min(before, time.time() - _ABANDONED_AFTER_S)
        removed = 0
        for path, _, files in os.walk(self._root, topdown=False):
            folder = Path(path)
            for name in files:
                writing = name.startswith(_WRITING_PREFIX)
                swept = _remove_older(folder / name, abandoned_before if writing else before)
                removed += swept and not writing
            if folder != self._root:
                _remove_if_empty(folder)
        return removed


def _word(key: str) -> str:
    return f"{key}.refused.json"


def _open_beside(target: Path) -> tuple[Path, int]:
    """Make an empty file in the folder of `target`: renaming within one folder is atomic."""
    writing = target.parent / f"{_WRITING_PREFIX}{secrets.token_hex(8)}"
    tries = _FOLDER_TRIES
    while True:
        tries -= 1
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return writing, os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            if not tries:
                raise


def _sync_folder(folder: Path) -> None:
    """Put the folder's entry for a renamed file on disk: a link handed out survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_older(file: Path, before: float) -> bool:
    """Remove `file` if it was last written before `before`; another sweep may have been faster."""
    try:
        if file.lstat().st_mtime >= before:
            return False
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _remove_if_empty(folder: Path) -> None:
    """Remove `folder` unless something lies in it; the system decides, so no write is lost."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
