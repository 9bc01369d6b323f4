"""Floods of one organisation beside the requests of another: how much longer those take than alone."""

import io
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
from PIL import Image, ImageDraw

from tests.helpers.places import ROOT
from tests.helpers.server_process import Server, b64, sample

MAX_RATIO = 3.0
"""The 95th percentile beside a flood is at most so many times that alone."""
_SETTINGS = {"ALLOWED_URL_NETWORKS": "127.0.0.1/32", "PRELOAD": "true"}
_FLOOD_TOKEN, _OTHER_TOKEN = "flood", "other"
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
    """Ask one request after another; return how long each took, in seconds."""
    durations: list[float] = []
    end = time.monotonic() + seconds
    with httpx.Client(headers={"api_token": _OTHER_TOKEN}, timeout=_TIMEOUT_S) as http:
        ask(http, url)
        while time.monotonic() < end or len(durations) < 2:
            start = time.monotonic()
            try:
                ask(http, url)
            except (httpx.HTTPError, AssertionError) as error:
                print(f"  the other organisation failed: {error!r}", flush=True)
                durations.append(_TIMEOUT_S)
            else:
                durations.append(time.monotonic() - start)
    return durations


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


def _caller() -> httpx.Client:
    return httpx.Client(headers={"api_token": _FLOOD_TOKEN}, timeout=600)


def slow_sender(url: str) -> None:
    """Send a body one byte a second."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/crop HTTP/1.1\r\nHost: x\r\napi_token: flood\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        )
        while True:
            connection.sendall(b" ")
            time.sleep(1)


def silent_address(url: str) -> None:
    """Send the address of a host that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, _caller() as http:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/picture.png"
        http.post(f"{url}/v1/crop", json={"image_url": address})


def costly_body(url: str) -> None:
    """Send a picture of 12 megapixels in 4 kB; its objects take tens of seconds to find."""
    with _caller() as http:
        body = {"file": b64(large_picture())}
        while True:
            _post(http, f"{url}/v1/objects/mask_generator", body)


def jobs(url: str) -> None:
    """Queue jobs that take about a second each, as many as are accepted."""
    with _caller() as http:
        body = {"file": b64(sample("coffee", 600)), "sync": False}
        while True:
            _post(http, f"{url}/v1/background/remove", body)


def status_polls(url: str) -> None:
    """Ask for the state of requests without a pause."""
    with _caller() as http:
        _post(http, f"{url}/v1/crop", {"file": b64(sample(width=100)), "sync": False})
        while True:
            http.get(f"{url}/v2/status/{uuid.uuid4().hex}")


def large_visuals(url: str) -> None:
    """Register large pictures and ask for their objects."""
    with _caller() as http:
        while True:
            registered = _post(http, f"{url}/v1/register", {"file": b64(large_picture())})
            if "visual_id" in registered:
                http.get(f"{url}/v1/{registered['visual_id']}/objects/info")


def refused(url: str) -> None:
    """Send pictures of 8 MB and more requests than there are places, without a pause."""
    with _caller() as http:
        body = {"file": "A" * 8_000_000}
        while True:
            _post(http, f"{url}/v1/crop", body)


def _post(http: httpx.Client, url: str, body: Mapping[str, object]) -> dict[str, object]:
    """Post a body and return the answer; after a refusal wait a moment, not as long as the answer asks."""
    answer = http.post(url, json=body)
    if answer.status_code == 429:
        time.sleep(0.2)
    found: dict[str, object] = answer.json()
    return found


def large_picture() -> bytes:
    """Return a picture of 12 megapixels in a file of few bytes, as lossless WebP."""
    if not _LARGE:
        image = Image.new("RGB", (4000, 3000), (200, 120, 40))
        ImageDraw.Draw(image).ellipse((1000, 750, 3000, 2250), fill=(20, 60, 200))
        file = io.BytesIO()
        image.save(file, "WEBP", lossless=True)
        _LARGE.append(file.getvalue())
    return _LARGE[0]


_LARGE: list[bytes] = []
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
    "slow senders": (slow_sender, 64, ask_and_wait),
    "silent addresses": (silent_address, 64, ask_and_wait),
    "costly bodies": (costly_body, 30, ask_and_wait),
    "costly bodies, jobs": (costly_body, 30, ask_for_job),
    "jobs": (jobs, 16, ask_for_job),
    "jobs, calls": (jobs, 16, ask_and_wait),
    "status polls": (status_polls, 32, ask_and_wait),
    "large visuals": (large_visuals, 16, ask_and_wait),
    "refused bodies": (refused, 16, ask_and_wait),
}
"""By name: what each thread of the flood does, how many do it, and what the other organisation asks."""
