"""Sends marked pictures of two organisations to two servers under faults: no result is swapped or lost.

Every picture carries the bits of its number as light and dark blocks, which its result must show. The
servers share PostgreSQL and S3. Meanwhile callers hang up and send bad bodies, the store fails, and the
servers are killed by turns, the first one only in the first tenth of the time: its memory must not grow
after that. An answer that was accepted (a link, a request_id) must have its result in the end. A caller has
only a few requests undone, so that the queue, and with it the memory, keeps a level.
"""

import random
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx

from models.settings import ModelSettings
from scripts.hardening.common.marked_pictures import BITS, KINDS, Kind, corner_mask, mark_of, marked
from scripts.hardening.common.memory_over_time import MemoryOverTime
from tests.helpers.server_process import Server, b64
from tests.helpers.services import Postgres, SeaweedFs

TOKENS = {"a": "secret-a", "b": "secret-b"}
_CALLERS = 6
_UNDONE = 10
"""Most requests of a caller whose result it has not read."""
_TIMEOUT_S = 120.0
_SETTLE_S = 240.0
"""After so long without another result, one that does not exist is lost: hundreds of jobs may wait their turn."""


@dataclass
class Tally:
    """What became of the requests; threads share it.

    accepted: the link or request_id, organisation, number and kind of each answer of sync=false.
    """

    accepted: list[tuple[str, str, int, Kind]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> None:
        """Count one event."""
        with self.lock:
            self.counts[name] += 1

    def find(self, text: str) -> None:
        """Add a finding."""
        with self.lock:
            self.findings.append(text)


class Servers:
    """Two servers on one database and one store, which can be killed and started again."""

    def __init__(self, folder: Path, postgres: Postgres, seaweed: SeaweedFs) -> None:
        weights = ModelSettings().weights_dir
        shared = {
            **seaweed.environment(),
            "no_proxy": "127.0.0.1",
            "RETOUCH_DATABASE_URL": postgres.database(),
            "RETOUCH_STORE": seaweed.prefix(),
            "RETOUCH_S3_ENDPOINT": seaweed.endpoint,
            "RETOUCH_REQUESTS_PER_MINUTE": "0",
            "RETOUCH_STATUS_REQUESTS_PER_MINUTE": "0",
        }
        self.each = [Server(folder / str(number), weights) for number in range(2)]
        for server in self.each:
            server.environment = shared
            server.start()
        self.is_up = [True, True]

    def url(self, chooser: random.Random) -> str:
        """Return the address of a server that is not being killed."""
        up = [server for server, is_up in zip(self.each, self.is_up, strict=True) if is_up]
        return str(chooser.choice(up).http.base_url)

    def kill(self, number: int) -> float:
        """Kill a server and start it again; return the seconds until it is ready."""
        self.is_up[number] = False
        self.each[number].end(signal.SIGKILL)
        began = time.monotonic()
        self.each[number].start()
        self.is_up[number] = True
        return time.monotonic() - began

    def close(self) -> None:
        """Stop both."""
        for server in self.each:
            server.close()


def call(
    client: httpx.Client, servers: Servers, chooser: random.Random, tally: Tally
) -> tuple[str, str] | None:
    """Send one marked picture; return the handle and organisation of an accepted request."""
    number, kind = chooser.getrandbits(BITS), chooser.choice(KINDS)
    organisation, sync = chooser.choice("ab"), chooser.random() < 0.5
    name = "image" if kind.path.startswith("/v2") else "file"
    body = {name: b64(marked(number)), "sync": sync, **kind.fields}
    headers = {"api_token": TOKENS[organisation]}
    try:
        answer = client.post(servers.url(chooser) + kind.path, json=body, headers=headers)
    except httpx.TransportError:
        tally.count("no answer")  # of a server that was killed
        return None
    tally.count(f"status {answer.status_code}")
    if answer.status_code >= 500 and answer.status_code != 503:
        tally.find(f"{kind.path} answered {answer.status_code}: {answer.text[:200]}")
    if answer.status_code not in (200, 202):
        return None
    received = answer.json()
    if answer.status_code == 202:
        handle = received["request_id"]
    else:
        handle = received.get("result_url") or received["result"]["image_url"]
    with tally.lock:
        tally.accepted.append((handle, organisation, number, kind))
    return handle, organisation


def hang_up(client: httpx.Client, servers: Servers, chooser: random.Random, tally: Tally) -> None:
    """Send a request and close the connection before the answer."""
    body = {"file": b64(marked(chooser.getrandbits(BITS))), "mask_file": corner_mask()}
    with suppress(httpx.TransportError):
        client.post(
            servers.url(chooser) + "/v1/eraser",
            json=body,
            headers={"api_token": "secret-a"},
            timeout=0.05,
        )
    tally.count("hung up")


def bad_body(client: httpx.Client, servers: Servers, chooser: random.Random, tally: Tally) -> None:
    """Send a body that must be refused."""
    body = b64(marked(1))[: chooser.randrange(40)]
    try:
        answer = client.post(
            servers.url(chooser) + "/v1/eraser",
            json={"file": body, "mask_file": body},
            headers={"api_token": "secret-b"},
        )
    except httpx.TransportError:
        return
    tally.count("bad bodies")
    if answer.status_code not in (400, 415, 422, 429, 503):
        tally.find(f"a bad body was answered with {answer.status_code}: {answer.text[:200]}")


def caller(seed: int, servers: Servers, tally: Tally, until: float) -> None:
    """Send requests one after another until a time."""
    chooser = random.Random(seed)  # noqa: S311 - nothing is secret
    undone: deque[tuple[str, str]] = deque()
    with httpx.Client(timeout=_TIMEOUT_S) as client:
        while time.monotonic() < until:
            action = chooser.choices((call, hang_up, bad_body), (8, 1, 1))[0]
            if action is not call:
                action(client, servers, chooser, tally)
            elif accepted := call(client, servers, chooser, tally):
                undone.append(accepted)
            while len(undone) > _UNDONE and time.monotonic() < until:
                try:
                    _result(client, servers, *undone[0], until)
                    undone.popleft()
                except httpx.TransportError:  # the server was killed, or the store is away
                    time.sleep(0.2)


def faults(servers: Servers, seaweed: SeaweedFs, tally: Tally, until: float) -> None:
    """Stop the store for a while and kill a server, by turns, until a time.

    The first server is spared after a tenth of the time, so that its memory can be watched.
    """
    chooser, turn = random.Random(2), 0  # noqa: S311 - nothing is secret
    both_until = until - 0.9 * (until - time.monotonic())
    while time.monotonic() + 15 < until:
        time.sleep(min(chooser.uniform(4, 40), max(0.0, until - time.monotonic() - 12)))
        if turn % 2 == 0:
            number = turn // 2 % 2 if time.monotonic() < both_until else 1
            seconds = servers.kill(number)
            tally.count("kills")
            print(f"server {number} killed; ready again after {seconds:.1f} s", flush=True)
        else:
            seaweed.stop()
            time.sleep(chooser.uniform(1, 6))
            seaweed.start()
            tally.count("failures of the store")
        turn += 1


def check(servers: Servers, tally: Tally) -> None:
    """Read every accepted result, and compare its mark with the one that was sent."""
    deadline = time.monotonic() + _SETTLE_S
    with httpx.Client(timeout=30) as client:
        for handle, organisation, number, kind in tally.accepted:
            file = _result(client, servers, handle, organisation, deadline)
            if file is not None and time.monotonic() < deadline:
                deadline = time.monotonic() + _SETTLE_S
            if file is None:
                tally.find(f"lost: {handle} of {organisation} ({kind.path}) has no result")
            elif isinstance(file, str):
                tally.find(f"failed: {handle} of {organisation} ({kind.path}): {file}")
            elif mark_of(file, kind.box) != number:
                tally.find(f"swapped: {handle} of {organisation} ({kind.path}) shows another mark")
            else:
                tally.count("results with their own mark")


def _result(
    client: httpx.Client, servers: Servers, handle: str, organisation: str, deadline: float
) -> bytes | str | None:
    """Return the file behind a link or a request_id as soon as it exists; None after the deadline.

    If the job failed, return the reason instead.
    """
    chooser = random.Random()  # noqa: S311 - nothing is secret
    headers = {"api_token": TOKENS[organisation]}
    while True:
        server = servers.url(chooser)
        link: str | None = handle
        if not handle.startswith("http"):
            answer = client.get(f"{server}/v2/status/{handle}", headers=headers)
            state = answer.json() if answer.is_success else {}
            if "error" in state:
                return str(state["error"])
            link = state.get("result", {}).get("image_url")
        if link:
            answer = client.get(link)
            if answer.status_code == 200:
                return answer.content or answer.headers.get("x-amz-meta-retouch-reason", "no text")
        if time.monotonic() > deadline:
            return None
        time.sleep(0.2)


def run(minutes: float) -> list[str]:
    """Attack for so many minutes, then check every accepted result; return the findings."""
    tally = Tally()
    postgres = Postgres()
    with tempfile.TemporaryDirectory() as folder:
        seaweed = SeaweedFs(Path(folder) / "store")
        servers = None
        try:
            servers = Servers(Path(folder), postgres.start(), seaweed.start())
            _attack(servers, seaweed, tally, minutes)
        finally:
            if servers is not None:
                servers.close()
            seaweed.stop()
            postgres.close()
    for name, count in sorted(tally.counts.items()):
        print(f"{count:7}  {name}", flush=True)
    return tally.findings


def _attack(servers: Servers, seaweed: SeaweedFs, tally: Tally, minutes: float) -> None:
    until = time.monotonic() + 60 * minutes
    memory = MemoryOverTime(servers.each)
    with ThreadPoolExecutor(_CALLERS + 2) as pool:
        tasks = [pool.submit(caller, seed, servers, tally, until) for seed in range(_CALLERS)]
        tasks.append(pool.submit(faults, servers, seaweed, tally, until))
        tasks.append(pool.submit(memory.watch, until))
        for task in tasks:
            task.result()
    for finding in memory.findings(minutes):
        tally.find(finding)
    check(servers, tally)
