"""Floods of one organisation beside the requests of another: how much longer those take than alone."""

import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from scripts.hardening.common import floods
from tests.helpers.places import ROOT
from tests.helpers.server_process import Server, b64, sample

MAX_RATIO = 3.0
"""The 95th percentile beside a flood is at most so many times that alone."""
_SETTINGS = {"ALLOWED_URL_NETWORKS": "127.0.0.1/32", "PRELOAD": "true"}
_OTHER_TOKEN = "other"  # noqa: S105 - the server has no tokens
_STARTED_S = 4.0
"""A flood runs for so long before the other organisation asks."""
_TIMEOUT_S = 120.0
_NICENESS = 10
"""The callers of a flood leave the processors to the server."""

Ask = Callable[[httpx.Client, str], None]
"""Makes one request to the server at an address, and reads its answer."""


def run(minutes: float) -> list[str]:
    """Flood a server in each way, each for its part of the minutes; return where others wait too long."""
    findings: list[str] = []
    seconds = minutes * 60 / (2 * len(FLOODS))
    for name, (flood, threads, ask) in FLOODS.items():
        with _server() as url:
            alone = _durations(url, ask, seconds)
            with _flood(url, flood, threads):
                beside = _durations(url, ask, seconds)
        findings += _compare(name, alone, beside)
    return findings


def _compare(name: str, alone: Sequence[float], beside: Sequence[float]) -> list[str]:
    """Print both percentiles and their ratio; return a finding if that is too large."""
    first, second = percentile_95(alone), percentile_95(beside)
    line = (
        f"{name:20} alone p95 {first * 1000:7.0f} ms ({len(alone)}), beside the flood"
        f" {second * 1000:7.0f} ms ({len(beside)}): {second / first:.2f} times"
    )
    print(line, flush=True)
    return [line] if second > MAX_RATIO * first else []


def percentile_95(durations: Sequence[float]) -> float:
    """Return the 95th percentile of some durations."""
    if len(durations) < 2:
        return durations[0]
    return statistics.quantiles(durations, n=20, method="inclusive")[-1]


@contextmanager
def _server() -> Iterator[str]:
    """Yield the address of a new server without tokens, where every token is an organisation."""
    data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", data / "weights")
        try:
            server.launch(**_SETTINGS)
            server.wait_for_port()
            server._until(lambda: server.http.get("/readyz").status_code == 200)
            yield str(server.http.base_url).rstrip("/")
        finally:
            server.close()


def _durations(url: str, ask: Ask, seconds: float) -> list[float]:
    """Ask one request after another; return how long each took, in seconds.

    The first one opens the connection and is not among them, unless it failed.
    """
    durations: list[float] = []
    with httpx.Client(headers={"api_token": _OTHER_TOKEN}, timeout=_TIMEOUT_S) as http:
        end = time.monotonic() + seconds
        first = _duration(http, url, ask)
        if first == _TIMEOUT_S:
            durations.append(first)
        while time.monotonic() < end or len(durations) < 2:
            durations.append(_duration(http, url, ask))
    return durations


def _duration(http: httpx.Client, url: str, ask: Ask) -> float:
    """Ask once; return how long that took, or `_TIMEOUT_S` if it failed."""
    start = time.monotonic()
    try:
        ask(http, url)
    except (httpx.HTTPError, AssertionError) as error:
        print(f"  the other organisation failed: {error!r}", flush=True)
        return _TIMEOUT_S
    return time.monotonic() - start


@contextmanager
def _flood(url: str, flood: Callable[[str], None], threads: int) -> Iterator[None]:
    """Run a flood in a process of its own, so that it does not slow the one that measures."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_run_flood, args=(url, flood, threads, begun.set), daemon=True)
    process.start()
    try:
        if not begun.wait(_TIMEOUT_S):
            raise TimeoutError("the flood does not begin")
        time.sleep(_STARTED_S)
        yield
    finally:
        process.kill()
        process.join()


def _run_flood(
    url: str, flood: Callable[[str], None], threads: int, begun: Callable[[], None]
) -> None:
    os.nice(_NICENESS)
    for _ in range(threads):
        threading.Thread(target=_repeat, args=(url, flood), daemon=True).start()
    begun()
    threading.Event().wait()


def _repeat(url: str, flood: Callable[[str], None]) -> None:
    while True:
        try:
            flood(url)
        except (OSError, httpx.HTTPError):
            time.sleep(0.1)


_BODY = {"file": b64(sample("coffee", 400))}


def ask_and_wait(http: httpx.Client, url: str) -> None:
    """Ask for an edit and wait for its answer."""
    answer = http.post(f"{url}/v1/background/remove", json=_BODY)
    assert answer.status_code == 200, answer.text  # noqa: S101 - the finding of a failed call


def ask_for_job(http: httpx.Client, url: str) -> None:
    """Queue a job and wait for its result."""
    answer = http.post(f"{url}/v1/background/remove", json={**_BODY, "sync": False})
    assert answer.status_code == 200, answer.text  # noqa: S101
    link = json.loads(answer.text)["result_url"]
    while http.get(link).status_code == 404:
        time.sleep(0.02)


FLOODS: dict[str, tuple[Callable[[str], None], int, Ask]] = {
    "slow senders": (floods.slow_sender, 64, ask_and_wait),
    "silent addresses": (floods.silent_address, 64, ask_and_wait),
    "costly bodies": (floods.costly_body, 30, ask_and_wait),
    "costly bodies, jobs": (floods.costly_body, 30, ask_for_job),
    "jobs": (floods.jobs, 16, ask_for_job),
    "jobs, calls": (floods.jobs, 16, ask_and_wait),
    "status polls": (floods.status_polls, 32, ask_and_wait),
    "large visuals": (floods.large_visuals, 16, ask_and_wait),
    "refused bodies": (floods.refused, 16, ask_and_wait),
    "many parts": (floods.many_parts, 16, ask_and_wait),
    "many keys": (floods.many_keys, 16, ask_and_wait),
    "hang-ups": (floods.hang_ups, 16, ask_and_wait),
    "pipelined polls": (floods.pipelined_polls, 32, ask_and_wait),
    "wrong tokens": (floods.wrong_tokens, 32, ask_and_wait),
    "downloads": (floods.downloads, 16, ask_and_wait),
}
"""By name: what each thread of the flood does, how many do it, and what the other organisation asks."""
