"""Breaks what a server rests on while it serves: unwritable files, no DNS, a clock that jumps, racing migrations.

The clock needs Debian's package faketime, and is left alone without it.
"""

import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import httpx2 as httpx
from sqlalchemy import make_url

from models.settings import ModelSettings
from scripts.hardening.common.marked_pictures import KINDS, corner_mask, mark_of, marked
from storage.database import database_url
from storage.records import Records
from tests.helpers.server_process import Server, b64
from tests.helpers.services import Postgres

_MIGRATIONS = 6
_UNRESOLVABLE = "http://no-such-host.invalid/a.png"
_FETCH_FAILED = 460
_JUMPS_S = (2 * 86_400, -2 * 86_400, 3600, -3600, 0)
"""Where the clock jumps to, in seconds from the true time, one after another."""


def run(minutes: float) -> list[str]:
    """Cause every fault in turn until the time is over, each at least once; return the findings."""
    until = time.monotonic() + 60 * minutes
    findings: list[str] = []
    rounds = 0
    while not rounds or (time.monotonic() < until and not findings):
        findings += racing_migrations() + faults_of_a_server()
        rounds += 1
    print(f"{rounds} rounds", flush=True)
    return findings


def racing_migrations() -> list[str]:
    """Let processes migrate one empty database at the same time: a file, then PostgreSQL."""
    postgres = Postgres()
    with tempfile.TemporaryDirectory() as folder:
        try:
            urls = [f"sqlite:///{folder}/records.db", postgres.start().database()]
            return [finding for url in urls for finding in _race(url)]
        finally:
            postgres.close()


def _race(url: str) -> list[str]:
    began = time.monotonic()
    with ProcessPoolExecutor(_MIGRATIONS) as pool:
        errors = [error for error in pool.map(_migrate, [url] * _MIGRATIONS) if error]
    kind = make_url(url).get_backend_name()
    print(f"{_MIGRATIONS} migrations of {kind}: {time.monotonic() - began:.1f} s", flush=True)
    return [f"a migration of {kind} failed beside others: {error}" for error in errors]


def _migrate(url: str) -> str:
    """Open a database as a server does; return the error, or an empty text."""
    try:
        Records(database_url(url)).close()
    except Exception as error:  # told as a finding
        return f"{type(error).__name__}: {error}"
    return ""


def faults_of_a_server() -> list[str]:
    """Let a server meet the other faults one after another; it must serve again after each."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), ModelSettings().weights_dir)
        clock = Path(folder) / "clock"
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        server.environment = {
            "RETOUCH_REQUESTS_PER_MINUTE": "0",
            **_clock_variables(clock, library),
        }
        try:
            server.start()
            findings = _serves(server, "at the start")
            findings += _unwritable(server) + _serves(server, "after a disk that took no bytes")
            findings += _no_dns(server) + _serves(server, "after a name that nobody knows")
            if library is None:
                print("the clock was left alone: the package faketime is not installed", flush=True)
            else:
                findings += _jumping_clock(server, clock)
            if server.end() != 0:
                findings.append("the server did not end with status 0 after the faults")
        finally:
            server.close()
    return findings


def _erase(server: Server, number: int, **more: object) -> httpx.Response:
    body = {"file": b64(marked(number)), "mask_file": corner_mask(), **more}
    return server.http.post("/v1/eraser", json=body)


def _serves(server: Server, when: str) -> list[str]:
    """Send a marked picture; return a finding if its result does not show the mark."""
    answer = _erase(server, 0x5EED)
    if answer.status_code != 200:
        return [f"a request {when} was answered with {answer.status_code}: {answer.text[:200]}"]
    result = server.read(answer.json()["result_url"])
    if mark_of(result.content, KINDS[0].box) != 0x5EED:
        return [f"a result {when} does not show its mark"]
    return []


def _unwritable(server: Server) -> list[str]:
    """Let every write to a file fail; sync, async and register must be 503, and reading must work."""
    assert server.process is not None  # noqa: S101 - started
    before = _erase(server, 7).json()["result_url"]
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        answers = {
            "eraser": _erase(server, 8),
            "eraser with sync=false": _erase(server, 9, sync=False),
            "register": server.http.post("/v1/register", json={"file": b64(marked(10))}),
        }
        found = [
            f"{name} was answered with {answer.status_code} while no file could be written"
            for name, answer in answers.items()
            if answer.status_code != 503 or "Retry-After" not in answer.headers
        ]
        if server.read(before).status_code != 200:
            found.append("a result could not be read while no file could be written")
        return found
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)


def _no_dns(server: Server) -> list[str]:
    """Send the address of a host whose name cannot be resolved."""
    answer = server.http.post(
        "/v1/eraser", json={"image_url": _UNRESOLVABLE, "mask_file": corner_mask()}
    )
    if answer.status_code != _FETCH_FAILED:
        return [f"a name without an address was answered with {answer.status_code}"]
    return []


def _clock_variables(clock: Path, library: Path | None) -> dict[str, str]:
    """Return the variables with which a process takes its time from a file."""
    if library is None:
        return {}
    clock.write_text("+0")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _jumping_clock(server: Server, clock: Path) -> list[str]:
    """Let the clock jump; each time new requests must be served, with links that work, also of jobs."""
    findings = []
    for jump in _JUMPS_S:
        clock.write_text(f"{jump:+d}")
        time.sleep(1.5)
        when = f"after the clock jumped to {jump / 3600:+g} h"
        findings += _serves(server, when)
        link = _erase(server, 0x5EED, sync=False).json().get("result_url", "")
        deadline = time.monotonic() + 60
        while not link or server.read(link).status_code != 200:
            if time.monotonic() > deadline:
                findings.append(f"a job {when} has no result")
                break
            time.sleep(0.1)
    return findings
