"""The sizes and the ages of registered pictures."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, and_, select, update

from storage.database import transaction
from storage.records import Visual, VisualRow, visual_of


class VisualSizes:
    """Reads and writes the sizes and ages of visuals. Threads may share it, and processes the database.

    Every method raises DatabaseUnavailableError if the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set_size(self, visual: Visual, size: int) -> None:
        """Store the size of a visual's picture, in bytes."""
        with transaction(self._engine) as session:
            session.execute(update(VisualRow).where(_is(visual)).values(bytes=size))

    def set_map_size(self, visual: Visual, size: int) -> None:
        """Store the size of a visual's panoptic map, in bytes."""
        with transaction(self._engine) as session:
            session.execute(update(VisualRow).where(_is(visual)).values(map_bytes=size))

    def renew(self, visual: Visual) -> None:
        """Count a visual's age from now on."""
        with transaction(self._engine) as session:
            session.execute(
                update(VisualRow).where(_is(visual)).values(registered=datetime.now(UTC))
            )

    def without_size(self, limit: int) -> Sequence[Visual]:
        """Return at most `limit` visuals whose size is not stored: an earlier version registered them."""
        return self._find(VisualRow.bytes.is_(None), limit)

    def registered_before(self, time: datetime, limit: int) -> Sequence[Visual]:
        """Return at most `limit` visuals that were registered before a time, the oldest first."""
        return self._find(VisualRow.registered < time, limit)

    def _find(self, condition: ColumnElement[bool], limit: int) -> Sequence[Visual]:
        found = select(VisualRow).where(condition).order_by(VisualRow.registered).limit(limit)
        with transaction(self._engine) as session:
            return [visual_of(row) for row in session.scalars(found)]


def _is(visual: Visual) -> ColumnElement[bool]:
    return and_(
        VisualRow.organisation == visual.organisation, VisualRow.visual_id == visual.visual_id
    )
