"""Kill a server again and again while it works on jobs with webhooks; count those that are lost or told twice.

Run as `python -m scripts.webhook_kills [JOBS] [SEED]`. The weights of profile lite must be in
RETOUCH_DATA_DIR, by default in data.
"""

import argparse
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL

import httpx2 as httpx

from tests.helpers.places import ROOT
from tests.helpers.server_process import Server, b64, mask_for, sample
from tests.helpers.webhook_receiver import Receiver, receiving

ROUTE = "/v1/eraser"
SETTINGS = {"ALLOWED_URL_NETWORKS": "127.0.0.1/32", "WEBHOOK_RETRY_S": "0.5"}


class Trial:
    """One server, the numbers of the jobs it has accepted, and the receiver that it tells."""

    def __init__(self, folder: Path, receiver: Receiver, jobs: int, seed: int) -> None:
        data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
        self.server = Server(folder, data / "weights")
        self.receiver = receiver
        self.jobs = jobs
        self.random = random.Random(seed)  # noqa: S311
        self.accepted: list[str] = []
        self.kills = 0
        self.between = 0
        """Webhooks whose outcome was stored, but that had not arrived, at any of the kills."""

    def run(self) -> bool:
        """Ask, kill and wait; print what became of the webhooks; return whether none is lost."""
        self.server.start(**SETTINGS)
        asking = threading.Thread(target=self._ask)
        asking.start()
        while asking.is_alive() or not set(self.accepted) <= set(self._told()):
            time.sleep(self.random.uniform(1, 6))
            self._kill()
            if self.kills > self.jobs:
                break
        asking.join()
        time.sleep(5)
        self.server.close()
        return self._report()

    def _told(self) -> list[str]:
        return [one.path for one in list(self.receiver.received)]

    def _ask(self) -> None:
        picture = sample(width=120)
        body = {"file": b64(picture), "mask_file": b64(mask_for(picture)), "sync": False}
        with httpx.Client(headers={"api_token": "secret-a"}, timeout=30) as http:
            for number in range(self.jobs):
                path = f"/ok?job={number}"
                body["webhook_url"] = self.receiver.url(path)
                while not self._is_accepted(http, body):
                    time.sleep(0.1)
                self.accepted.append(path)

    def _is_accepted(self, http: httpx.Client, body: Mapping[str, object]) -> bool:
        try:
            answer = http.post(f"{self.server.http.base_url}{ROUTE}", json=body)
        except httpx.TransportError:  # killed before it answered; it may have stored the job
            return False
        return answer.status_code == 200

    def _kill(self) -> None:
        self.server.end(SIGKILL)
        self.kills += 1
        told = set(self.receiver.ids())
        database = sqlite3.connect(self.server.data / "jobs.db")
        done = database.execute(
            "select workflow_uuid from workflow_status where name = 'request' and status = 'SUCCESS'"
        ).fetchall()
        database.close()
        self.between += sum(one not in told for (one,) in done)
        self.server.start(**SETTINGS)

    def _report(self) -> bool:
        told = Counter(self.receiver.ids())
        lost = set(self.accepted) - set(self._told())
        unsigned = sum(not one.is_signed_with("secret-a") for one in self.receiver.received)
        print(f"{len(self.accepted)} jobs accepted, {self.kills} kills")
        print(f"{self.between} webhooks were between result and receiver at a kill")
        print(f"{len(lost)} lost, {sum(n > 1 for n in told.values())} told more than once")
        print(f"{unsigned} with a wrong signature")
        return not lost and not unsigned


def main() -> int:
    """Run one trial; return 0 if no webhook is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=20261127)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, receiving() as receiver:
        return 0 if Trial(Path(folder), receiver, given.jobs, given.seed).run() else 1


if __name__ == "__main__":
    sys.exit(main())
