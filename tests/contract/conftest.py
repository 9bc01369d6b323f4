"""Fixtures: the API under test, either this server with its real models or the hosted API."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.contract.api import FILES, Api
from tests.helpers.file_server import file_server

URL = os.environ.get("RETOUCH_CONTRACT_URL", "").rstrip("/")
TOKEN = os.environ.get("RETOUCH_CONTRACT_TOKEN", "contract")
PICTURES = os.environ.get("RETOUCH_CONTRACT_PICTURES", "").rstrip("/")


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """This server in this process; the hosted API if RETOUCH_CONTRACT_URL is set."""
    header = {"api_token": TOKEN}
    with ExitStack() as stack:
        if URL:
            client = stack.enter_context(httpx.Client(headers=header, timeout=120))
            anonymous = stack.enter_context(httpx.Client(timeout=120))
            yield Api(client, anonymous, URL, True, PICTURES or None)
            return
        lite: Pool = request.getfixturevalue("lite")
        settings = _settings(tmp_path_factory.mktemp("contract"))
        app = create_app(settings, LocalEngine(lite))
        pictures = stack.enter_context(file_server(FILES))
        client = stack.enter_context(TestClient(app, headers=header))
        yield Api(client, TestClient(app), "/v1", False, pictures)


def _settings(data_dir: Path) -> Settings:
    networks: Any = "127.0.0.0/8"
    tokens: Any = f"contract:{TOKEN}"
    return Settings(data_dir=data_dir, api_tokens=tokens, allowed_url_networks=networks, workers=2)
