"""A disk of a chosen size for the server under test, as `os.statvfs` tells it."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

MIB = 1 << 20


class SmallDisk:
    """A disk with a size and with free space that the test sets; files under a folder use it up.

    inodes, free_inodes: 0 for a file system without a fixed number of them.
    """

    def __init__(self, folder: Path, total: int, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.total = folder, total
        self.filled = 0
        self.inodes = self.free_inodes = 0
        patch.setattr(os, "statvfs", self._stat)

    @property
    def free(self) -> int:
        """Bytes that are free."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        # SQLite's files are not counted: their size depends on what ran before.
        used = sum(path.stat().st_size for path in files if ".db" not in path.name)
        return max(0, self.total - self.filled - used)

    def fill(self, left: int = 0) -> None:
        """Let another program use all but `left` bytes."""
        self.filled = 0
        self.filled = self.free - left

    def _stat(self, _: Any) -> SimpleNamespace:
        return SimpleNamespace(
            f_frsize=1,
            f_blocks=self.total,
            f_bavail=self.free,
            f_files=self.inodes,
            f_favail=self.free_inodes,
        )
