"""The memory of server processes over time, and how fast it grows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.helpers.server_process import Server

_SLOPE = 0.01
"""Largest growth of a server's memory in an hour, as a part of it."""


class MemoryOverTime:
    """The memory of the servers over time; a server that was killed begins anew."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._seen: dict[int, list[tuple[float, int]]] = {}

    def watch(self, until: float) -> None:
        """Note the memory of every process each two seconds until a time."""
        while time.monotonic() < until:
            for server in self._servers:
                with suppress(FileNotFoundError, IndexError, AssertionError):  # it was just killed
                    seen = self._seen.setdefault(server.process.pid if server.process else 0, [])
                    seen.append((time.monotonic(), _resident(server)))
            time.sleep(2)

    def findings(self, minutes: float) -> Iterator[str]:
        """Print the slope of each process that lived for about ten minutes; yield those that are too steep."""
        for process, seen in self._seen.items():
            warm = seen[len(seen) // 2 :]  # the first half fills caches
            times, sizes = (np.array(column, np.float64) for column in zip(*warm, strict=True))
            if times[-1] - times[0] < 300:
                continue
            slope = float(np.polyfit(times, sizes, 1)[0]) * 3600 / float(sizes.mean())
            print(f"process {process}: memory grows by {slope:+.2%} an hour", flush=True)
            if minutes >= 30 and slope > _SLOPE:
                yield f"the memory of a server grows by {slope:.1%} an hour"


def _resident(server: Server) -> int:
    assert server.process is not None  # noqa: S101 - started
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
