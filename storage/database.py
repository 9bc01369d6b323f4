"""Open the database: SQLite in the data folder, or PostgreSQL on a server."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.errors import DatabaseUnavailableError

_CONNECT_TIMEOUT_S = 3
_POOL_SIZE = 8
"""Connections that one process keeps open; it opens up to twice as many under load."""
_POOL_TIMEOUT_S = 5.0
_STATEMENT_TIMEOUT_MS = 15_000
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Settings of libpq: a database server that has vanished is noticed after about 15 s."""


def database_url(text: str) -> URL:
    """Return the parsed address of a database; raises ValueError if it is not SQLite or PostgreSQL.

    The error message never contains the address, because that may contain a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: for example an invalid port
        raise ValueError("not a database address") from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        return url
    raise ValueError(
        "a database address must be postgresql://user:password@host/name or sqlite:///file"
    )


def is_postgresql(url: URL) -> bool:
    """Whether a parsed address is that of a PostgreSQL database."""
    return url.get_backend_name() == "postgresql"


def open_engine(url: URL) -> Engine:
    """Return an engine for a database; it connects when a connection is first needed."""
    if is_postgresql(url):
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_SIZE,
            pool_timeout=_POOL_TIMEOUT_S,
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
                **_KEEPALIVES,
            },
        )
    engine = create_engine(url, pool_pre_ping=True)
    event.listen(engine, "connect", _configure_sqlite)
    return engine


@contextmanager
def wrap_database_errors() -> Iterator[None]:
    """Convert errors of a database that cannot be reached to DatabaseUnavailableError."""
    try:
        yield
    # InternalError: for example a database that is read-only during a failover.
    except (OperationalError, InterfaceError, InternalError, PoolTimeoutError) as error:
        raise DatabaseUnavailableError(_reason(error)) from error
    except DBAPIError as error:
        # SQLite raises the base class for a file that is damaged or no database.
        if error.connection_invalidated or type(error) is DatabaseError:
            raise DatabaseUnavailableError(_reason(error)) from error
        raise


def _reason(error: Exception) -> str:
    """Return an error's text without the SQL statement, which contains what callers sent."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"the database is unavailable: {str(cause).partition(chr(10))[0]}"


def _configure_sqlite(connection: object, _: object) -> None:
    """Allow reads during a write, wait for locks, and enforce foreign keys."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
