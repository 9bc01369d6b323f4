"""Send two servers with one PostgreSQL more than they allow, and see whether the limit of requests holds.

Run as `python -m scripts.hardening.rate_limits [MINUTES]`. The weights of profile lite must be in
RETOUCH_DATA_DIR, by default in data.
"""

import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import psycopg

from tests.helpers.places import ROOT
from tests.helpers.server_process import Server
from tests.helpers.services import Postgres

LIMIT = 60
ROUTE = "/capabilities"
FLOOD, HONEST, WRONG = "secret-a", "secret-b", "secret-c"
FLOODING_THREADS = 8
_WINDOW_S = 59.0
"""The limit counts by the second: a window of 60 calendar seconds is between 59 and 60 s long."""
_LONGEST_S = 12.0
"""An answer that takes longer was held up by the database: 5 s is the longest wait for it."""


@dataclass(frozen=True)
class Answer:
    """An answer to one caller. sent, received: seconds of one clock. retry_s: its Retry-After, or 0."""

    code: int
    sent: float
    received: float
    retry_s: int


class Callers:
    """Callers of several servers in turn, and what they were answered."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.answers: dict[str, list[Answer]] = {FLOOD: [], HONEST: [], WRONG: []}

    def start(self, token: str, threads: int) -> None:
        """Start callers with a token. The honest one waits as long as it is told."""
        for number in range(threads):
            thread = threading.Thread(target=self._call, args=(token, number))
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop all callers and wait for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, token: str, number: int) -> None:
        with httpx.Client(headers={"api_token": token}, timeout=120) as http:
            while not self._stop.is_set():
                number += 1
                address = self._addresses[number % len(self._addresses)]
                answer = self._ask(http, address)
                with self._lock:
                    self.answers[token].append(answer)
                if token == HONEST and answer.retry_s:
                    self._stop.wait(answer.retry_s)
                elif token == WRONG:
                    self._stop.wait(0.02)

    def _ask(self, http: httpx.Client, address: str) -> Answer:
        while True:
            sent = time.monotonic()
            try:
                answer = http.get(address + ROUTE)
            except httpx.TransportError:  # for example a connection that was idle is closed
                continue
            break
        received = time.monotonic()
        retry = int(answer.headers.get("retry-after", "0"))
        return Answer(answer.status_code, sent, received, retry)


def run(minutes: float) -> list[str]:
    """Flood two servers for some minutes, then stop their database; return what went wrong."""
    data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = Postgres()
        stack.callback(postgres.close)
        database = postgres.start().database()
        servers = [Server(folder / name, data / "weights") for name in ("one", "two")]
        for server in servers:
            stack.callback(server.close)
            # The caller that obeys has a small limit, so that it meets it also on a slow machine.
            server.start(DATABASE_URL=database, REQUESTS_PER_MINUTE=str(LIMIT), RATE_LIMITS="b=8")
        addresses = [str(server.http.base_url) for server in servers]
        findings = _flood(addresses, minutes) + _rows(database)
        alone = [server.text().count("requests are counted in memory") for server in servers]
        print(f"{sum(alone)} times a server counted for itself, because the database was too slow")
        return findings + _silent_database(postgres, addresses, servers)


def _flood(addresses: list[str], minutes: float) -> list[str]:
    """Let one organisation flood, another obey, and a third have a wrong token."""
    callers = Callers(addresses)
    callers.start(FLOOD, FLOODING_THREADS)
    callers.start(HONEST, 1)
    callers.start(WRONG, 2)
    time.sleep(minutes * 60)
    callers.stop()
    for token, answers in callers.answers.items():
        times = sorted(answer.received - answer.sent for answer in answers)
        codes = dict(sorted(Counter(answer.code for answer in answers).items()))
        print(f"{token}: {codes}, median {1e3 * statistics.median(times):.1f} ms")
    return [
        *_excesses(callers.answers[FLOOD]),
        *_lies(callers.answers[HONEST]),
        *_others(callers.answers[FLOOD], {200, 429}),
        *_others(callers.answers[HONEST], {200, 429}),
        *_others(callers.answers[WRONG], {401}),
    ]


def _excesses(answers: list[Answer]) -> list[str]:
    """Return the windows in which more requests were accepted than the limit."""
    accepted = sorted(
        (answer for answer in answers if answer.code == 200), key=lambda one: one.received
    )
    received = [answer.received for answer in accepted]
    most = 0
    for first in accepted:
        last = bisect_right(received, first.sent + _WINDOW_S)
        inside = sum(answer.sent >= first.sent for answer in accepted[:last])
        most = max(most, inside)
    print(f"{most} accepted within {_WINDOW_S:g} s at most; the limit is {LIMIT}")
    return [f"{most} requests were accepted within a window"] if most > LIMIT else []


def _lies(answers: list[Answer]) -> list[str]:
    """Return the refusals of a caller that had waited as long as it was told."""
    lies = [
        f"429 although the caller had waited {before.retry_s} s as told"
        for before, answer in itertools.pairwise(answers)
        if before.retry_s and answer.code == 429
    ]
    print(f"{sum(one.retry_s > 0 for one in answers)} waits as told, {len(lies)} refused after it")
    return lies


def _others(answers: list[Answer], expected: set[int]) -> list[str]:
    unexpected = Counter(answer.code for answer in answers if answer.code not in expected)
    return [f"{count} answers were {code}" for code, count in unexpected.items()]


def _rows(database: str) -> list[str]:
    """Return whether callers without a valid token left rows."""
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT organisation, route FROM rate_counters").fetchall()
    expected = {("a", ROUTE), ("b", ROUTE)}
    print(f"{len(found)} rows for two organisations and one route")
    return [] if set(found) == expected else [f"the rows of the counters are {found}"]


def _silent_database(postgres: Postgres, addresses: list[str], servers: list[Server]) -> list[str]:
    """Freeze the database; the limit must hold up nobody."""
    postgres.freeze()
    try:
        callers = Callers(addresses)
        callers.start(FLOOD, FLOODING_THREADS)
        time.sleep(20)
        callers.stop()
    finally:
        postgres.thaw()
    answers = callers.answers[FLOOD]
    longest = max(answer.received - answer.sent for answer in answers)
    codes = dict(Counter(answer.code for answer in answers))
    print(f"with a silent database: {codes}, the longest answer took {longest:.1f} s")
    told = ["requests are counted in memory" in server.text() for server in servers]
    findings = _others(answers, {200, 429})
    if longest > _LONGEST_S:
        findings.append(f"an answer took {longest:.1f} s while the database was silent")
    if not all(told):
        findings.append("a server did not log that it counts in memory")
    return findings


def main() -> int:
    """Run once; return 0 if nothing went wrong."""
    findings = run(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print(*findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
