"""What each server of a PostgreSQL database has in work, by organisation, as it last published it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, DateTime, Engine, String, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import wrap_database_errors
from storage.records import Base

LIFETIME_S = 5.0
"""A server's counts hold for so many seconds after it published them; it does so every second."""
_KEPT_S = 3600
"""Age in seconds at which the row of a server that has ended is swept."""


@dataclass(frozen=True)
class InWork:
    """Requests of one organisation that one server has in work.

    requests: how many. seconds: after which they are expected to be done.
    """

    requests: int
    seconds: int


@dataclass(frozen=True)
class Published:
    """What another server has in work. age_s: seconds since it published that, below `LIFETIME_S`."""

    age_s: float
    counts: Mapping[str, InWork]


class RequestsInWorkRow(Base):
    """What one server has in work, by organisation. Only PostgreSQL has rows."""

    __tablename__ = "requests_in_work"
    server: Mapped[str] = mapped_column(String(64), primary_key=True)
    published: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    counts: Mapped[dict[str, list[int]]] = mapped_column(JSONB().with_variant(JSON, "sqlite"))


_EXCHANGE = text("""
WITH own AS (
    INSERT INTO requests_in_work (server, published, counts)
    VALUES (:server, clock_timestamp(), :counts)
    ON CONFLICT (server) DO UPDATE SET published = excluded.published, counts = excluded.counts
), others AS (
    SELECT extract(epoch FROM clock_timestamp() - published)::float AS age, counts
    FROM requests_in_work WHERE server <> :server
)
SELECT age, counts FROM others WHERE age < :lifetime
""").bindparams(bindparam("counts", type_=JSONB()))
"""One statement is one round trip. All ages are by the database's clock, so that no other one matters."""

_SWEEP = text("""
DELETE FROM requests_in_work WHERE published < clock_timestamp() - make_interval(secs => :kept)
""")


class RequestsInWork:
    """The table in which servers tell each other what they have in work.

    It is UNLOGGED, because what it holds is worth no wait for a disk; a crash of the database server empties
    it for a second. server: the name of this one.
    """

    def __init__(self, engine: Engine, server: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._server = server

    def exchange(self, counts: Mapping[str, InWork]) -> list[Published]:
        """Publish what this server has in work; return that of the others that are alive.

        Raises DatabaseUnavailableError.
        """
        values = {name: [one.requests, one.seconds] for name, one in counts.items()}
        names = {"server": self._server, "counts": values, "lifetime": LIFETIME_S}
        with wrap_database_errors(), self._engine.connect() as connection:
            rows = connection.execute(_EXCHANGE, names).all()
        return [
            Published(max(age, 0.0), {name: InWork(*one) for name, one in found.items()})
            for age, found in rows
        ]

    def sweep(self) -> None:
        """Remove the rows of servers that have ended; raises DatabaseUnavailableError."""
        with wrap_database_errors(), self._engine.connect() as connection:
            connection.execute(_SWEEP, {"kept": _KEPT_S})
