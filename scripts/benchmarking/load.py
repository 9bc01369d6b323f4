"""Load on a server: a number of callers that each wait for an answer before the next request."""

import http.client
import json
import statistics
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from retouch.smoke import link_in
from scripts.benchmarking.servers import Server

_TIMEOUT_S = 600
_PROBE_S = 0.02
Answer = tuple[int, bytes]


@dataclass(frozen=True)
class Request:
    """One request, built in advance so that the load generator itself uses little processor time.

    follow: the answer is JSON with the link of the result, which is read too.
    """

    path: str
    body: bytes
    headers: Mapping[str, str]
    follow: bool = False


@dataclass
class Cost:
    """The cost of a number of requests; several rounds are added.

    seconds: of each. cpu_s: of the server's processes. elapsed_s: from the first to the last. peak:
    bytes of the server's memory. health: seconds of each call of /healthz in the same time.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_s: float = 0
    elapsed_s: float = 0
    peak: int = 0
    health: list[float] = field(default_factory=list)

    def add(self, other: "Cost") -> None:
        """Add another round."""
        self.seconds += other.seconds
        self.cpu_s += other.cpu_s
        self.elapsed_s += other.elapsed_s
        self.peak = max(self.peak, other.peak)
        self.health += other.health

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.seconds) / self.elapsed_s

    @property
    def cpu_each(self) -> float:
        """Processor seconds per request."""
        return self.cpu_s / len(self.seconds)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the interpolated quantile of values; share: 0..1."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def multipart(path: str, parts: Mapping[str, bytes | str], token: str = "") -> Request:
    """Return a multipart request with files (bytes) and fields (text)."""
    boundary = uuid.uuid4().hex
    pieces = []
    for name, value in parts.items():
        file = f'; filename="{name}"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        pieces += [head.encode(), data, b"\r\n"]
    body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return Request(path, body, {**headers, "api_token": token} if token else headers, bool(token))


def drive(
    server: Server, requests: Sequence[Request], callers: int, *, probe: bool = False
) -> Cost:
    """Send all requests by `callers` threads; raises RuntimeError if an answer is not 200."""
    waiting = iter(requests)
    lock = threading.Lock()
    cost, faults = Cost(), list[str]()
    server.forget_peak()
    before, start = server.cpu_s(), time.perf_counter()
    threads = [
        threading.Thread(target=_call, args=(server, waiting, lock, cost, faults))
        for _ in range(callers)
    ]
    done = threading.Event()
    if probe:
        prober = threading.Thread(target=_probe, args=(server.port, cost.health, done))
        prober.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cost.elapsed_s = time.perf_counter() - start
    cost.cpu_s = server.cpu_s() - before
    cost.peak = server.peak
    done.set()
    if probe:
        prober.join()
    if faults:
        raise RuntimeError(f"{server.name}: {faults[0]}")
    return cost


def _call(
    server: Server,
    waiting: Iterator[Request],
    lock: threading.Lock,
    cost: Cost,
    faults: list[str],
) -> None:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
    while not faults:
        with lock:
            request = next(waiting, None)
        if request is None:
            break
        start = time.perf_counter()
        try:
            status, body = _exchange(line, request)
        except OSError as error:
            status, body = 0, str(error).encode()
        cost.seconds.append(time.perf_counter() - start)
        if status != 200:
            faults.append(f"{request.path}: {status} {body[:300].decode(errors='replace')}")
    line.close()


def _exchange(line: http.client.HTTPConnection, request: Request) -> Answer:
    line.request("POST", request.path, request.body, dict(request.headers))
    answer = line.getresponse()
    status, body = answer.status, answer.read()
    link = link_in(json.loads(body)) if request.follow and status == 200 else None
    if link is None:
        return status, body
    parts = urlsplit(link)
    line.request("GET", f"{parts.path}?{parts.query}")
    result = line.getresponse()
    return result.status, result.read()


def _probe(port: int, seconds: list[float], done: threading.Event) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    while not done.wait(_PROBE_S):
        start = time.perf_counter()
        line.request("GET", "/healthz")
        line.getresponse().read()
        seconds.append(time.perf_counter() - start)
    line.close()
