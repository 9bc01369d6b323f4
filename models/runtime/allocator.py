"""Preserve the process's memory in few places, so that what one thread frees another can use."""

import ctypes
import os

# glibc's malloc.h; mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_WORKERS_PER_ARENA = 4
"""Measured with two workers: one arena costs no time. Where there are more, they share a lock."""
_LARGE = 1 << 20
"""Bytes from which on memory is asked of the system and given back, as pictures are."""
_SPARE = 16 << 20
"""Bytes that are kept at the end of an arena, so that tiles and codecs find their pages there.

What is free there is given to large blocks too, whatever `_LARGE` says: the more there is, the more of them lie
among small ones.
"""


def bound_memory(workers: int) -> None:
    """Have glibc's malloc share arenas and give pictures' memory back; before threads begin.

    Left alone it makes eight arenas for each core, each of which keeps the most it ever held, and learns
    to lay blocks of up to 32 MB among small ones, whose gaps may then fit no picture. What
    the environment says stands (`MALLOC_ARENA_MAX`, `MALLOC_MMAP_THRESHOLD_`,
    `MALLOC_TRIM_THRESHOLD_`); other C libraries have nothing of the kind.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, option, value in (
        ("MALLOC_ARENA_MAX", _M_ARENA_MAX, max(1, workers // _WORKERS_PER_ARENA)),
        ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, _LARGE),
        ("MALLOC_TRIM_THRESHOLD_", _M_TRIM_THRESHOLD, _SPARE),
    ):
        if name not in os.environ:
            mallopt(option, value)
