"""Connections to PostgreSQL whose every call has a time limit in this process.

The limits of PostgreSQL and of TCP do not help against a database that hangs: a stopped process cancels
no statement, and its kernel still acknowledges packets.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.errors import ConnectionTimeout, OperationalError
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event

from storage.breaker import Breaker

CALL_LIMIT_S = 15.0
"""Limit of one call: a statement, a commit, a rollback, a ping. Connecting has a shorter one."""


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed when a call takes longer than its limit; the call then fails.

    All calls of psycopg that wait for the database pass through `wait`, which this class limits.

    limit_s: of one call, in seconds. breaker: refuses calls while it is open. patient: calls wait for
    the breaker instead, and are only stopped while it is open; without a breaker they have no limit.
    For the threads of DBOS, which would retry anyway, and for migrations. While the server shuts down, an
    open breaker also stops the calls that have begun.
    """

    limit_s = CALL_LIMIT_S
    breaker: Breaker | None = None
    patient = False

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Run a call of psycopg; raises OperationalError after the limit, and while the breaker is open."""
        self._pass_breaker()
        return super().wait(self._limited(gen), *args, **kwargs)

    def rollback(self) -> None:
        """Roll back; while the breaker is open by closing the connection, which has the same effect."""
        if self.breaker is None or self.breaker.reason is None or self.patient:
            super().rollback()
        elif self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.pgconn.finish()

    def _pass_breaker(self) -> None:
        if self.breaker is None or (reason := self.breaker.reason) is None:
            return
        if self.patient:
            self.breaker.wait()
            return
        # A transaction cannot be ended now. And the ping of an idle connection must find it closed:
        # SQLAlchemy passes on any other error as it is, so that nobody takes it for an outage.
        self.pgconn.finish()
        raise OperationalError(reason)

    def _limited(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Yield what a call waits for, and get what is ready: nothing ten times a second."""
        deadline = time.monotonic() + self.limit_s
        try:
            waited_for = next(gen)
            while True:
                ready = yield waited_for
                if not ready and (time.monotonic() > deadline or self._is_given_up()):
                    self._stop_if_active()
                waited_for = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _is_given_up(self) -> bool:
        """Whether the server shuts down and the database does not answer."""
        breaker = self.breaker
        return breaker is not None and breaker.is_ending and breaker.reason is not None

    def _stop_if_active(self) -> None:
        """Close the connection and raise, unless it only listens, or may wait for longer."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        reason = None if self.breaker is None else self.breaker.reason
        if self.patient and reason is None:
            return
        self.pgconn.finish()
        text = reason or f"the database has not answered for {self.limit_s:.0f} s"
        if self.breaker is not None:
            self.breaker.trip(text)
        raise OperationalError(text)


def limit_connections(engine: Engine, breaker: Breaker | None, *, patient: bool = False) -> None:
    """Let an engine of PostgreSQL use limited connections; see LimitedConnection."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, settings: Any) -> LimitedConnection:
        reason = None if breaker is None else breaker.reason
        if breaker is not None and reason is not None and not (patient and breaker.wait()):
            # DBOS retries what "connection failed" begins.
            raise OperationalError(f"connection failed: {reason}")
        try:
            connection = LimitedConnection.connect(*args, **settings)
        except ConnectionTimeout:
            if breaker is not None:
                breaker.probe_soon()
            raise
        connection.breaker, connection.patient = breaker, patient
        return connection

    _close_after_disposal(engine)


def _close_after_disposal(engine: Engine) -> None:
    """Close connections that come back after their engine was disposed: its pool has forgotten them."""
    disposed = threading.Event()

    @event.listens_for(engine, "engine_disposed")
    def note(_: Engine) -> None:
        disposed.set()

    @event.listens_for(engine, "checkin")
    def close(connection: Any, _: Any) -> None:
        if disposed.is_set() and connection is not None:
            connection.close()


def limited_connection(connection: Connection) -> LimitedConnection:
    """Return the limited connection of a connection of SQLAlchemy to PostgreSQL."""
    limited: object = connection.connection.dbapi_connection
    if not isinstance(limited, LimitedConnection):
        raise TypeError(f"{type(limited).__name__} has no limit")
    return limited


@contextmanager
def patience(connection: Connection) -> Iterator[None]:
    """Let the calls of a connection to PostgreSQL take as long as they take; they are migrations."""
    limited = limited_connection(connection)
    limited.patient = True
    try:
        yield
    finally:
        limited.patient = False


class DatabaseProbe:
    """Asks a PostgreSQL database for an answer, on a connection of its own."""

    def __init__(self, conninfo: str, settings: dict[str, Any], limit_s: float) -> None:
        """conninfo: the address for libpq. settings: of libpq. limit_s: for one answer."""
        self._conninfo = conninfo
        self._settings = settings
        self._limit_s = limit_s
        self._connection: LimitedConnection | None = None

    def __call__(self) -> None:
        """Return if the database answers; raises psycopg.Error if it does not."""
        connection, self._connection = self._connection, None
        if connection is not None and not self._is_broken(connection):
            self._connection = connection
            return
        self._connection = self._connect()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_broken(self, connection: LimitedConnection) -> bool:
        """Whether an old connection has ended; raises psycopg.Error if the database does not answer."""
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            connection.close()
            return True
        return False

    def _connect(self) -> LimitedConnection:
        connection = LimitedConnection.connect(self._conninfo, autocommit=True, **self._settings)
        connection.limit_s = self._limit_s
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            connection.close()
            raise
        return connection
