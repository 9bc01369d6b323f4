"""A running server for the clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import Server


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool
) -> Iterator[Server]:
    """The program in its own process, with the real `lite` models.

    It may call servers on this machine: for pictures and webhooks.
    """
    server = Server(tmp_path_factory.mktemp("server"), weights_dir)
    yield server.start(ALLOWED_URL_NETWORKS="127.0.0.0/8")
    server.close()
