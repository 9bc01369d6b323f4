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
from tests.helpers.unlimited import UNLIMITED

# Ray reads these when it is first imported: no telemetry, and no access to a cluster without the token.
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ENABLE_AUTO_CONNECT="0",
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=RAY_TOKEN,
)

# Many tests send more requests to one route; those of the limits set their own. Servers that tests start as
# programs inherit no setting: see tests/helpers/server_process.py.
os.environ.update(UNLIMITED)

# The torch backends are tested only where torch is installed; `scripts/test` sees to that.
collect_ignore = [] if importlib.util.find_spec("torch") else ["generative"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that replaces the golden results; see tests/golden/comparison.py."""
    parser.addoption(
        "--renew-golden", action="store_true", help="store the results as they are now"
    )


# `scripts/test --fast` leaves out the slow tests: those that start programs (`program`), which run three at a
# time; those that call every route or need the real models; and those with the marker `slow`.
_PROGRAM_FOLDERS = frozenset(
    {"browser", "clients", "cluster", "deploy", "docs", "process", "scripts"}
)
_PROGRAM_FIXTURES = frozenset({"postgres", "seaweed"})
_SLOW_FOLDERS = frozenset(
    {"browser", "clients", "cluster", "contract", "deploy", "golden", "process"}
)
_SLOW_FIXTURES = frozenset({"lite", "postgres", "seaweed"})
_RAY_FILES = frozenset(
    {"test_cluster.py", "test_own_ray.py", "test_rayservice.py", "test_serve_in_cluster.py"}
)
"""Besides those that use the fixture `cluster`. Ray's clusters look for the processes of the whole machine."""
_RAY_FOLDERS = frozenset({"cluster", "deploy"})
"""The folders that scripts/test looks for them in."""
_LONG_FILES = (
    "scripts/test_benchmark.py",
    "deploy/test_bundle.py",
    "process/test_several_servers.py",
    "process/test_process.py",
    "process/test_fields.py",
    "scripts/test_attacks.py",
    "contract/test_parity.py",
    "contract/test_bounds.py",
    "golden/test_lite.py",
    "server/test_missing_roles.py",
    "generative/test_benchmark_gpu.py",
)
"""The files of tests that take a minute or more, the longest first: begun last, one would leave cores idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, those that start programs, and repeated ones; put the files that take long first."""
    functions = set()
    order = {ROOT / "tests" / file: place for place, file in enumerate(_LONG_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        fixtures = set(getattr(item, "fixturenames", ()))
        if folder in _SLOW_FOLDERS or fixtures & _SLOW_FIXTURES:
            item.add_marker("slow")
        is_slow = item.get_closest_marker("slow") is not None
        is_program = is_slow and (folder in _PROGRAM_FOLDERS or fixtures & _PROGRAM_FIXTURES)
        if is_program:
            item.add_marker("program")
        function = item.nodeid.partition("[")[0]
        if not is_slow and function in functions:
            item.add_marker("repeated")
        elif not is_slow:
            functions.add(function)
        if item.path.name in _RAY_FILES or "cluster" in fixtures:
            item.add_marker("alone")
            if is_program and folder not in _RAY_FOLDERS:
                raise pytest.UsageError(f"scripts/test would not run {item.nodeid} in this folder")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of the `lite` weights; the pool fetches what is missing."""
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
    """Wait until a condition holds, three minutes at most."""

    def wait(happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 180
        while not happened():
            assert time.monotonic() < deadline, "the condition did not become true"
            time.sleep(0.01)

    return wait
