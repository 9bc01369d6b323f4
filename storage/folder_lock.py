"""A lock on the data folder, so that only one server uses it; the system frees it if the server dies."""

import fcntl
import os
from pathlib import Path

from storage.errors import FolderInUseError


class FolderLock:
    """An exclusive lock on a folder, from construction to `close` or to the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Lock the folder, which is created if it does not exist; raises FolderInUseError, OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise FolderInUseError(f"another server uses the data folder {folder}") from None

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
