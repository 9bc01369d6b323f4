"""The real program in its own process, with the real `lite` models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import Server


@pytest.fixture
def stopped(tmp_path: Path, weights_dir: Path, lite: Pool) -> Iterator[Server]:
    """A server that is not started yet; the fixture `lite` provides its weights."""
    server = Server(tmp_path, weights_dir)
    yield server
    server.close()


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool
) -> Iterator[Server]:
    """A server for many tests with small limits; 127.0.0.1 is the only private address it may fetch from."""
    server = Server(tmp_path_factory.mktemp("server"), weights_dir)
    yield server.start(
        MAX_BODY_MB="8",
        BODY_TIMEOUT_S="2",
        FETCH_TIMEOUT_S="2",
        ALLOWED_URL_NETWORKS="127.0.0.1/32",
    )
    server.close()
