"""The table in which servers tell each other what they have in work."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from storage.database import database_url
from storage.errors import DatabaseUnavailableError
from storage.records import Records
from storage.requests_in_work import InWork, Published, RequestsInWork
from tests.helpers.services import Postgres

ONE, TWO = {"a": InWork(3, 12), "b": InWork(1, 1)}, {"a": InWork(5, 7)}


@pytest.fixture
def records(postgres: Postgres) -> Iterator[Records]:
    """The records in a new database of PostgreSQL."""
    records = Records(database_url(postgres.database()))
    yield records
    records.close()


@pytest.fixture
def one(records: Records) -> RequestsInWork:
    """The table as the first server uses it."""
    return RequestsInWork(records.engine, "one")


@pytest.fixture
def two(records: Records) -> RequestsInWork:
    """The table as the second server uses it."""
    return RequestsInWork(records.engine, "two")


def execute(records: Records, statement: str) -> None:
    """Execute SQL."""
    with records.engine.begin() as connection:
        connection.execute(text(statement))


def counts(found: list[Published]) -> list[dict[str, InWork]]:
    """Return what other servers have published."""
    return [dict(server.counts) for server in found]


def test_each_server_gets_what_the_others_have_published_last(
    one: RequestsInWork, two: RequestsInWork
) -> None:
    assert one.exchange(ONE) == []
    (found,) = two.exchange(TWO)
    assert found.counts == ONE
    assert 0 <= found.age_s < 5
    assert counts(one.exchange({})) == [TWO]
    assert counts(two.exchange({})) == [{}]


def test_the_counts_of_a_server_that_publishes_no_more_vanish(
    records: Records, one: RequestsInWork, two: RequestsInWork
) -> None:
    one.exchange(ONE)
    assert counts(two.exchange({})) == [ONE]
    execute(
        records,
        "UPDATE requests_in_work SET published = published - interval '5 s' WHERE server = 'one'",
    )
    assert two.exchange({}) == []
    one.exchange(TWO)
    assert counts(two.exchange({})) == [TWO]


def test_the_sweep_removes_servers_that_have_ended(
    records: Records, one: RequestsInWork, two: RequestsInWork
) -> None:
    one.exchange(ONE)
    two.exchange(TWO)
    execute(
        records,
        "UPDATE requests_in_work SET published = published - interval '2 h' WHERE server = 'one'",
    )
    two.sweep()
    with records.engine.connect() as connection:
        rows = connection.execute(text("SELECT server, counts FROM requests_in_work")).all()
    assert [tuple(row) for row in rows] == [("two", {"a": [5, 7]})]


def test_no_server_waits_for_a_disk(records: Records) -> None:
    with records.engine.connect() as connection:
        kind = "SELECT relpersistence FROM pg_class WHERE relname = 'requests_in_work'"
        assert connection.scalar(text(kind)) == "u"


def test_a_database_that_is_away_is_reported(
    postgres: Postgres, one: RequestsInWork, two: RequestsInWork
) -> None:
    one.exchange(ONE)
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailableError):
            two.exchange(TWO)
        with pytest.raises(DatabaseUnavailableError):
            two.sweep()
    finally:
        postgres.start()
    # A crash has emptied the table; the next exchange brings the counts back.
    assert one.exchange(ONE) == []
    assert counts(two.exchange(TWO)) == [ONE]
