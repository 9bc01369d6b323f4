"""The command `retouch db`, on SQLite and PostgreSQL."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner, Result

from retouch.command import app
from server.settings import Settings
from storage.database import open_engine
from storage.folder_lock import FolderLock
from storage.records import Records
from storage.server_lease import ServerLease
from tests.helpers.services import Postgres

Run = Callable[..., Result]
NEWEST = "0008"


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `retouch db` on an empty database."""
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path / "data"))
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("RETOUCH_DATABASE_URL", server.database())
    return lambda *words: CliRunner().invoke(app, ["db", *words])


def tables() -> set[str]:
    """Return the names of the tables of the database."""
    engine = open_engine(Settings().records_url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def is_shared() -> bool:
    return Settings().database_url is not None


def test_an_upgrade_tells_what_it_does_and_a_second_one_does_nothing(run: Run) -> None:
    before = run("current")
    assert before.exit_code == 1
    if is_shared():
        assert "schema none; the newest is 0008" in before.stdout
    else:
        assert "there is no database yet" in before.stderr
    done = run("upgrade")
    assert done.exit_code == 0, done.output
    assert (
        "from nothing to 0008:\n  0001  the tables of visuals and their sessions\n" in done.stdout
    )
    assert "tokens" in tables()
    now = run("current")
    assert (now.exit_code, "schema 0008; the newest is 0008." in now.stdout) == (0, True)
    again = run("upgrade")
    assert (again.exit_code, "nothing to do" in again.stdout) == (0, True)


def test_a_downgrade_removes_what_later_revisions_added(run: Run) -> None:
    assert run("upgrade").exit_code == 0
    done = run("downgrade", "0006")
    assert done.exit_code == 0, done.output
    assert done.stdout.index("  0008  ") < done.stdout.index("  0007  the tables of tokens")
    assert "tokens" not in tables()
    behind = run("current")
    assert behind.exit_code == 1
    assert "schema 0006; the newest is 0008." in behind.stdout
    assert "  0007  " in behind.stdout
    assert run("upgrade").exit_code == 0
    assert "tokens" in tables()


@pytest.mark.parametrize("revision", [NEWEST, "9999", "head", "-1", "0000"])
def test_a_downgrade_needs_an_earlier_revision(revision: str, run: Run) -> None:
    assert run("upgrade").exit_code == 0
    refused = run("downgrade", "--", revision)
    assert refused.exit_code == 2
    assert "earlier ones: 0001, 0002," in refused.stderr
    assert run("current").exit_code == 0


def test_a_downgrade_without_a_revision_is_refused(run: Run) -> None:
    assert run("downgrade").exit_code == 2


def test_a_downgrade_is_refused_while_a_server_uses_the_database(run: Run) -> None:
    assert run("upgrade").exit_code == 0
    settings = Settings()
    with closing(
        ServerLease(settings.records_url) if is_shared() else FolderLock(settings.data_dir)
    ):
        refused = run("downgrade", "0007")
        assert refused.exit_code == 1
        assert "stop" in refused.stderr
        assert run("current").exit_code == 0
    assert run("downgrade", "0007").exit_code == 0


def test_no_message_has_the_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:9/none")
    for words in (["current"], ["upgrade"], ["downgrade", "0001"]):
        result = run(*words)
        assert result.exit_code == 1
        assert result.stderr.startswith("RETOUCH_DATABASE_URL: the database is unavailable")
        assert "hunter2" not in result.output


def test_a_database_of_a_newer_version_is_left_alone(run: Run) -> None:
    assert run("upgrade").exit_code == 0
    with closing(Records(Settings().records_url)) as records, records.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    for words in (["current"], ["upgrade"], ["downgrade", "0001"]):
        result = run(*words)
        assert result.exit_code == 2
        assert "to schema 0099" in result.stderr
