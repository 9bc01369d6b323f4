"""Starts a server as a separate process and measures its processor time and memory."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_START_S = 120
_SAMPLE_S = 0.02
MIB = 2**20


@dataclass(eq=False)
class Server:
    """A measured server: `process` and all its child processes.

    name: in the table. port: on loopback. peak: the most resident memory in bytes since `forget_peak`.
    """

    name: str
    port: int
    process: psutil.Process
    peak: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def cpu_s(self) -> float:
        """Processor seconds used so far, user and system, by every thread and child."""
        total = 0.0
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> int:
        """Resident memory now, in bytes."""
        total = 0
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def forget_peak(self) -> None:
        """Reset the peak."""
        self.peak = self.memory()

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def watch(self) -> None:
        """Measure memory 50 times a second until `stop_watching` is called."""
        while not self._stop.wait(_SAMPLE_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.peak = max(self.peak, self.memory())

    def stop_watching(self) -> None:
        """Stop `watch`."""
        self._stop.set()


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    ready: str,
    log: Path,
    *,
    folder: Path,
    settings: Mapping[str, str],
) -> Iterator[Server]:
    """Run `command` in `folder`, its {port} replaced, until the context ends.

    ready: the path that answers 200 when it is ready. settings: more environment variables. Raises
    RuntimeError with the end of its log if it does not start.
    """
    port = _free_port()
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    # Nothing listens there: a server that tries to use the network fails instead.
    closed = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    own = {name: value.replace("{port}", str(port)) for name, value in settings.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - trusted programs
            [part.replace("{port}", str(port)) for part in command],
            cwd=folder,
            env={**inherited, **closed, "no_proxy": "127.0.0.1", **own},
            stdout=out,
            stderr=out,
        )
    server = Server(name, port, psutil.Process(process.pid))
    watcher = threading.Thread(target=server.watch, daemon=True)
    try:
        _await(process, port, ready, log)
        watcher.start()
        yield server
    finally:
        server.stop_watching()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, ready: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as peer:
            peer.sendall(f"GET {ready} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            if b" 200 " in peer.recv(64):
                return
        time.sleep(0.1)
    raise RuntimeError(f"{log.name}: not up:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
