"""Records of visuals and sessions."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import URL

from storage.database import DatabaseUnavailable, database_url, open_engine
from storage.records import Base, EditSession, Records, Visual
from tests.services import Postgres

VISUAL = Visual("a", "8487fb411f3c6716", "a/8487fb411f3c6716/source.jpeg", 640, 480)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return database_url(f"sqlite:///{tmp_path}/records.db")
    return database_url(request.getfixturevalue("postgres").database())


@pytest.fixture
def records(url: URL) -> Iterator[Records]:
    """Records in it."""
    records = Records(url)
    yield records
    records.close()


def test_a_visual_is_found_by_its_organisation_alone(records: Records) -> None:
    assert records.add_visual(VISUAL)
    assert records.visual("a", VISUAL.visual_id) == VISUAL
    assert records.visual("b", VISUAL.visual_id) is None


def test_a_known_visual_is_told(records: Records) -> None:
    assert records.add_visual(VISUAL)
    assert not records.add_visual(VISUAL)


def test_records_outlive_the_process(records: Records, url: URL) -> None:
    records.add_visual(VISUAL)
    again = Records(url)
    assert again.visual("a", VISUAL.visual_id) == VISUAL
    again.close()


def test_a_session_is_of_one_visual_of_one_organisation(records: Records) -> None:
    records.add_visual(VISUAL)
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png", ("p1", "p2"))
    assert records.add_session("a", edit)
    assert records.add_session("a", edit)
    assert records.session("a", VISUAL.visual_id, "x.JPEG") == edit
    assert records.session("b", VISUAL.visual_id, "x.JPEG") is None
    assert records.session("a", "0" * 16, "x.JPEG") is None


def test_a_removed_visual_takes_its_sessions_along(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    assert records.remove_visual("b", VISUAL.visual_id) == []
    assert records.visual("a", VISUAL.visual_id) == VISUAL
    assert records.remove_visual("a", VISUAL.visual_id) == ["a/x.png"]
    assert records.visual("a", VISUAL.visual_id) is None
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None


def test_old_sessions_are_swept(records: Records) -> None:
    records.add_visual(VISUAL)
    records.add_session("a", EditSession("x.JPEG", VISUAL.visual_id, "a/x.png"))
    assert records.sweep_sessions(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert records.sweep_sessions(datetime.now(UTC) + timedelta(hours=1)) == 1


def test_migrations_lead_to_the_schema(records: Records, url: URL) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert difference == []


def test_a_result_of_a_forgotten_visual_is_not_remembered(records: Records) -> None:
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png")
    assert not records.add_session("a", edit)
    assert records.session("a", VISUAL.visual_id, "x.JPEG") is None


def test_of_many_who_register_at_once_one_is_first(records: Records) -> None:
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png")
    with ThreadPoolExecutor(8) as callers:
        first = list(callers.map(lambda _: records.add_visual(VISUAL), range(16)))
        kept = list(callers.map(lambda _: records.add_session("a", edit), range(16)))
    assert first.count(True) == 1
    assert all(kept)


def test_removing_a_visual_while_results_come_leaves_none(records: Records) -> None:
    records.add_visual(VISUAL)

    def come(n: int) -> None:
        records.add_session("a", EditSession(f"{n}.JPEG", VISUAL.visual_id, f"a/{n}.png"))

    with ThreadPoolExecutor(4) as callers:
        coming = [callers.submit(come, n) for n in range(40)]
        records.remove_visual("a", VISUAL.visual_id)
        for one in coming:
            one.result(30)
    assert all(records.session("a", VISUAL.visual_id, f"{n}.JPEG") is None for n in range(40))


def test_a_database_that_is_away_is_said_to_be(postgres: Postgres) -> None:
    records = Records(database_url(postgres.database()))
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            records.visual("a", VISUAL.visual_id)
        with pytest.raises(DatabaseUnavailable):
            records.add_visual(VISUAL)
    finally:
        postgres.start()
    assert records.add_visual(VISUAL)
    records.close()


@pytest.mark.parametrize("text", ["mysql://a/b", "nonsense", "http://x", ""])
def test_what_is_no_database_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="database"):
        database_url(text)
