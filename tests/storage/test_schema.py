"""A database that a newer version of Retouch has migrated, and one that is damaged."""

from importlib.metadata import version
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from storage.database import database_url, open_engine
from storage.errors import DatabaseUnavailableError, NewerSchemaError
from storage.records import Records
from tests.helpers.services import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """The address of an empty database."""
    if request.param == "sqlite":
        return database_url(f"sqlite:///{tmp_path}/records.db")
    server: Postgres = request.getfixturevalue("postgres")
    return database_url(server.database())


def execute(url: URL, *statements: str) -> None:
    """Execute SQL."""
    engine = open_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_with_that_version(url: URL) -> None:
    Records(url).close()
    newer = "UPDATE alembic_version SET version_num = '0009'"
    execute(url, newer, "UPDATE migrated_by SET revision = '0009', program = '3.1.4'")
    with pytest.raises(NewerSchemaError) as caught:
        Records(url)
    message = str(caught.value)
    assert message.startswith("the database was migrated by Retouch 3.1.4 to schema 0009;")
    assert f"this is Retouch {version('retouch')}," in message
    assert "Start Retouch 3.1.4 or newer" in message
    assert "\n" not in message


@pytest.mark.parametrize("change", ["DROP TABLE migrated_by", "DELETE FROM migrated_by"])
def test_without_its_record_the_newer_version_has_no_number(url: URL, change: str) -> None:
    Records(url).close()
    execute(url, "UPDATE alembic_version SET version_num = '0009'", change)
    with pytest.raises(NewerSchemaError, match="Start a newer version of Retouch,"):
        Records(url)


def test_a_refused_database_does_not_change(url: URL) -> None:
    Records(url).close()
    execute(url, "UPDATE alembic_version SET version_num = '0009'", "DROP TABLE migrated_by")
    with pytest.raises(NewerSchemaError):
        Records(url)
    engine = open_engine(url)
    assert "migrated_by" not in inspect(engine).get_table_names()
    engine.dispose()


def test_a_database_of_an_earlier_release_without_the_record_still_opens(url: URL) -> None:
    Records(url).close()
    execute(url, "DROP TABLE migrated_by")
    Records(url).close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 40, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_reported(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "records.db"
    file.write_bytes(content)
    with pytest.raises(DatabaseUnavailableError, match=r"not a database|malformed"):
        Records(database_url(f"sqlite:///{file}"))
    assert file.read_bytes() == content
