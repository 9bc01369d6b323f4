"""Callers that only hold connections: idle, trickled heads, slow bodies, slow readers; beside them another one."""

import contextlib
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from tests.helpers.places import ROOT
from tests.helpers.server_process import Server, b64, sample

MAX_RATIO = 3.0
"""The 95th percentile beside the attackers is at most so many times that alone."""
_DESCRIPTORS = 1024
_CONNECTIONS = 1100
_SLOW_SENDERS = 64
_SLOW_READERS = 400
_PERIOD_S = 0.5
"""Time between two bytes of each attacker."""
_LONGEST_S = 30.0
_HEAD = b"POST /v1/crop HTTP/1.1\r\nHost: x\r\napi_token: secret-a\r\n"
_BODY = _HEAD + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
_READ = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20


class Attack:
    """Connections that are opened again when the server closes them.

    begin: what each sends first. trickle: what it sends from time to time.
    """

    def __init__(
        self, count: int, begin: bytes, trickle: bytes = b"", *, reads: bool = True
    ) -> None:
        self._count = count
        self._begin = begin
        self._trickle = trickle
        self._reads = reads

    def run(self, port: int) -> None:
        """Attack until the process is killed; the server has the processors first."""
        os.nice(10)
        open_sockets: list[socket.socket] = []
        while True:
            open_sockets = [one for one in open_sockets if self._goes_on(one)]
            while len(open_sockets) < self._count:
                try:
                    open_sockets.append(self._opened(port))
                except OSError:
                    break
            time.sleep(_PERIOD_S)

    def _opened(self, port: int) -> socket.socket:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(5)
        one.connect(("127.0.0.1", port))
        one.sendall(self._begin)
        one.setblocking(False)
        return one

    def _goes_on(self, one: socket.socket) -> bool:
        """Send and read a little; whether the connection is still open."""
        try:
            if self._trickle:
                one.send(self._trickle)
            if not one.recv(65536 if self._reads else 1):
                raise ConnectionError
        except BlockingIOError:
            return True
        except OSError:
            one.close()
            return False
        return True


ATTACKS = {
    "idle connections": Attack(_CONNECTIONS, b""),
    "trickled heads": Attack(_CONNECTIONS, _HEAD + b"x: ", b"a"),
    "slow senders": Attack(_SLOW_SENDERS, _BODY, b" "),
    "slow readers": Attack(_SLOW_READERS, _READ, reads=False),
}


def run(minutes: float) -> list[str]:
    """Attack a server that may have 1,024 open files in each way; return where others wait too long."""
    findings: list[str] = []
    seconds = minutes * 60 / (len(ATTACKS) + 1)
    with _server() as server:
        alone = _durations(server, seconds)
        for name, attack in ATTACKS.items():
            with _attacking(attack, server.port()):
                time.sleep(2)
                beside = _durations(server, seconds)
            findings += _compare(name, alone, beside)
        log = server.text()
    if f"the limit of {_DESCRIPTORS // 3} connections is reached" not in log:
        findings.append("the log does not say that the limit of connections was reached")
    if "Traceback" in log:
        findings.append("the log has a traceback:\n" + log[log.index("Traceback") :][:2000])
    return findings


def _compare(name: str, alone: list[float], beside: list[float]) -> list[str]:
    first, second = (statistics.quantiles(part, n=20)[-1] for part in (alone, beside))
    line = (
        f"{name:18} p95 alone {first * 1000:6.0f} ms, beside {second * 1000:6.0f} ms"
        f" ({second / first:.2f} times), longest {max(beside) * 1000:6.0f} ms, {len(beside)} calls"
    )
    print(line, flush=True)
    return [line] if second > MAX_RATIO * first else []


@contextmanager
def _server() -> Iterator[Server]:
    data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", data / "weights")
        server.descriptors = _DESCRIPTORS
        try:
            yield server.start()
        finally:
            server.close()


def _durations(server: Server, seconds: float) -> list[float]:
    """Send a body again and again, each time on a new connection; return the times.

    The answer is an error of its fields: no work for a model hides how long the connection takes.
    """
    body = {"file": b64(sample()), "padding": -1}
    durations: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(durations) < 20:
        start = time.monotonic()
        is_answered = False
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(
                f"{server.http.base_url}/v1/crop".replace("//v1", "/v1"),
                json=body,
                headers={"api_token": "secret-b"},
                timeout=_LONGEST_S,
            )
            is_answered = answer.status_code == 400
        durations.append(time.monotonic() - start if is_answered else _LONGEST_S)
    return durations


@contextmanager
def _attacking(attack: Attack, port: int) -> Iterator[None]:
    run_attack: Callable[[int], None] = attack.run
    process = multiprocessing.get_context("spawn").Process(
        target=run_attack, args=(port,), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    print("\n".join(run(1.0)) or "nothing found")
