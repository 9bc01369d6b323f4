"""A server with fake models, and clients for it."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from storage import records
from tests.helpers.fake_models import FakeModels
from tests.helpers.migrated_database import MigratedDatabase
from tests.helpers.requests import TOKEN


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> MigratedDatabase:
    """A database that is migrated once."""
    return MigratedDatabase(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="module", autouse=True)
def copied_databases(migrated_database: MigratedDatabase) -> Iterator[None]:
    """Let servers copy their new databases; the tests of storage and of processes migrate theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "migrate", migrated_database.migrate)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server with two organisations and its data in the test's folder."""
    return Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b", workers=2)


@pytest.fixture
def fakes() -> FakeModels:
    """The fake models of `client`."""
    return FakeModels()


@pytest.fixture
def client(settings: Settings, fakes: FakeModels) -> Iterator[TestClient]:
    """A client of a running server; it sends the token of organisation a."""
    app = create_app(settings, fakes)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


@pytest.fixture
def read(client: TestClient) -> Callable[[httpx.Response], Image.Image]:
    """Return the picture at the result_url of an answer."""

    def read_result(answer: httpx.Response) -> Image.Image:
        assert answer.status_code == 200, answer.text
        link = urlsplit(answer.json()["result_url"])
        result = client.get(f"{link.path}?{link.query}", headers={"api_token": ""})
        assert result.status_code == 200
        return Image.open(io.BytesIO(result.content))

    return read_result
