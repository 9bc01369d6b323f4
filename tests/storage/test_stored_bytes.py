"""The count of stored bytes, in both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.database import database_url
from storage.records import Records, Visual
from storage.stored_bytes import (
    StoredByOrganisation,
    StoredBytes,
    StoredShare,
    Usage,
    charged,
    expiry,
)
from storage.visual_sizes import VisualSizes
from tests.helpers.services import Postgres

KIB = 1 << 10
DAY = timedelta(days=1)
VISUAL = Visual("a", "0" * 16, "a/x.png", 4, 4)


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """An empty database."""
    if request.param == "sqlite":
        records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    else:
        server: Postgres = request.getfixturevalue("postgres")
        records = Records(database_url(server.database()))
    yield records
    records.close()


def test_everything_of_an_organisation_is_summed(records: Records) -> None:
    stored, sizes = StoredBytes(records.engine), VisualSizes(records.engine)
    records.add_visual(VISUAL, 100)
    records.add_visual(Visual("b", "1" * 16, "b/x.png", 4, 4), 7)
    sizes.set_map_size(VISUAL, 20)
    sizes.set_map_size(VISUAL, 30)  # computed twice, stored once
    records.add_results("a", VISUAL.visual_id, ["a/1.png", "a/2.png"], [1000, 2000])
    records.add_results("a", VISUAL.visual_id, ["a/1.png"], [1000])
    until = expiry(DAY)
    stored.add("a", 5, until)
    stored.add("a", 6, until)
    stored.add("b", 8, until)
    assert stored.usage("a") == Usage(1, 3130, [(until, 11)])
    assert stored.usage("a").total == 3141
    assert stored.usage("b").total == 15
    assert stored.usage("c") == Usage(0, 0, [])
    records.remove_visual("a", VISUAL.visual_id)
    assert stored.usage("a") == Usage(0, 0, [(until, 11)])


def test_counts_are_subtracted_and_expire(records: Records) -> None:
    stored = StoredBytes(records.engine)
    later, over = expiry(DAY), datetime.now(UTC) - timedelta(seconds=1)
    stored.add("a", 50, later)
    stored.add("a", -20, later)
    stored.add("a", 99, over)
    stored.flush()
    assert stored.usage("a").expiring == [(later, 30)]
    stored.sweep()
    stored.add("a", -1000, later)  # never less than nothing
    assert stored.usage("a").total == 0


def test_a_count_is_known_to_the_next_process(records: Records) -> None:
    until = expiry(DAY)
    first = StoredBytes(records.engine)
    first.add("a", 50, until)
    first.flush()
    second = StoredBytes(records.engine)
    second.add("a", 3, until)
    assert second.usage("a").expiring == [(until, 53)]
    second.flush()
    second.flush()
    assert first.usage("a").expiring == [(until, 53)]


def test_servers_on_postgresql_agree_at_once(postgres: Postgres) -> None:
    records = Records(database_url(postgres.database()))
    first, second = StoredBytes(records.engine), StoredBytes(records.engine)
    until = expiry(DAY)

    def add(number: int) -> None:
        (first if number % 2 else second).add(f"org{number % 5}", 1, until)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(200)))
    totals = [StoredBytes(records.engine).usage(f"org{number}").total for number in range(5)]
    records.close()
    assert totals == [40] * 5


def test_sqlite_is_not_written_for_each_request(tmp_path: Path) -> None:
    records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    stored, log = StoredBytes(records.engine), tmp_path / "records.db-wal"
    before = log.stat().st_size
    for _ in range(20):
        stored.add("a", 1, expiry(DAY))
    assert log.stat().st_size == before
    assert stored.usage("a").total == 20
    stored.flush()
    assert log.stat().st_size > before
    records.close()


def test_counts_wait_while_the_database_is_unavailable(tmp_path: Path) -> None:
    records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    stored, until = StoredBytes(records.engine), expiry(DAY)
    with records.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE stored_bytes RENAME TO away")
    stored.add("a", 9, until)
    stored.flush()
    with records.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO stored_bytes")
    stored.flush()
    assert StoredBytes(records.engine).usage("a").expiring == [(until, 9)]
    records.close()


def test_old_and_unmeasured_visuals_are_found(records: Records) -> None:
    sizes = VisualSizes(records.engine)
    records.add_visual(VISUAL)
    assert sizes.without_size(9) == [VISUAL]
    sizes.set_size(VISUAL, 77)
    assert sizes.without_size(9) == []
    assert StoredBytes(records.engine).usage("a").lasting == 77
    registered = datetime.now(UTC)
    assert sizes.registered_before(registered + DAY, 9) == [VISUAL]
    assert sizes.registered_before(registered - DAY, 9) == []
    sizes.renew(VISUAL)
    assert sizes.registered_before(registered, 9) == []


def test_when_bytes_fall_below_a_limit() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=number) for number in range(3)]
    usage = Usage(0, 100, [(hours[1], 20), (hours[0], 10), (hours[2], 30)])
    assert usage.total == 160
    assert usage.falls_below(155) == hours[0]
    assert usage.falls_below(150) == hours[1]
    assert usage.falls_below(101) == hours[2]
    assert usage.falls_below(100) is None


def test_what_an_object_counts_as() -> None:
    assert [charged(size) for size in (0, 1, 16 * KIB, 16 * KIB + 1)] == [
        16 * KIB,
        16 * KIB,
        16 * KIB,
        32 * KIB,
    ]


@pytest.mark.parametrize(("lifetime", "step"), [(86400, 3600), (240, 10), (1, 1)])
def test_expiry_is_never_before_the_lifetime_and_at_most_a_step_after(
    lifetime: int, step: int
) -> None:
    for second in (0, 1, 17, 3599, 3600):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
        late = expiry(timedelta(seconds=lifetime), now) - now
        assert timedelta(seconds=lifetime) < late <= timedelta(seconds=lifetime + step)


def test_organisations_are_listed_by_what_they_store(records: Records) -> None:
    stored = StoredBytes(records.engine)
    assert stored.by_organisation(10) == StoredByOrganisation([], 0, 0)
    records.add_visual(VISUAL, 100)
    records.add_visual(Visual("b", "1" * 16, "b/x.png", 4, 4), None)
    records.add_results("a", VISUAL.visual_id, ["a/1.png", "a/2.png"], [1000, 2000])
    stored.add("a", 5, expiry(DAY))
    stored.add("b", 7, expiry(DAY))
    stored.add("c", 4000, expiry(DAY))
    stored.add("d", 999, datetime.now(UTC) - timedelta(seconds=1))
    stored.flush()
    shares = [StoredShare("c", 4000, 0), StoredShare("a", 3105, 1), StoredShare("b", 7, 1)]
    assert stored.by_organisation(10) == StoredByOrganisation(shares, 7112, 3)
    assert stored.by_organisation(2) == StoredByOrganisation(shares[:2], 7112, 3)
    assert stored.usage("a").total == 3105
