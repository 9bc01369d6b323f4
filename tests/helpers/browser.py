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
_LIMIT_S = 120.0
"""How long a server may take to start, and to end, on a busy machine."""


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
    # A daemon: a server that does not end must not keep the tests from telling so.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _LIMIT_S
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(_LIMIT_S)
    assert not thread.is_alive(), "the server did not end in time"
