"""The browser of the system, and a server for it to visit."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.context import WarmModels
from server.settings import Settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str:
    """Return the path of a browser; without one the test is skipped, but fails in CI."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    reason = "no Chromium on this machine; on Debian: apt install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def served(settings: Settings, models: Pool | WarmModels) -> Iterator[str]:
    """Serve the application on a free loopback port; the value is its address, with a slash at its end."""
    engine = LocalEngine(models) if isinstance(models, Pool) else models
    config = uvicorn.Config(create_app(settings, engine), port=0, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()
