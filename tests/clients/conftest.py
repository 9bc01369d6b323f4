"""A running server for generated clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import Server


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool
) -> Iterator[Server]:
    """The program in its own process, with the real `lite` models."""
    server = Server(tmp_path_factory.mktemp("server"), weights_dir)
    yield server.start()
    server.close()
