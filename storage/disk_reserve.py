"""A reserve of free space on a disk, so that removals and accepted work find room when it is full."""

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DiskFullError

log = logging.getLogger("retouch")

_MAX_RESERVE = 256 << 20
_RESERVE_SHARE = 10
"""By default the reserve is one part in so many of the disk, at most `_MAX_RESERVE` bytes."""
_SMALL_OBJECT = 64 << 10
"""Objects up to this size are stored even then: errors of jobs, blocked results, counts of crashes."""
_FILE_NAME = "disk-reserve"
_MAX_FILE = 8 << 20
_FILE_SHARE = 2
"""The file takes one part in so many of the reserve, at most `_MAX_FILE` bytes."""
_HOLD_BELOW = 4 << 30
"""The file is made when the disk has less free space than this; a disk with more does not fill at once."""
_LOW = 512 << 10
"""With less free space than this a row may find no room in a database, whose log is written first."""
_SMALLEST_FILE = 64 << 10
_MOMENT_S = 2.0
"""For so long the file is given up for the end of a job."""
_INODES = 1000
_INODE_SHARE = 100
"""Free inodes that count as none: one in so many of the file system's, at most `_INODES`."""


@dataclass(frozen=True)
class DiskSpace:
    """The free space of a disk, in bytes. reserve: below so much free space nothing new is stored."""

    free: int
    total: int
    reserve: int
    has_inodes: bool = True

    @property
    def is_short(self) -> bool:
        """Whether nothing new is stored."""
        return self.reserve > 0 and (self.free < self.reserve or not self.has_inodes)


class DiskReserve:
    """Keeps a part of a disk free. Threads may share it. is_short: whether it was short of space lately.

    Requests that would store something are refused while less than the reserve is free (`check`). Results
    of work that was accepted before may use half of it (`writing`). The rest is for the database. A file
    holds half as much more against other programs on the disk: it is given up for as long as the
    database writes what a removal needs.
    """

    def __init__(self, folder: Path, reserve_bytes: int | None = None) -> None:
        """Watch the disk of a folder, which is created if it does not exist.

        reserve_bytes: 0 for no reserve; None for a tenth of the disk, at most 256 MiB. Raises OSError.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / _FILE_NAME
        self._limit = reserve_bytes
        self._lock = threading.Lock()
        self._pending = 0
        self._writers = 0
        self._open_until = 0.0
        self.is_short = False

    def space(self) -> DiskSpace:
        """Return the free space now; raises OSError."""
        stat = os.statvfs(self._folder)
        total, free = stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
        reserve = min(_MAX_RESERVE, total // _RESERVE_SHARE)
        if self._limit is not None:
            reserve = min(self._limit, total)
        inodes = stat.f_files  # 0 where the file system has no fixed number of them
        has_inodes = not inodes or stat.f_favail > min(_INODES, inodes // _INODE_SHARE)
        return DiskSpace(free, total, reserve, has_inodes)

    def check(self) -> None:
        """Raise DiskFullError if nothing new may be stored."""
        space = self._look()
        if space.is_short:
            raise DiskFullError(errno.ENOSPC, _text(space))

    def _look(self) -> DiskSpace:
        """Return the free space now, and log when it gets short and when it no longer is."""
        space = self.space()
        if space.is_short != self.is_short:
            self.is_short = space.is_short
            if space.is_short:
                log.error("%s: nothing new is stored until space is free", _text(space))
            else:
                log.warning("%s: requests are accepted again", _text(space))
        return space

    @contextlib.contextmanager
    def writing(self, size: int) -> Iterator[None]:
        """Write `size` bytes within the context; raises DiskFullError if that would use up the reserve."""
        if size <= _SMALL_OBJECT:
            yield
            return
        with self._lock:
            space = self.space()
            if space.free - self._pending - size < space.reserve // 2:
                raise DiskFullError(errno.ENOSPC, _text(space))
            self._pending += size
        try:
            yield
        finally:
            with self._lock:
                self._pending -= size

    def watch(self) -> None:
        """Hold the file again, if it was given up, and log changes; call it once a second or so.

        Raises OSError if the disk is unavailable.
        """
        space = self._look()
        with self._lock:
            if self._writers or time.monotonic() < self._open_until:
                return
            if space.free < _HOLD_BELOW:
                self._hold(space)

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """Give the file up within the context if the disk is all but full, so that a removal can be written."""
        with self._lock:
            self._writers += 1
            was_held = self._give_up()
        try:
            yield
        finally:
            with self._lock:
                self._writers -= 1
                if was_held and not self._writers:
                    self._hold(self.space())

    def try_to_make_room(self) -> bool:
        """Return whether there is room to write a row, after giving the file up for a moment if need be."""
        with self._lock:
            if self._give_up():
                self._open_until = time.monotonic() + _MOMENT_S
            return self.space().free >= _LOW

    def _give_up(self) -> bool:
        """Remove the file if the disk is all but full; return whether it was there."""
        if not self.space().reserve or self.space().free >= _LOW or not self._file.exists():
            return False
        self._file.unlink()
        return True

    def _hold(self, space: DiskSpace) -> None:
        """Make the file as large as it can be. It has no holes, so its space cannot be used otherwise."""
        wanted = min(_MAX_FILE, space.reserve // _FILE_SHARE)
        held = self._file.stat().st_size if self._file.exists() else 0
        if held >= wanted or (not held and space.free < _SMALLEST_FILE):
            return
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            # Not what was free a moment ago: others write too.
            with contextlib.suppress(OSError):
                os.posix_fallocate(descriptor, 0, min(wanted, held + space.free))
        finally:
            os.close(descriptor)


def _text(space: DiskSpace) -> str:
    inodes = "" if space.has_inodes else ", and no inodes"
    return (
        f"the disk has {space.free >> 20} of {space.total >> 20} MiB free{inodes}, and"
        f" {space.reserve / 2**20:.1f} MiB are a reserve"
    )
