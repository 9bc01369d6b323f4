"""The allocator: all threads share the same memory arenas."""

import os
import platform
import subprocess
import sys

import pytest

MANY_THREADS = """
import ctypes, os, threading
from models.runtime.allocator import bound_memory
bound_memory({workers})
ready = threading.Barrier(8)
def work():
    ready.wait()
    for _ in range(200):
        os.urandom(200_000)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(workers: int, **environment: str) -> int:
    """Return the number of arenas of a process in which eight threads allocate at the same time."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", MANY_THREADS.format(workers=workers)],
        env={**own, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stderr.count("Arena ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_arenas_unless_the_operator_says_otherwise() -> None:
    assert arenas(1) == 1
    assert arenas(3) == 1
    assert 1 < arenas(9) <= 2
    assert arenas(1, MALLOC_ARENA_MAX="4") > 1


LARGE_BLOCKS = """
import ctypes, resource
from models.runtime.allocator import bound_memory
bound_memory(1)
malloc, free = (getattr(ctypes.CDLL(None), name) for name in ("malloc", "free"))
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
def allocated(size):
    block = malloc(size)
    ctypes.memset(block, 1, size)
    return block
for _ in range(20):  # without our setting glibc would now keep such blocks on the heap
    free(allocated(20 << 20))
before = resident()
pictures, pins = [], []
for _ in range(10):
    pictures.append(allocated(20 << 20))
    pins.append(allocated(1000))
for picture in pictures:
    free(picture)
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is bound is glibc's")
def test_the_memory_of_a_picture_is_returned_even_if_later_blocks_stay() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE_BLOCKS], capture_output=True, check=True, text=True
    )
    assert int(done.stdout) < 5
