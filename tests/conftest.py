"""Fixtures shared by the whole suite: the real `lite` models and the sample photographs."""

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging.picture import Picture
from models.runtime.pool import Pool
from tests.helpers.places import PHOTOS, RAY_TOKEN, ROOT
from tests.helpers.services import Postgres, SeaweedFs

# Ray reads these once, as the first test that needs it imports it: no telemetry, and no cluster but for those
# who know the token.
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ENABLE_AUTO_CONNECT="0",
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=RAY_TOKEN,
)

# The torch backends are tested where torch is, as `scripts/test` does.
collect_ignore = [] if importlib.util.find_spec("torch") else ["generative"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a change of results be taken on; see tests/golden/kept.py."""
    parser.addoption("--renew-golden", action="store_true", help="keep the results as they are now")


# What `scripts/test --fast` leaves out: folders whose tests start whole servers, clusters or browsers or call
# every route, tests that need a database or a store, and tests that are marked slow by themselves.
_SLOW_FOLDERS = frozenset({"browser", "cluster", "contract", "deploy", "golden", "process"})
_SLOW_FIXTURES = frozenset({"postgres", "seaweed"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow folders, and those that use a slow fixture, as slow."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        fixtures = set(getattr(item, "fixturenames", ()))
        if folder in _SLOW_FOLDERS or fixtures & _SLOW_FIXTURES:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Where the `lite` weights lie; the pool fetches what is missing."""
    return Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data")) / "weights"


@pytest.fixture(scope="session")
def lite(weights_dir: Path) -> Pool:
    """The real models of profile `lite`."""
    return Pool.for_profile("lite", weights_dir)


@pytest.fixture(scope="session")
def photo() -> Callable[[str], Picture]:
    """Read a sample photograph by name: astronaut, coffee, chelsea."""

    def read(name: str) -> Picture:
        return Picture(np.asarray(Image.open(PHOTOS / f"{name}.jpg").convert("RGB")))

    return read


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server."""
    server = Postgres()
    yield server.start()
    server.close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    """A real S3 store."""
    server = SeaweedFs(tmp_path_factory.mktemp("seaweed"))
    yield server.start()
    server.stop()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something that happens soon, ten seconds at most."""

    def wait(happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    return wait
