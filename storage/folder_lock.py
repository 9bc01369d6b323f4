"""One server to a folder: a lock that the system frees when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path

from storage.errors import FolderInUseError


class FolderLock:
    """Holds a folder for this process, from its making to `close` or to the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made where there is none; raises FolderInUseError, OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise FolderInUseError(f"another server keeps its data in {folder}") from None

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)
