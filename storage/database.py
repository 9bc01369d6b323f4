"""How databases are opened: SQLite beside the data, or PostgreSQL elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoConnection

from storage.errors import DatabaseUnavailableError

_CONNECT_S = 3
_POOL = 8
"""Connections kept by one process, and as many again under load."""
_POOL_WAIT_S = 5.0
_STATEMENT_MS = 15_000
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""libpq's: a database whose machine has gone is noticed in about 15 s."""


def database_url(text: str) -> URL:
    """Read a database's address; raises ValueError for what is neither SQLite nor PostgreSQL.

    The error never repeats the address: it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: a port that is none, or half a password
        raise ValueError("not a database address") from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        return url
    raise ValueError("a database is postgresql://user:password@host/name or sqlite:///file")


def is_postgresql(url: URL) -> bool:
    """Whether an address is that of a PostgreSQL database."""
    return url.get_backend_name() == "postgresql"


def open_engine(url: URL) -> Engine:
    """Open a database; connections are made as they are needed."""
    if is_postgresql(url):
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=_POOL,
            max_overflow=_POOL,
            pool_timeout=_POOL_WAIT_S,
            connect_args={
                "connect_timeout": _CONNECT_S,
                "options": f"-c statement_timeout={_STATEMENT_MS}",
                **_KEEPALIVES,
            },
        )
    engine = create_engine(url, pool_pre_ping=True)
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


@contextmanager
def reaching_database() -> Iterator[None]:
    """Turn errors of a database that is away into DatabaseUnavailableError."""
    try:
        yield
    # InternalError: among others a database that takes no writes while another one takes over.
    except (OperationalError, InterfaceError, InternalError, NoConnection) as error:
        raise DatabaseUnavailableError(_reason(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailableError(_reason(error)) from error
        raise


def _reason(error: Exception) -> str:
    """Say what went wrong without the statement, which holds what callers sent."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"the database is unavailable: {str(cause).partition(chr(10))[0]}"


def _set_up_sqlite(connection: object, _: object) -> None:
    """Let readers read while one writes, wait for locks, and keep foreign keys."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
