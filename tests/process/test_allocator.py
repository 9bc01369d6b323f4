"""The allocator: threads share what memory there is."""

import os
import platform
import subprocess
import sys

import pytest

MANY_THREADS = """
import ctypes, os, threading
from server.allocator import bound_arenas
bound_arenas({workers})
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
    """Count the arenas of a process in which eight threads allocated at once."""
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
