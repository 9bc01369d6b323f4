"""The real program as a process of its own, with the real `lite` models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import Server


@pytest.fixture
def stopped(tmp_path: Path, weights_dir: Path, lite: Pool) -> Iterator[Server]:
    """A server that is not started yet; `lite` has seen to its weights."""
    server = Server(tmp_path, weights_dir)
    yield server
    server.close()


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool
) -> Iterator[Server]:
    """A server for many tests, of small limits; it may fetch from 127.0.0.1 and no other private address."""
    server = Server(tmp_path_factory.mktemp("server"), weights_dir)
    yield server.start(
        MAX_BODY_MB="8",
        BODY_TIMEOUT_S="2",
        FETCH_TIMEOUT_S="2",
        ALLOWED_URL_NETWORKS="127.0.0.1/32",
    )
    server.close()
