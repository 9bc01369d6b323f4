"""Settings of glibc's malloc, so that memory freed by one thread can be used by another."""

import ctypes
import os

# glibc's malloc.h; mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_WORKERS_PER_ARENA = 4
"""With two workers, one arena costs no time (measured). With more, the workers share its lock."""
_MMAP_BYTES = 1 << 20
"""Blocks of at least this many bytes, such as pictures, are mapped from the system and unmapped when freed."""
_TRIM_BYTES = 16 << 20
"""Free bytes that stay at the end of an arena, so that tiles and codecs need no new pages.

Large blocks use this free memory too, whatever `_MMAP_BYTES` says. So with more of it, more large
blocks lie between small ones.
"""


def bound_memory(workers: int) -> None:
    """Make glibc's malloc share arenas and return the memory of pictures.

    Call it before threads start. By default malloc makes eight arenas per core, and each keeps the
    most memory that it ever used. It also learns to place blocks of up to 32 MB between small ones,
    and the gaps may then be too small for a picture. Variables in the environment have precedence
    (`MALLOC_ARENA_MAX`, `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`). With other C libraries
    this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, option, value in (
        ("MALLOC_ARENA_MAX", _M_ARENA_MAX, max(1, workers // _WORKERS_PER_ARENA)),
        ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, _MMAP_BYTES),
        ("MALLOC_TRIM_THRESHOLD_", _M_TRIM_THRESHOLD, _TRIM_BYTES),
    ):
        if name not in os.environ:
            mallopt(option, value)
