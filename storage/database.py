"""Open the database: SQLite in the data folder, or PostgreSQL on a server.

A call of PostgreSQL ends after 15 s at the latest, whatever becomes of the database
(`storage.limited_connection`). SQLite waits 10 s for a lock; nothing can interrupt it while its disk hangs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
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
from sqlalchemy.orm import Session

from storage.breaker import PROBE_LIMIT_S, Breaker
from storage.counts import SERVICE_ERRORS
from storage.errors import DatabaseUnavailableError
from storage.limited_connection import DatabaseProbe, limit_connections

_CONNECT_TIMEOUT_S = 3
_POOL_SIZE = 8
"""Connections that one process keeps open; it opens up to twice as many under load."""
_POOL_TIMEOUT_S = 5.0
_STATEMENT_TIMEOUT_MS = 15_000
"""The database's own limit of a statement; `CALL_LIMIT_S` is the same on our side."""
_IDLE_TRANSACTION_TIMEOUT_MS = 60_000
"""As DBOS sets it: a process that stops in a transaction holds its locks no longer."""
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


def libpq_address(url: URL) -> str:
    """Return the address of a PostgreSQL database for libpq, including the password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def database_breaker(url: URL) -> Breaker:
    """Return the breaker of a PostgreSQL database; it is not started yet."""
    settings = {"connect_timeout": _CONNECT_TIMEOUT_S, **_KEEPALIVES}
    probe = DatabaseProbe(libpq_address(url), settings, PROBE_LIMIT_S)
    return Breaker("database", probe, DatabaseUnavailableError, probe.close)


def open_engine(url: URL, breaker: Breaker | None = None) -> Engine:
    """Return an engine for a database; it connects when a connection is first needed.

    breaker: of a PostgreSQL database; while it is open every call fails at once.
    """
    if is_postgresql(url):
        engine = create_engine(
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
        limit_connections(engine, breaker)
        return engine
    engine = create_engine(url, pool_pre_ping=True)
    event.listen(engine, "connect", _configure_sqlite)
    return engine


def open_queue_engine(url: URL, breaker: Breaker | None, pool_size: int) -> Engine:
    """Return an engine for the workflows in a PostgreSQL database, which wait while it does not answer.

    A workflow must not fail because of an outage, and DBOS retries its calls without end, with pauses of up
    to 90 s; so it goes on at once when the database is back. pool_size: the most connections.
    """
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": f"-c idle_in_transaction_session_timeout={_IDLE_TRANSACTION_TIMEOUT_MS}",
            **_KEEPALIVES,
        },
    )
    limit_connections(engine, breaker, patient=True)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Commit what is done within the context, or nothing; raises DatabaseUnavailableError."""
    with wrap_database_errors(), Session(engine) as session, session.begin():
        yield session


@contextmanager
def wrap_database_errors() -> Iterator[None]:
    """Convert errors of a database that cannot be reached to DatabaseUnavailableError."""
    try:
        yield
    # InternalError: for example a database that is read-only during a failover. That of psycopg: SQLAlchemy
    # passes on as it is what fails when a connection is given back.
    except (
        OperationalError,
        InterfaceError,
        InternalError,
        PoolTimeoutError,
        psycopg.OperationalError,
    ) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        # SQLite raises the base class for a file that is damaged or no database.
        if error.connection_invalidated or type(error) is DatabaseError:
            raise _unavailable(error) from error
        raise


def _unavailable(error: Exception) -> DatabaseUnavailableError:
    SERVICE_ERRORS.add("database")
    return DatabaseUnavailableError(_reason(error))


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
