"""Fills a real disk of 24 MB by every route and by another program: what still works, and what works again."""

import contextlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import numpy as np
from PIL import Image

from tests.helpers.places import ROOT
from tests.helpers.server_process import Server, b64

_MIB = 1 << 20
_DISK_MB = 24
_CALLERS = 8
_REFUSALS = 24
"""A filler stops after so many refusals in a row, all callers together."""
_LONGEST_REFUSAL_S = 5.0
"""A refusal takes no longer: it comes before any work."""
_FINDING = "finding: "
_SETTINGS = {"MAX_STORED_MB": "0", "MAX_VISUALS": "0", "SWEEP_INTERVAL_S": "1", "WORKERS": "2"}

Send = Callable[[httpx.Client, int], httpx.Response]
"""Makes one request that stores something; the number is different each time."""


def run(minutes: float) -> list[str]:
    """Fill the disk in each way, for its part of the minutes; return what did not work."""
    folder = tempfile.mkdtemp(prefix="retouch-disk-")
    weights = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data")).absolute() / "weights"
    mount = f'mount -t tmpfs -o size={_DISK_MB}m tmpfs "$0" && exec "$@"'
    unshare = shutil.which("unshare") or "/usr/bin/unshare"
    shell = [unshare, "--map-root-user", "--mount", "/bin/sh", "-c", mount, folder]
    program = [sys.executable, "-m", "scripts.hardening.full_disk", folder, str(weights)]
    command = [*shell, *program, str(minutes)]
    done = subprocess.run(  # noqa: S603 - our own program
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    shutil.rmtree(folder, ignore_errors=True)
    lines = done.stdout.splitlines()
    findings = [line.removeprefix(_FINDING) for line in lines if line.startswith(_FINDING)]
    print(*(line for line in lines if not line.startswith(_FINDING)), sep="\n")
    if done.returncode:
        findings.append(f"The attack on a small disk ended with status {done.returncode}.")
    return findings


def _attack(disk: Path, weights: Path, minutes: float) -> Iterator[str]:
    """Yield the findings of each way to fill the disk; each starts with an empty one."""
    for name, send in FILLERS.items():
        server = Server(disk / name, weights)
        server.environment = {f"RETOUCH_{key}": value for key, value in _SETTINGS.items()}
        try:
            server.start()
            trial = _Trial(name, disk, server, minutes * 60 / len(FILLERS))
            yield from trial.findings(send)
        except (httpx.HTTPError, AssertionError, OSError) as error:
            yield f"full_disk, {name}: {error!r} at the end of: {server.text()[-1500:]!r}"
        finally:
            server.close()
            shutil.rmtree(disk / name)


class _Trial:
    """One way to fill the disk of a server."""

    def __init__(self, name: str, disk: Path, server: Server, seconds: float) -> None:
        self._name = name
        self._disk = disk
        self._server = server
        self._seconds = seconds
        self._http = server.http
        self._filler = disk / "other-program"
        self._found: list[str] = []

    def findings(self, send: Send | None) -> list[str]:
        """Fill the disk, look at everything, free it, and look again."""
        visuals = [_visual(self._http, number) for number in range(2)]
        result = self._http.get(f"/v1/{visuals[0]}/blur_bg").json()["image_res"]
        if send is not None:
            self._fill(send)
        self._check_full("with the reserve left", result)
        self._use_last_byte()
        self._check_full("at the last byte", result)
        self._remove(visuals[0], "at the last byte")
        self._expect("a removed result", self._server.read(result), 404)
        self._use_last_byte()
        self._kill_and_start()
        self._use_last_byte()
        self._remove(visuals[1], "after a start on a full disk")
        self._sweep()
        self._filler.unlink()
        self._check_free()
        return self._found

    def _fill(self, send: Send) -> None:
        """Send requests from several callers until they are refused, or the time is over."""
        end = time.monotonic() + self._seconds
        codes: Counter[int] = Counter()
        slowest, lowest, refused = 0.0, self._free(), 0
        with ThreadPoolExecutor(_CALLERS) as callers:
            for numbers in _batches(_CALLERS):
                for answer in callers.map(lambda number: send(self._http, number), numbers):
                    codes[answer.status_code] += 1
                    refused = refused + 1 if answer.status_code == 503 else 0
                    if answer.status_code == 503:
                        slowest = max(slowest, answer.elapsed.total_seconds())
                        self._check_refusal("a refused filler", answer)
                    lowest = min(lowest, self._free())
                if refused >= _REFUSALS or time.monotonic() > end:
                    break
        print(
            f"{self._name}: answers {dict(codes)}, lowest free {lowest / _MIB:.2f} MiB, slowest refusal"
            f" {slowest:.2f} s",
            flush=True,
        )
        if slowest > _LONGEST_REFUSAL_S:
            self._find(f"a refusal took {slowest:.1f} s")
        if lowest < _MIB // 2:
            self._find(f"the callers left {lowest} bytes free")

    def _free(self) -> int:
        stat = os.statvfs(self._disk)
        return stat.f_bavail * stat.f_frsize

    def _use_last_byte(self) -> None:
        """Fill the disk as another program would, also what the server gives up a moment later."""
        quiet = 0
        while quiet < 3:
            descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            written = 0
            with contextlib.suppress(OSError):
                while True:
                    written += os.write(descriptor, bytes(4096))
            os.close(descriptor)
            quiet = 0 if written else quiet + 1
            time.sleep(0.7)

    def _check_full(self, when: str, result: str) -> None:
        """Check every kind of request on a full disk."""
        self._expect(f"a result {when}", self._server.read(result), 200)
        self._expect(f"/healthz {when}", self._http.get("/healthz"), 200)
        ready = self._http.get("/readyz")
        self._expect(f"/readyz {when}", ready, 200)
        if self._free() < _MIB and ready.json().get("disk") != "full":
            self._find(f"/readyz {when} says {ready.text}")
        if self._free() >= 2.4 * _MIB:
            return
        for name, send in _REQUESTS.items():
            self._check_refusal(f"{name} {when}", send(self._http, 10**6))

    def _check_refusal(self, what: str, answer: httpx.Response) -> None:
        self._expect(what, answer, 503)
        if answer.status_code == 503 and not (
            answer.headers.get("retry-after")
            and ("code" in answer.json() or "error" in answer.json())
        ):
            self._find(f"{what} has no Retry-After or no body of ours: {answer.text[:200]}")

    def _remove(self, visual: str, when: str) -> None:
        self._expect(f"remove_image {when}", self._http.post(f"/v1/{visual}/remove_image"), 200)

    def _kill_and_start(self) -> None:
        self._server.end(signal.SIGKILL)
        self._server.start()

    def _sweep(self) -> None:
        """Let the results expire; they must be gone within seconds, although the disk is full."""
        results = [path for path in self._server.data.glob("results/**/*") if path.is_file()]
        for path in results:
            os.utime(path, (1, 1))
        end = time.monotonic() + 30
        while any(path.exists() for path in results):
            if time.monotonic() > end:
                self._find("the sweep removes nothing while the disk is full")
                return
            time.sleep(0.1)

    def _check_free(self) -> None:
        """Check that everything works again, without a restart."""
        for folder in ("visuals", "results"):
            shutil.rmtree(self._server.data / folder / "a", ignore_errors=True)
        end = time.monotonic() + 30
        while self._http.get("/readyz").json() != {"status": "ready"} and time.monotonic() < end:
            time.sleep(0.1)
        for number, (name, send) in enumerate(_REQUESTS.items()):
            answer = send(self._http, 10**6 + number + 1)
            if answer.status_code not in (200, 202):
                self._find(
                    f"{name} on a disk with space again: {answer.status_code} {answer.text[:200]}"
                )

    def _expect(self, what: str, answer: httpx.Response, code: int) -> None:
        if answer.status_code != code:
            self._find(f"{what}: {answer.status_code} instead of {code}: {answer.text[:200]}")

    def _find(self, text: str) -> None:
        self._found.append(f"full_disk, {self._name}: {text}.")


def _batches(size: int) -> Iterator[range]:
    """Yield numbers, each once, `size` at a time."""
    for start in itertools.count(0, size):
        yield range(start, start + size)


def _noise(seed: int, side: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _visual(http: httpx.Client, number: int) -> str:
    """Return the visual_id of a small picture."""
    answer = http.post("/v1/register", files={"file": ("x.png", _noise(10**7 + number, 40))})
    visual_id: str = answer.json()["visual_id"]
    return visual_id


def _register(http: httpx.Client, number: int) -> httpx.Response:
    return http.post("/v1/register", files={"file": ("x.png", _noise(number, 850))})


def _edit(http: httpx.Client, number: int) -> httpx.Response:
    return http.post("/v1/background/blur", files={"file": ("x.png", _noise(number, 400))})


def _job(http: httpx.Client, number: int) -> httpx.Response:
    body = {"file": b64(_noise(number, 400)), "sync": False}
    return http.post("/v1/background/blur", json=body)


def _request_v2(http: httpx.Client, number: int) -> httpx.Response:
    body = {"image": b64(_noise(number, 300)), "sync": False}
    return http.post("/v2/image/edit/blur_background", json=body)


def _map(http: httpx.Client, number: int) -> httpx.Response:
    body = {"file": b64(_noise(number, 300))}
    return http.post("/v1/objects/mask_generator", json=body)


def _key(http: httpx.Client, number: int) -> httpx.Response:
    files = {"file": ("x.png", _noise(10**7, 40))}
    return http.post("/v1/register", files=files, headers={"Idempotency-Key": f"{number}" * 30})


FILLERS: dict[str, Send | None] = {
    "register": _register,
    "results": _edit,
    "jobs": _job,
    "v2": _request_v2,
    "maps": _map,
    "answers": _key,
    "another program": None,
}
"""The ways to fill the disk; the last one is no request at all."""
_REQUESTS: dict[str, Send] = {
    "register": _register,
    "an edit": _edit,
    "a job": _job,
    "a request of v2": _request_v2,
    "masks": _map,
    "a request with a key": _key,
}


if __name__ == "__main__":
    for text in _attack(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])):
        print(f"{_FINDING}{text}", flush=True)
