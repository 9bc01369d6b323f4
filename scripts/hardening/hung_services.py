"""Stop PostgreSQL and the S3 store with SIGSTOP, again and again, while callers use two servers.

A stopped process answers nothing, but its connections stay open and its kernel acknowledges packets. The
weights of profile lite must be in RETOUCH_DATA_DIR, by default in data.
"""

import os
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx

from tests.helpers.places import ROOT
from tests.helpers.server_process import TOKEN, Server, b64, sample, whole_picture
from tests.helpers.services import Postgres, SeaweedFs

STOP_S = 40.0
"""How long a service is stopped."""
LIMIT_S = 20.0
"""Limit of an answer while a service is stopped: 15 s for one call, and something for the rest."""
HEALTH_LIMIT_S = 5.0
"""Limit of an answer of /readyz and /healthz, on a machine whose processors are all busy."""
READYZ_LIMIT_S = 15.0
"""Seconds after which /readyz must tell that a service does not answer."""
RECOVERY_LIMIT_S = 15.0
"""Seconds after which callers must get results again once the service goes on."""
_CLIENT_TIMEOUT_S = 300.0
_PAUSE_S = 1.0
_STALL_S = 180.0
"""Seconds without another result, after which the jobs that have none are lost."""
ACCEPTED, EXPECTED = {200, 202, 208}, {200, 202, 208, 429, 503}


@dataclass
class Call:
    """An answer: when the call began and ended, in seconds of the monotonic clock, and its status code.

    code: 0 if there was no answer.
    """

    kind: str
    began: float
    ended: float
    code: int


@dataclass
class Outage:
    """A service that was stopped. told: when /readyz of every server said so; None if one never did."""

    service: str
    began: float
    ended: float = 0.0
    told: float | None = None
    ready: float | None = None


