"""Records of visuals and sessions."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import URL

from storage.database import database_url, open_engine
from storage.errors import DatabaseUnavailableError
from storage.idempotency import IdempotencyRow
from storage.records import EditSession, Records, Visual
from tests.helpers.services import Postgres

T = TypeVar("T")
VISUAL = Visual("a", "8487fb411f3c6716", "a/8487fb411f3c6716/source.jpeg", 640, 480)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A new database of each kind."""
    if request.param == "sqlite":
        return database_url(f"sqlite:///{tmp_path}/records.db")
    return database_url(request.getfixturevalue("postgres").database())


@pytest.fixture
def records(url: URL) -> Iterator[Records]:
    """The records in a new database."""
    records = Records(url)
    yield records
    records.close()


def test_only_its_organisation_finds_a_visual(records: Records) -> None:
    assert records.add_visual(VISUAL)
    assert records.visual("a", VISUAL.visual_id) == VISUAL
    assert records.visual("b", VISUAL.visual_id) is None


def test_registering_a_known_visual_reports_it(records: Records) -> None:
    assert records.add_visual(VISUAL)
    assert not records.add_visual(VISUAL)


def test_records_survive_a_restart(records: Records, url: URL) -> None:
    records.add_visual(VISUAL)
    again = Records(url)
    assert again.visual("a", VISUAL.visual_id) == VISUAL
    again.close()


def test_a_session_belongs_to_one_visual_of_one_organisation(records: Records) -> None:
    records.add_visual(VISUAL)
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png", ("p1", "p2"))
    assert records.add_session("a", edit)
    assert records.add_session("a", edit)
    assert records.session("a", VISUAL.visual_id, "x.JPEG") == edit
    assert records.session("b", VISUAL.visual_id, "x.JPEG") is None
    assert records.session("a", "0" * 16, "x.JPEG") is None


