"""Records of visuals and sessions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from storage.records import Base, EditSession, Records, Visual

VISUAL = Visual("a", "8487fb411f3c6716", "a/8487fb411f3c6716/source.jpeg", 640, 480)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A fresh database."""
    return f"sqlite:///{tmp_path}/records.db"


@pytest.fixture
def records(url: str) -> Iterator[Records]:
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


def test_records_outlive_the_process(records: Records, url: str) -> None:
    records.add_visual(VISUAL)
    again = Records(url)
    assert again.visual("a", VISUAL.visual_id) == VISUAL
    again.close()


def test_a_session_is_of_one_visual_of_one_organisation(records: Records) -> None:
    records.add_visual(VISUAL)
    edit = EditSession("x.JPEG", VISUAL.visual_id, "a/x.png", ("p1", "p2"))
    records.add_session("a", edit)
    records.add_session("a", edit)
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


def test_migrations_lead_to_the_schema(records: Records, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert difference == []