class Trial:
    """Two servers with a shared database and store, callers of every kind, and what they saw."""

    def __init__(self, folder: Path, postgres: Postgres, seaweed: SeaweedFs) -> None:
        data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
        self.services: dict[str, Postgres | SeaweedFs] = {"database": postgres, "store": seaweed}
        shared = {
            **seaweed.environment(),
            "no_proxy": "127.0.0.1",
            "RETOUCH_DATABASE_URL": postgres.database(),
            "RETOUCH_STORE": seaweed.prefix(),
            "RETOUCH_S3_ENDPOINT": seaweed.endpoint,
        }
        self.servers = [Server(folder / str(number), data / "weights") for number in range(2)]
        for server in self.servers:
            server.environment = shared
        self.picture = sample("coffee", 200)
        self.calls: list[Call] = []
        self.outages: list[Outage] = []
        self.links: list[str] = []
        self.requests: list[str] = []
        self.findings: list[str] = []
        self.done = threading.Event()
        self._random = random.Random(1)  # noqa: S311

    def run(self, minutes: float) -> list[str]:
        """Call and stop services for some minutes; print the figures and return the findings."""
        for server in self.servers:
            server.start(REQUEST_TIMEOUT_S="120")
        visual_id = self.servers[0].http.post("/v1/register", json=self._file()).json()["visual_id"]
        kinds: dict[str, Callable[[httpx.Client], httpx.Response]] = {
            "register": self._register,
            "sync": lambda http: http.post("/v1/background/remove", json=self._file()),
            "async": self._asynchronous,
            "visual": lambda http: http.get(f"/v1/{visual_id}/blur_bg"),
            "status": self._status,
            "idempotent": self._idempotent,
        }
        threads = [
            threading.Thread(target=self._call, args=(kind, ask, server))
            for kind, ask in kinds.items()
            for server in self.servers
        ]
        for thread in threads:
            thread.start()
        self._stop_services(time.monotonic() + 60 * minutes)
        self.done.set()
        for thread in threads:
            thread.join()
        self._check_nothing_is_lost()
        self._check_nothing_ran_twice()
        self._check_answers()
        self._report()
        return self.findings

    def _file(self, **fields: object) -> dict[str, object]:
        return {"file": b64(self.picture), **fields}

    def _register(self, http: httpx.Client) -> httpx.Response:
        """Register a picture that is new each time: bytes after its end change nothing."""
        return http.post("/v1/register", json={"file": b64(self.picture + uuid.uuid4().bytes)})

    def _asynchronous(self, http: httpx.Client) -> httpx.Response:
        answer = http.post("/v1/background/remove", json=self._file(sync=False))
        if answer.status_code in ACCEPTED:
            self.links.append(answer.json()["result_url"])
        return answer

    def _idempotent(self, http: httpx.Client) -> httpx.Response:
        """Send a request with a key to v2, once more if it is refused."""
        body = {"image": b64(self.picture)}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = http.post("/v2/image/edit/remove_background", json=body, headers=key)
        if answer.status_code in ACCEPTED:
            self.requests.append(answer.json()["request_id"])
        return answer

    def _status(self, http: httpx.Client) -> httpx.Response:
        name = self._random.choice(self.requests) if self.requests else uuid.uuid4().hex
        return http.get(f"/v2/status/{name}")

    def _call(
        self, kind: str, ask: Callable[[httpx.Client], httpx.Response], server: Server
    ) -> None:
        with httpx.Client(
            base_url=server.http.base_url, headers=TOKEN, timeout=_CLIENT_TIMEOUT_S
        ) as http:
            while not self.done.wait(_PAUSE_S):
                began = time.monotonic()
                try:
                    answer = ask(http)
                    code = answer.status_code
                except httpx.TransportError as error:
                    self.findings.append(f"{kind}: no answer: {error!r}")
                    code = 0
                else:
                    if code in (429, 503) and "retry-after" not in answer.headers:
                        self.findings.append(f"{kind}: {code} without Retry-After: {answer.text}")
                    if code not in EXPECTED and (kind, code) != ("status", 404):
                        self.findings.append(f"{kind}: {code}: {answer.text[:300]}")
                self.calls.append(Call(kind, began, time.monotonic(), code))

    def _stop_services(self, end: float) -> None:
        """Stop the database and the store in turn until a time; each at least once."""
        time.sleep(10)
        while time.monotonic() < end or len(self.outages) < len(self.services):
            name = list(self.services)[len(self.outages) % len(self.services)]
            outage = Outage(name, time.monotonic())
            self.outages.append(outage)
            self.services[name].freeze()
            try:
                while time.monotonic() < outage.began + STOP_S:
                    self._look(outage)
            finally:
                self.services[name].thaw()
            outage.ended = time.monotonic()
            while outage.ready is None and time.monotonic() < outage.ended + 120:
                self._look(outage)
            time.sleep(20)

    def _look(self, outage: Outage) -> None:
        """Look at the health of both servers, and note what it says of a service."""
        answers = [self._health(server, "/readyz") for server in self.servers]
        health = [self._health(server, "/healthz") for server in self.servers]
        now = time.monotonic()
        if any(answer.status_code != 200 for answer in health):
            self.findings.append("/healthz is not 200")
        if outage.told is None and all(
            answer.status_code == 503 and outage.service in answer.json().get("unavailable", ())
            for answer in answers
        ):
            outage.told = now
        if outage.ended and all(answer.status_code == 200 for answer in answers):
            outage.ready = now
        time.sleep(0.2)

    def _health(self, server: Server, path: str) -> httpx.Response:
        began = time.monotonic()
        answer = server.http.get(path)
        if (seconds := time.monotonic() - began) > HEALTH_LIMIT_S:
            self.findings.append(f"{path} took {seconds:.1f} s")
        return answer

    def _check_nothing_is_lost(self) -> None:
        """Wait for the result of every accepted job; those that stay without are findings."""
        links, requests = list(self.links), list(self.requests)
        deadline = time.monotonic() + _STALL_S
        with httpx.Client(timeout=30) as reader:
            while (links or requests) and time.monotonic() < deadline:
                before = len(links) + len(requests)
                links = [link for link in links if not self._has_result(reader.get(link))]
                requests = [name for name in requests if not self._is_completed(name)]
                if len(links) + len(requests) < before:
                    deadline = time.monotonic() + _STALL_S
                time.sleep(1)
        if links or requests:
            self.findings.append(f"{len(links)} jobs of v1 and {len(requests)} of v2 are lost")

    def _has_result(self, answer: httpx.Response) -> bool:
        if answer.status_code == 404:
            return False
        if answer.status_code != 200 or whole_picture(answer.content) != whole_picture(
            self.picture
        ):
            self.findings.append(f"async: {answer.status_code} for the result of a job")
        return True

    def _is_completed(self, name: str) -> bool:
        answer = self.servers[0].http.get(f"/v2/status/{name}")
        if answer.status_code == 503:
            return False
        state = str(answer.json()["status"])
        if state not in ("IN_PROGRESS", "COMPLETED"):
            self.findings.append(f"idempotent: {answer.text} for an accepted request")
        return state != "IN_PROGRESS"

    def _check_answers(self) -> None:
        for outage in self.outages:
            if outage.told is None or outage.told - outage.began > READYZ_LIMIT_S:
                self.findings.append(f"/readyz did not tell of the {outage.service}")
            if outage.ready is None or outage.ready - outage.ended > RECOVERY_LIMIT_S:
                self.findings.append(f"/readyz was not 200 again after the {outage.service}")
            for call in self._during(outage):
                # A sync call whose work was done waits for the service, and may have its result.
                waits = call.kind in ("sync", "visual") and call.began < outage.began + LIMIT_S
                limit = outage.ended - call.began + RECOVERY_LIMIT_S if waits else LIMIT_S
                if call.ended - call.began > limit:
                    seconds = call.ended - call.began
                    self.findings.append(f"{call.kind}: {seconds:.1f} s without {outage.service}")
            for kind in {call.kind for call in self.calls}:
                recovered = self._recovered(outage, kind)
                if recovered is None or recovered > RECOVERY_LIMIT_S:
                    self.findings.append(f"{kind}: {recovered} s until it worked again")

    def _during(self, outage: Outage) -> list[Call]:
        """Return the calls that were under way while a service was stopped."""
        return [
            call for call in self.calls if call.ended > outage.began and call.began < outage.ended
        ]

    def _recovered(self, outage: Outage, kind: str) -> float | None:
        """Return the seconds from the end of an outage to the first call that works, with a new start."""
        ends = [
            call.ended
            for call in self.calls
            if call.kind == kind and call.code in ACCEPTED | {404} and call.ended > outage.ended
        ]
        return min(ends) - outage.ended if ends else None

    def _check_nothing_ran_twice(self) -> None:
        """Check that no server took another for dead, whose jobs then ran twice."""
        for server in self.servers:
            if "which has died" in server.text():
                self.findings.append("a server that lived was taken for dead")

    def _report(self) -> None:
        for outage in self.outages:
            told, ready = outage.told, outage.ready
            print(
                f"{outage.service} stopped for {outage.ended - outage.began:.0f} s: /readyz 503 after"
                f" {'-' if told is None else f'{told - outage.began:.1f}'} s, 200 again after"
                f" {'-' if ready is None else f'{ready - outage.ended:.1f}'} s"
            )
            by_kind: dict[str, list[Call]] = defaultdict(list)
            for call in self._during(outage):
                by_kind[call.kind].append(call)
            for kind, calls in sorted(by_kind.items()):
                seconds = sorted(call.ended - call.began for call in calls)
                codes = {
                    code: sum(c.code == code for c in calls) for code in {c.code for c in calls}
                }
                recovered = self._recovered(outage, kind)
                print(
                    f"  {kind:10} {len(calls):4} answers, median {statistics.median(seconds):6.2f} s,"
                    f" longest {seconds[-1]:6.2f} s, codes {codes}, works again after"
                    f" {'-' if recovered is None else f'{recovered:.1f}'} s"
                )
        print(f"{len(self.links)} jobs of v1 and {len(self.requests)} of v2 accepted")


def run(minutes: float) -> list[str]:
    """Return what went wrong in a trial of some minutes; empty if nothing did."""
    with tempfile.TemporaryDirectory(prefix="retouch-hung-") as folder:
        postgres = Postgres().start()
        seaweed = SeaweedFs(Path(folder) / "seaweed").start()
        trial = Trial(Path(folder), postgres, seaweed)
        try:
            return trial.run(minutes)
        finally:
            trial.done.set()
            for server in trial.servers:
                server.close()
            seaweed.stop()
            postgres.close()


if __name__ == "__main__":
    for finding in run(float(os.environ.get("MINUTES", "1"))):
        print(finding)
