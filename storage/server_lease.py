"""Find out which servers of a PostgreSQL database are alive: each holds an advisory lock as its lease."""

import contextlib
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL

from storage.breaker import Breaker
from storage.database import libpq_address, open_engine, wrap_database_errors
from storage.errors import DatabaseUnavailableError
from storage.limited_connection import limited_connection
from storage.records import ServerRow

_GRACE_PERIOD_S = 5.0
"""After the database was unreachable, the time in which every live server acquires its lock again."""
_LOCK_RETRY_S = 0.1
_SLOW_S = 2.0
"""A renewal that took longer may have waited while other servers gave up their locks."""


class SingleServer:
    """The only process of a database: all others have died. A lock on the folder sees to that."""

    grace_s = 0.0

    def __init__(self) -> None:
        self.name = secrets.token_hex(16)

    def is_alive(self, name: str) -> bool:
        """Whether a process is this one."""
        return name == self.name


class ServerLease:
    """The lease of this process as one of the servers of a database; the schema must be up to date.

    The lease is a session-level advisory lock on a separate connection. The database frees the lock
    when the process ends for any reason, and about 15 s after its machine vanishes. A server's name
    stays in the table until another server has recovered its jobs.

    grace_s: a server without a lock for this many seconds is dead; for less, the database may have been
    unreachable.
    """

    grace_s = _GRACE_PERIOD_S

    def __init__(self, url: URL, breaker: Breaker | None = None) -> None:
        """Acquire the lease and add this server to the table; raises DatabaseUnavailableError.

        breaker: that of the database.
        """
        self._url = url
        self.breaker = breaker
        self.name = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._engine = open_engine(url, breaker).execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._grace_until = 0.0
        with wrap_database_errors():
            while not self._acquire():
                time.sleep(_LOCK_RETRY_S)

    @property
    def url(self) -> URL:
        """The database's address."""
        return self._url

    @property
    def libpq_url(self) -> str:
        """The database's address for libpq, including the password."""
        return libpq_address(self._url)

    def check(self) -> None:
        """Raise DatabaseUnavailableError if the database cannot be reached."""
        with wrap_database_errors(), self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def renew(self) -> bool:
        """Make sure that the lock is held; return whether a server without a lock counts as dead.

        The result is False for a while after the database was unreachable, because then no server
        held a lock. Only one thread may call this. Raises DatabaseUnavailableError.
        """
        began = time.monotonic()
        try:
            with wrap_database_errors():
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                elif not self._acquire():
                    return False
        except DatabaseUnavailableError:
            self._release()
            self._grace_until = time.monotonic() + _GRACE_PERIOD_S
            raise
        if time.monotonic() - began > _SLOW_S:
            self._grace_until = time.monotonic() + _GRACE_PERIOD_S
        return time.monotonic() >= self._grace_until

    def others(self) -> list[str]:
        """Return the names of the other servers, dead or alive; raises DatabaseUnavailableError."""
        others = select(ServerRow.name).where(ServerRow.name != self.name).order_by(ServerRow.name)
        with wrap_database_errors(), self._engine.connect() as connection:
            return list(connection.scalars(others))

    def is_alive(self, name: str) -> bool:
        """Whether a server holds its lock at the moment; raises DatabaseUnavailableError."""
        with self.lock_if_dead(name) as is_dead:
            return not is_dead

    @contextmanager
    def lock_if_dead(self, name: str) -> Iterator[bool]:
        """Whether another server is dead; if so, its lock is held while the context lasts.

        The lock prevents that two servers recover the same jobs. Raises DatabaseUnavailableError.
        """
        with wrap_database_errors(), self._engine.connect() as connection:
            is_dead = _try_lock(connection, name)
            try:
                yield is_dead
            finally:
                if is_dead:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(name)})

    def remove(self, name: str) -> None:
        """Remove a server from the table after its jobs are recovered; raises DatabaseUnavailableError."""
        with wrap_database_errors(), self._engine.connect() as connection:
            connection.execute(delete(ServerRow).where(ServerRow.name == name))

    def close(self) -> None:
        """Release the lease: another server recovers the jobs that this process leaves."""
        self._release()
        self._engine.dispose()

    def _acquire(self) -> bool:
        """Acquire the lock of this process; return False while another server holds it in a check."""
        connection = self._engine.connect()
        try:
            # Set for this session, so that the database notices soon if this machine vanishes.
            for name, value in (("idle", 5), ("interval", 3), ("count", 3)):
                connection.execute(text(f"SET tcp_keepalives_{name} = {value}"))
            acquired = _try_lock(connection, self.name)
            if acquired:
                row = insert(ServerRow).values(name=self.name, started=datetime.now(UTC))
                connection.execute(row.on_conflict_do_nothing())
                # Detached, so that the pool never uses this connection for anything else.
                connection.detach()
                self._connection = connection
                # A lock is given up only if a call on its own connection gets no answer.
                limited_connection(connection).breaker = None
            return acquired
        finally:
            if self._connection is not connection:
                connection.close()

    def _release(self) -> None:
        """Close the connection, which frees the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # the connection may be broken
                connection.close()


def live_servers(engine: Engine) -> list[str]:
    """Return the names of the servers that hold a lease on a PostgreSQL database, in order."""
    names = select(ServerRow.name).order_by(ServerRow.name)
    with wrap_database_errors(), engine.connect() as connection:
        found = []
        for name in list(connection.scalars(names)):
            if _try_lock(connection, name):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(name)})
            else:
                found.append(name)
        return found


@dataclass(frozen=True)
class ServerState:
    """A server that has used the database. is_alive: whether it holds its lease."""

    name: str
    started: datetime
    is_alive: bool


def server_states(engine: Engine, limit: int) -> list[ServerState]:
    """Return the servers of a PostgreSQL database, at most `limit` of them, the newest first.

    It only reads, and takes no lock. Raises DatabaseUnavailableError.
    """
    rows = select(ServerRow.name, ServerRow.started).order_by(ServerRow.started.desc()).limit(limit)
    with wrap_database_errors(), engine.connect() as connection:
        held = set(connection.scalars(_HELD_LOCKS))
        return [
            ServerState(name, started, _key(name) in held)
            for name, started in connection.execute(rows)
        ]


_HELD_LOCKS = text("""
SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
"""The numbers of the advisory locks that are held in this database."""


def _try_lock(connection: Connection, name: str) -> bool:
    """Acquire the lock of a server if it is free; return whether it was."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(name)}))


def _key(name: str) -> int:
    """Return the 64-bit number of a server's lock; a hash, so that other programs do not use it."""
    digest = hashlib.sha256(b"retouch server\0" + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
