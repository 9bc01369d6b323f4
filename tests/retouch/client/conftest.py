"""Servers with fake models, and clients that look and try again at once."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from storage import records
from tests.helpers.both_clients import Serve, Served
from tests.helpers.fake_models import FakeModels
from tests.helpers.migrated_database import MigratedDatabase


@pytest.fixture(scope="package")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> MigratedDatabase:
    """A database that is migrated once."""
    return MigratedDatabase(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabase) -> Iterator[Serve]:
    """Start the server of a module, which may fetch pictures from this machine and send webhooks to it.

    A process can have one queue of jobs at a time.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(records, "migrate", migrated.migrate)

        def start(models: FakeModels, **given: Any) -> Served:
            folder: Path = tmp_path_factory.mktemp("served")
            settings: dict[str, Any] = {
                "api_tokens": "a:secret-a",
                "allowed_url_networks": "127.0.0.0/8",
                "workers": 2,
                **given,
            }
            app = create_app(Settings(data_dir=folder, **settings), models)
            http = TestClient(app, raise_server_exceptions=False)
            return Served(stack.enter_context(http), app)

        yield start


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients look and try again at once."""
    for name in ("_FIRST_POLL_S", "_LONGEST_POLL_S", "_LONGEST_PAUSE_S"):
        monkeypatch.setattr(f"retouch.client.calls.{name}", 0.01)
