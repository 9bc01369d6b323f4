"""A start while a slow, a silent or a broken hub has the weights: what callers and operators are told."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from models.catalog.card import Profile
from models.catalog.source import HubFolder
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, WeightsUnavailableError
from models.roles import CAPTIONING, MATTING
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.start_progress import StartProgress
from models.weights import hub_snapshot
from models.weights.cache import WeightsCache
from models.weights.download import fetch_card, fetch_profile
from server.app import create_app, create_waiting_app
from server.http.shutdown import Shutdown
from server.settings import Settings
from server.starting import StartingApp
from tests.helpers.cards import FunctionCard
from tests.helpers.fake_hub import FIRST, FakeHub, serving

Wait = Callable[[Callable[[], bool]], None]

BODY = bytes(range(256)) * 4 * 1024 * 24
"""24 MiB: the client writes 10 at a time."""
CONFIG = b"{}"
FILES = {
    "config.json": CONFIG,
    "net.safetensors": BODY,
    "net.fp16.safetensors": BODY,
    "net.bin": BODY,
}
TOTAL = len(BODY) + len(CONFIG)
SEEN = len(BODY) // 8
"""Bytes that are there when the hub has sent half of them, at least."""
PART = HubFolder("org/net", FIRST, ("*.json", "*.safetensors", "*.bin"), 24)


class Model:
    """A matting network that has its weights."""

    def matte(self, rgb: Any) -> Any:
        """Return nothing of the picture."""
        return np.zeros(rgb.shape[:2], np.uint8)

    def caption(self, rgb: Any) -> str:
        """Return a caption."""
        return "grey"


def made(paths: Any, device_config: Any) -> Model:
    for path in paths:
        assert (path / "net.safetensors").read_bytes() == BODY
    return Model()


def card(name: str, role: Any, *folders: HubFolder) -> FunctionCard:
    return FunctionCard(role, name, "none", (), "none", memory_mb=10, folders=folders, make=made)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub for the client in this process and in its child."""
    for name in list(os.environ):
        if "PROXY" in name.upper() or name == "HF_TOKEN":
            monkeypatch.delenv(name)
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with serving(FakeHub({FIRST: FILES})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


class Start:
    """A start as the program makes it, of a profile of this test."""

    def __init__(self, folder: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("models.runtime.pool.load_profile", lambda name: profile)
        self.progress = StartProgress()
        self.shutdown = Shutdown(0, 30)
        self._settings = Settings(data_dir=folder)
        waiting = create_waiting_app(self._settings, self.shutdown, self.progress)
        self.app = StartingApp(waiting, self._make, self.shutdown)

    def _make(self) -> FastAPI:
        pool = Pool.for_profile("mine", self._settings.weights_dir, progress=self.progress)
        return create_app(self._settings, LocalEngine(pool), self.shutdown, self.progress)


def test_bytes_of_bytes_are_told_until_the_server_is_ready(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    hub.held = True
    start = Start(tmp_path, {MATTING: card("hub-matting", MATTING, PART)}, monkeypatch)
    with TestClient(start.app) as client:
        assert client.get("/healthz").status_code == 200
        first = client.get("/readyz")
        assert (first.status_code, first.json()["status"]) == (503, "starting")

        def told() -> dict[str, Any]:
            progress: dict[str, Any] = client.get("/readyz").json().get("progress", {})
            return progress

        wait_until(lambda: told().get("bytes", 0) > SEEN)
        found = told()
        assert found.pop("bytes") < TOTAL
        assert found == {
            "card": "hub-matting",
            "total_bytes": TOTAL,
            "parts": 0,
            "total_parts": 1,
        }
        assert client.get("/healthz").status_code == 200
        refused = client.post("/v1/background/remove")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert re.search(r"\(\d+\.\d of 24\.0 MiB\)", refused.json()["message"])
        hub.let_go.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready"}
    assert not [path for _, path, _ in hub.requests if path.endswith((".bin", "fp16.safetensors"))]


def test_a_part_that_fails_is_told_at_once_while_the_others_are_fetched(
    hub: FakeHub, tmp_path: Path
) -> None:
    lost = HubFolder("org/lost", FIRST, ("*",), 1)
    profile = {
        CAPTIONING: card("lost-captions", CAPTIONING, lost),
        MATTING: card("hub-matting", MATTING, PART),
    }
    hub.held = True
    progress = StartProgress()
    ended: list[dict[str, str]] = []

    def fetch() -> None:
        ended.append(fetch_profile(profile, WeightsCache(tmp_path), start=progress))

    fetching = threading.Thread(target=fetch)
    fetching.start()
    while progress.as_json().get("bytes", 0) < SEEN:
        assert fetching.is_alive()
        time.sleep(0.05)
    told = progress.as_json()
    assert told["card"] == "hub-matting"
    assert told["failed"].keys() == {"lost-captions"}
    assert "org/lost" in told["failed"]["lost-captions"]
    hub.let_go.set()
    fetching.join(60)
    assert ended[0] == told["failed"]


def test_a_start_whose_weights_all_fail_ends_with_the_reason(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    lost = HubFolder("org/lost", FIRST, ("*",), 1)
    start = Start(tmp_path, {MATTING: card("lost-matting", MATTING, lost)}, monkeypatch)
    with TestClient(start.app):
        wait_until(lambda: start.shutdown.failed)
    assert isinstance(start.app.failure, WeightsUnavailableError)
    assert "org/lost" in str(start.app.failure)


def no_child_is_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_a_hub_that_stops_sending_is_given_up(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_snapshot, "STALLED_S", 1.0)
    hub.held = True
    # It may stall before the first byte or after it: both end the fetch.
    with pytest.raises(WeightsUnavailableError, match="no byte came for 1 s"):
        fetch_card(card("net", MATTING, PART), WeightsCache(tmp_path))
    assert no_child_is_left()
    hub.held = False
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    paths = fetch_card(card("net", MATTING, PART), WeightsCache(tmp_path))
    assert (paths[0] / "net.safetensors").read_bytes() == BODY


def test_a_hub_that_does_not_answer_at_all_is_given_up(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_snapshot, "LISTING_TIMEOUT_S", 0.2)
    hub.silent = True
    profile = {
        CAPTIONING: card("captions", CAPTIONING, PART),
        MATTING: card("matting", MATTING, PART),
    }
    failures = fetch_profile(profile, WeightsCache(tmp_path))
    assert failures.keys() == {"captions", "matting"}
    assert all("org/net" in text and "imeout" in text for text in failures.values())
    asked = [path for _, path, _ in hub.requests]
    assert len(asked) == 1, "two cards share the repository, and it was asked once"


def test_a_cancelled_fetch_ends_the_client(hub: FakeHub, tmp_path: Path) -> None:
    hub.held = True
    deadline = Deadline()
    told: list[int] = []

    def cancel(label: str, done: int, total: int) -> None:
        told.append(done)
        if done >= SEEN:
            deadline.cancel()

    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        fetch_card(card("net", MATTING, PART), WeightsCache(tmp_path), cancel)
    assert told == sorted(told)
    assert no_child_is_left()