def test_removing_a_visual_removes_its_sessions(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    assert records.remove_visual("b", VISUAL.visual_id) == []
    assert records.visual("a", VISUAL.visual_id) == VISUAL
    assert records.remove_visual("a", VISUAL.visual_id) == ["a/x.png"]
    assert records.visual("a", VISUAL.visual_id) is None
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None


def test_removing_a_visual_returns_and_removes_its_results(records: Records) -> None:
    records.add_visual(VISUAL)
    other = replace(VISUAL, organisation="b", source_key="b/source.jpeg")
    records.add_visual(other)
    assert records.add_results("a", VISUAL.visual_id, ["a/1.psd", "a/2.zip"])
    assert records.add_results("a", VISUAL.visual_id, ["a/2.zip", "a/3.png"])
    assert records.add_results("b", VISUAL.visual_id, ["b/1.psd"])
    assert records.results("a", VISUAL.visual_id) == ["a/1.psd", "a/2.zip", "a/3.png"]
    assert records.has_result("a", "a/2.zip")
    assert not records.has_result("b", "a/2.zip")
    records.remove_results("b", ["a/3.png"])
    records.remove_results("a", ["a/3.png"])
    # An earlier version recorded the session only.
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    assert sorted(records.remove_visual("a", VISUAL.visual_id)) == ["a/1.psd", "a/2.zip", "a/x.png"]
    assert not records.has_result("a", "a/2.zip")
    assert records.results("b", VISUAL.visual_id) == ["b/1.psd"]


def test_results_of_a_removed_visual_are_not_added(records: Records) -> None:
    records.add_visual(VISUAL)
    records.remove_visual("a", VISUAL.visual_id)
    assert not records.add_results("a", VISUAL.visual_id, ["a/1.psd"])
    assert not records.has_result("a", "a/1.psd")


def test_old_results_and_sessions_are_deleted(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    records.add_results("a", VISUAL.visual_id, ["a/x.png", "a/y.zip"])
    assert records.sweep_results(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is not None
    assert records.sweep_results(datetime.now(UTC) + timedelta(hours=1)) == 2
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None
    assert records.results("a", VISUAL.visual_id) == []


def test_the_migrations_create_the_schema(records: Records, url: URL) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        # storage/schema.py makes that table without a migration.
        others = {"include_name": lambda name, kind, _: kind != "table" or name != "migrated_by"}
        context = MigrationContext.configure(connection, opts=others)
        difference = compare_metadata(context, IdempotencyRow.metadata)
    engine.dispose()
    assert difference == []


def test_a_session_of_a_removed_visual_is_not_stored(records: Records) -> None:
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png")
    assert not records.add_session("a", edit)
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None


def test_concurrent_registrations_have_one_first(records: Records) -> None:
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png")
    with ThreadPoolExecutor(8) as callers:
        first = list(callers.map(lambda _: records.add_visual(VISUAL), range(16)))
        stored = list(callers.map(lambda _: records.add_session("a", edit), range(16)))
    assert first.count(True) == 1
    assert all(stored)


def test_removing_a_visual_while_sessions_are_added_leaves_none(records: Records) -> None:
    records.add_visual(VISUAL)

    def come(n: int) -> None:
        records.add_session("a", EditSession(f"{n}.JPEG", VISUAL.visual_id, f"a/{n}.png"))

    with ThreadPoolExecutor(4) as callers:
        coming = [callers.submit(come, n) for n in range(40)]
        records.remove_visual("a", VISUAL.visual_id)
        for one in coming:
            one.result(30)
    assert all(records.session("a", VISUAL.visual_id, f"{n}.JPEG") is None for n in range(40))


def test_an_unavailable_database_is_reported(postgres: Postgres) -> None:
    records = Records(database_url(postgres.database()))
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailableError):
            records.visual("a", VISUAL.visual_id)
        with pytest.raises(DatabaseUnavailableError):
            records.add_visual(VISUAL)
    finally:
        postgres.start()
    assert records.add_visual(VISUAL)
    records.close()


@pytest.mark.parametrize("text", ["mysql://a/b", "nonsense", "http://x", ""])
def test_an_invalid_database_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="database"):
        database_url(text)


def test_a_known_sid_is_not_overwritten(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    assert records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/other.png"))
    found = records.session("a", VISUAL.visual_id, "x.JPEG")
    assert found is not None
    assert found.result_key == "a/x.png"


def test_only_its_organisation_can_remove_a_session(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    records.remove_session("b", "x.JPEG")
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is not None
    records.remove_session("a", "x.JPEG")
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Run calls at the same moment, each in its own thread."""
    together = threading.Barrier(len(calls))

    def call(one: Callable[[], T]) -> T:
        together.wait(10)
        return one()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


def test_removing_a_visual_while_sessions_are_added_returns_every_stored_key(
    records: Records,
) -> None:
    for number in range(20):
        visual = replace(VISUAL, visual_id=f"{number:016x}")
        records.add_visual(visual)
        edits = [
            EditSession(f"{number}-{n}.JPEG", visual.visual_id, f"a/{number}-{n}.png")
            for n in range(6)
        ]

        def add(edit: EditSession) -> list[str]:
            return [edit.result_key] if records.add_session("a", edit) else []

        adding = [partial(add, edit) for edit in edits]
        removing = partial(records.remove_visual, "a", visual.visual_id)
        *stored, removed = at_once(*adding, removing)
        assert sorted(removed) == sorted(itertools.chain(*stored))
        assert all(records.session("a", visual.visual_id, edit.sid) is None for edit in edits)


_START = """
import sys
from storage.database import database_url
from storage.records import Records
sys.stdin.read()
records = Records(database_url(sys.argv[1]))
records.visual("a", "0" * 16)
records.close()
"""


def test_several_servers_can_migrate_a_new_database_at_once(url: URL) -> None:
    root = Path(__file__).parents[2]
    address = url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _START, address]
    servers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
        for _ in range(4)
    ]
    for server in servers:
        assert server.stdin is not None
        server.stdin.close()
        server.stdin = None  # start all at the same moment
    for server in servers:
        _, output = server.communicate(timeout=60)
        assert server.returncode == 0, output.decode()


def test_a_read_only_database_is_reported_as_unavailable(postgres: Postgres) -> None:
    url = database_url(postgres.database())
    Records(url).close()
    engine = open_engine(url)
    with engine.begin() as connection:
        read_only = f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on'
        connection.exec_driver_sql(read_only)
    engine.dispose()
    standby = Records(url)
    with pytest.raises(DatabaseUnavailableError):
        standby.add_visual(VISUAL)
    standby.close()


@pytest.mark.parametrize("text", ["mysql://u:hidden@h/x", "postgresql://u@h:hidden/x", "hidden"])
def test_an_invalid_database_url_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="database") as output:
        database_url(text)
    assert "hidden" not in str(output.value)
