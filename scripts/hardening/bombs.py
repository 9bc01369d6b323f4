"""Sends small files of huge, damaged and odd pictures to every place of every route, and measures the memory.

One server at its default limits, profile lite, is sent every hostile picture in turn. Every answer must be
one that the OpenAPI document has for its route, and none 500. The process's memory must stay within what
a photograph of the largest accepted size takes.
"""

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.hostile_pictures import ODD, REFUSED, bombs, jpeg_bomb
from tests.helpers.picture_places import NoModels, Place, documented, find_places
from tests.helpers.places import ROOT
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.server_process import Server

_MAX_PIXELS = 8192 * 8192
_MAX_GIB = 4.0
"""What one request at a time may take: the largest measured of an ordinary photograph of 67 megapixels is
2.1 GiB (image_to_psd)."""


def run(minutes: float) -> list[str]:
    """Send hostile pictures, in random order once the whole list is through; return the wrong answers."""
    weights = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data")) / "weights"
    with tempfile.TemporaryDirectory() as name:
        places = _places(Path(name) / "places")
        server = Server(Path(name) / "server", weights)
        try:
            server.start(WORKERS="1", PRELOAD="true", MAX_BODY_MB="40", REQUEST_TIMEOUT_S="180")
            return _Trial(server, places).run(minutes)
        finally:
            server.close()


class _Trial:
    """One server, what it was sent, and the most memory that it took."""

    def __init__(self, server: Server, places: list[Place]) -> None:
        self._server = server
        self._places = places
        self._pid = server.process.pid if server.process else 0
        self._document = server.http.get("/openapi.json").json()
        self._codes: Counter[int] = Counter()
        self._slowest = (0.0, "")
        self._peak = 0
        self._findings: list[str] = []
        self._stopped = threading.Event()

    def run(self, minutes: float) -> list[str]:
        """Send pictures for about so many minutes; print figures; return the findings."""
        deadline = time.monotonic() + 60 * minutes
        # The places of a visual are those of this picture.
        self._server.http.post("/v1/register", json={"file": b64(photo())})
        sampler = threading.Thread(target=self._sample)
        sampler.start()
        for place, name, data in self._cases():
            if time.monotonic() > deadline:
                break
            self._try(place, name, data)
        self._stopped.set()
        sampler.join()
        return self._report()

    def _cases(self) -> Iterator[tuple[Place, str, bytes]]:
        """Yield each place with each picture: the bombs first, then the others in random order."""
        large = [*bombs(_MAX_PIXELS), ("JPEG of 65,500 x 1,024", jpeg_bomb(_MAX_PIXELS))]
        small = [(name, make()) for name, make in {**REFUSED, **ODD}.items()]
        cases = [(place, *picture) for picture in small for place in self._places]
        heavy = [(place, *picture) for picture in large for place in self._places]
        chance = random.Random(0)  # noqa: S311
        chance.shuffle(cases)
        chance.shuffle(heavy)
        # A bomb takes seconds, another picture milliseconds.
        while cases or heavy:
            if heavy:
                yield heavy.pop()
            for _ in range(min(40, len(cases))):
                yield cases.pop()

    def _try(self, place: Place, name: str, data: bytes) -> None:
        began = time.monotonic()
        what = f"{name} in {place}"
        try:
            answer = _send(self._server.http, place, data)
        except httpx.HTTPError as error:
            self._findings.append(f"{what}: no answer: {error!r}")
            return
        self._slowest = max(self._slowest, (time.monotonic() - began, what))
        self._codes[answer.status_code] += 1
        fault = documented(self._document, place.template, "post", answer)
        # A full disk or memory is no fault of the picture, but 503 must not become a habit.
        if fault or answer.status_code == 503:
            self._findings.append(f"{what}: {fault or answer.text[:200]}")

    def _sample(self) -> None:
        process = psutil.Process(self._pid)
        while not self._stopped.wait(0.05):
            self._peak = max(self._peak, process.memory_info().rss)

    def _report(self) -> list[str]:
        peak = self._peak / 2**30
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(self._codes.items()))
        print(
            f"{sum(self._codes.values())} pictures in {len(self._places)} places; answers {codes}"
        )
        print(f"slowest {self._slowest[0]:.1f} s: {self._slowest[1]}; at most {peak:.2f} GiB")
        found = [*self._findings]
        if peak > _MAX_GIB:
            found.append(f"The server took {peak:.2f} GiB, more than {_MAX_GIB}.")
        if "Traceback" in self._server.text():
            found.append("There is a traceback in the log.")
        return found


def _send(client: httpx.Client, place: Place, data: bytes) -> httpx.Response:
    body: dict[str, Any] = place.body(f"data:image/png;base64,{b64(data)}")
    return client.post(place.route, json=body)


def _places(folder: Path) -> list[Place]:
    """Return the places for pictures; those of a visual have the id that the server gives to `photo()`."""
    settings = Settings(
        data_dir=folder, api_tokens="a:secret-a", org_image_url="http://192.0.2.1/{key}"
    )
    with TestClient(create_app(settings, NoModels()), headers=TOKEN) as client:
        registered = client.post("/v1/register", json={"file": b64(photo())})
        return find_places(client, registered.json()["visual_id"])
