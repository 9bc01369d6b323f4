"""The object store in a folder of this machine."""

import contextlib
import errno
import json
import os
import secrets
import stat as stat_flags
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult

from storage.disk_reserve import DiskReserve
from storage.errors import ObjectMissingError, StoreUnavailableError
from storage.object_store import ObjectInfo, Refusal, check_key, content_type_of

# A segment of a key cannot start with a dot, so a link can never name a file that is being written.
_TEMPORARY_PREFIX = ".writing-"
# No write takes this long, so an older temporary file is from a process that died.
_ABANDONED_AFTER_S = 3600.0
# How often a write is retried if another process removes the empty folder before the file is in it.
_MAX_FOLDER_ATTEMPTS = 100


@contextlib.contextmanager
def _wrap_disk_errors() -> Iterator[None]:
    """Convert errors of the disk (full, read-only, missing) to StoreUnavailableError."""
    try:
        yield
    except StoreUnavailableError:  # DiskFullError says more
        raise
    except OSError as error:
        raise StoreUnavailableError(*error.args) from error


class LocalObjects:
    """An ObjectStore in a folder: the object `a/b.png` is the file `root/a/b.png`.

    Folders have mode 0700 and files 0600, because results may only be read through the server.
    """

    def __init__(self, root: Path, reserve: DiskReserve | None = None) -> None:
        """Store objects under `root`; the folder is created if it does not exist.

        reserve: of its disk, which large objects leave free.
        """
        self._root = root.absolute()
        self._reserve = reserve
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @_wrap_disk_errors()
    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See ObjectStore. When this returns, the object is on disk; a failed write leaves no file."""
        target = self.path(key)
        if content_type != content_type_of(key):
            raise ValueError(f"{content_type} is not the content type of {key}")
        with self._reserve.writing(len(data)) if self._reserve else contextlib.nullcontext():
            _write(target, data)

    def refuse(self, key: str, refusal: Refusal) -> None:
        """See ObjectStore. The refusal is a separate file, so that it cannot be read as the object."""
        if self.exists(key):
            return
        refusal_bytes = json.dumps(asdict(refusal)).encode()
        self.put(_refusal_key(key), refusal_bytes, content_type_of(_refusal_key(key)))

    def refusal(self, key: str) -> Refusal | None:
        """See ObjectStore."""
        try:
            stored = json.loads(self.get(_refusal_key(key)))
            # A newer version, running at the same time during an upgrade, may have stored more.
            known = {field.name for field in fields(Refusal)}
            return Refusal(**{name: stored[name] for name in known & stored.keys()})
        except ObjectMissingError:
            return None

    def is_settled(self, key: str) -> bool:
        """See ObjectStore."""
        return self.exists(key) or self.exists(_refusal_key(key))

    @_wrap_disk_errors()
    def stat(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        try:
            status = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat_flags.S_ISREG(status.st_mode):
            return None
        return ObjectInfo(
            size=status.st_size,
            modified=datetime.fromtimestamp(status.st_mtime, UTC),
            content_type=content_type_of(key),
        )

    def exists(self, key: str) -> bool:
        """See ObjectStore."""
        return self.stat(key) is not None

    @_wrap_disk_errors()
    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissingError(key) from None

    @_wrap_disk_errors()
    def get_range(self, key: str, start: int, end: int) -> bytes:
        """See ObjectStore."""
        try:
            with self.path(key).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissingError(key) from None

    def path(self, key: str) -> Path:
        """See ObjectStore. An open file stays readable even if it is replaced or removed."""
        return self._root / check_key(key)

    def link(self, key: str, ttl_s: int) -> None:
        """See ObjectStore. The result is None: the server sends the files itself."""

    def find_link(self, link: SplitResult, now: float) -> None:
        """See ObjectStore. The result is None: this store makes no links."""

    @_wrap_disk_errors()
    def delete(self, key: str) -> None:
        """See ObjectStore."""
        for path in (self.path(key), self.path(_refusal_key(key))):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()

    @_wrap_disk_errors()
    def delete_folder(self, folder: str) -> int:
        """See ObjectStore. A file that is being written stays: its writer moves it to its key later."""
        removed = 0
        for path, _, files in os.walk(self.path(folder), topdown=False):
            for name in files:
                if not name.startswith(_TEMPORARY_PREFIX):
                    (Path(path) / name).unlink(missing_ok=True)
                    removed += 1
            _remove_if_empty(Path(path))
        return removed

    @_wrap_disk_errors()
    def sweep(self, older_than: datetime) -> int:
        """See ObjectStore. It lists each folder once and calls `stat` for each file, without opening it."""
        if older_than.tzinfo is None:
            raise ValueError("older_than needs a time zone")
        before = older_than.timestamp()
        abandoned_before = min(before, time.time() - _ABANDONED_AFTER_S)
        removed = 0
        for path, _, files in os.walk(self._root, topdown=False):
            folder = Path(path)
            for name in files:
                is_temporary = name.startswith(_TEMPORARY_PREFIX)
                was_removed = _remove_older(
                    folder / name, abandoned_before if is_temporary else before
                )
                removed += was_removed and not is_temporary
            if folder != self._root:
                _remove_if_empty(folder)
        return removed


def _refusal_key(key: str) -> str:
    """Return the key of the file that stores a refusal."""
    return f"{key}.refused.json"


def _write(target: Path, data: bytes) -> None:
    """Write a file at once or not at all; when this returns, it is on disk."""
    temporary, descriptor = _open_temporary(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _open_temporary(target: Path) -> tuple[Path, int]:
    """Create an empty temporary file and return its path and descriptor.

    It is in the folder of `target`, because renaming within a folder is atomic.
    """
    temporary = target.parent / f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    attempts_left = _MAX_FOLDER_ATTEMPTS
    while True:
        attempts_left -= 1
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            if not attempts_left:
                raise


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, so that a renamed file survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_older(file: Path, before: float) -> bool:
    """Remove `file` if its last write is before `before`; return whether this call removed it.

    Another process may remove it at the same time.
    """
    try:
        if file.lstat().st_mtime >= before:
            return False
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _remove_if_empty(folder: Path) -> None:
    """Remove `folder` if it is empty; the system checks that, so no concurrent write is lost."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
