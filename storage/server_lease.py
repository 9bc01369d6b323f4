"""Which servers of one PostgreSQL database live: each holds an advisory lock that ends with its process."""

import contextlib
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL

from storage.database import open_engine, reaching_database
from storage.errors import DatabaseUnavailableError
from storage.records import ServerRow

_SETTLED_S = 5.0
"""After the database has been away, the time in which every live server takes its lock anew."""
_ASK_S = 0.1


class ServerLease:
    """This process among the servers of a database whose schema is up to date.

    A session-level advisory lock is held on a connection of its own. The database frees it when the
    process ends, however it ends, and within about 15 s when its machine is gone. A name of a server
    stays in the table until another has seen to what it left.
    """

    def __init__(self, url: URL) -> None:
        """Become present; raises DatabaseUnavailableError."""
        self._url = url
        self.name = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._engine = open_engine(url).execution_options(isolation_level="AUTOCOMMIT")
        self._held: Connection | None = None
        self._settled_at = 0.0
        with reaching_database():
            while not self._take():
                time.sleep(_ASK_S)

    @property
    def url(self) -> str:
        """The database's address, password included, as libpq reads it."""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=False)

    def check(self) -> None:
        """Raise DatabaseUnavailableError where the database is unavailable."""
        with reaching_database(), self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def renew(self) -> bool:
        """See to it that the lock is held, and tell whether the absence of another's means its death.

        It does not for a while after the database was away: then nobody held one. To be called by one
        thread alone. Raises DatabaseUnavailableError.
        """
        try:
            with reaching_database():
                if self._held is not None:
                    self._held.execute(text("SELECT 1"))
                elif not self._take():
                    return False
        except DatabaseUnavailableError:
            self._drop()
            self._settled_at = time.monotonic() + _SETTLED_S
            raise
        return time.monotonic() >= self._settled_at

    def others(self) -> list[str]:
        """Return the names of other servers, dead or alive; raises DatabaseUnavailableError."""
        others = select(ServerRow.name).where(ServerRow.name != self.name).order_by(ServerRow.name)
        with reaching_database(), self._engine.connect() as connection:
            return list(connection.scalars(others))

    @contextmanager
    def adopting(self, name: str) -> Iterator[bool]:
        """Whether another server is dead; while the context lasts nobody else is told so.

        Raises DatabaseUnavailableError.
        """
        with reaching_database(), self._engine.connect() as connection:
            is_dead = _try_lock(connection, name)
            try:
                yield is_dead
            finally:
                if is_dead:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(name)})

    def forget(self, name: str) -> None:
        """Strike a server off, once what it left has been seen to; raises DatabaseUnavailableError."""
        with reaching_database(), self._engine.connect() as connection:
            connection.execute(delete(ServerRow).where(ServerRow.name == name))

    def close(self) -> None:
        """Be no longer present: others see to what this process leaves."""
        self._drop()
        self._engine.dispose()

    def _take(self) -> bool:
        """Take the lock of this process on a connection of its own; False while another looks at it."""
        connection = self._engine.connect()
        try:
            # Of this session alone: a machine that vanishes is noticed by the database as soon.
            for name, value in (("idle", 5), ("interval", 3), ("count", 3)):
                connection.execute(text(f"SET tcp_keepalives_{name} = {value}"))
            taken = _try_lock(connection, self.name)
            if taken:
                row = insert(ServerRow).values(name=self.name, started=datetime.now(UTC))
                connection.execute(row.on_conflict_do_nothing())
                # The pool must never lend this connection to anybody.
                connection.detach()
                self._held = connection
            return taken
        finally:
            if self._held is not connection:
                connection.close()

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            with contextlib.suppress(Exception):  # it may be broken, which is why it is dropped
                held.close()


def _try_lock(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(name)}))


def _key(name: str) -> int:
    """Return the 64-bit number of a server's lock, which no other program's lock is likely to have."""
    digest = hashlib.sha256(b"retouch server\0" + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
