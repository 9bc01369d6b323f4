"""The database rows of idempotency keys: who works on a request, and the answer that its repeats get."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Engine,
    Index,
    LargeBinary,
    String,
    and_,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import transaction
from storage.records import Base


class IdempotencyRow(Base):
    """A request with a key: in work while it has no status code, answered afterwards."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_by_expiry", "expires"),)
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(32))
    owner: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    status_code: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class Claim:
    """The right to work on the request of a key.

    request_id: of the request, 32 hexadecimal digits; every attempt has the same one. owner: the process
    that works on it. attempt: 1, or more after an owner died.
    """

    organisation: str
    key: str
    request_id: str
    owner: str
    attempt: int = 1


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as it was sent."""

    status_code: int
    body: bytes


@dataclass(frozen=True)
class KnownRequest:
    """A request that another call with the same key made.

    fingerprint: of its content. claim: who works on it, or did. is_lease_over: whether the time is over
    in which a request can be answered. answer: None while it is in work.
    """

    fingerprint: str
    claim: Claim
    is_lease_over: bool
    answer: StoredAnswer | None


class IdempotencyKeys:
    """Reads and writes the rows of keys. Threads may share it, and processes may share the database.

    ttl: how long an answer is kept. lease: how long a request can be in work; afterwards another
    call may take it over although its owner lives. Every method raises DatabaseUnavailableError if the
    database cannot be reached.
    """

    def __init__(self, engine: Engine, ttl: timedelta, lease: timedelta) -> None:
        self._engine = engine
        self._ttl = ttl
        self._lease = lease
        self._insert = (sqlite if engine.dialect.name == "sqlite" else postgresql).insert

    def claim(self, claim: Claim, fingerprint: str) -> KnownRequest | None:
        """Claim a key; if another call has it, change nothing and return its request.

        None means that the caller works on the request, and must `complete` or `release` the claim.
        """
        now = datetime.now(UTC)
        row = self._insert(IdempotencyRow).values(
            **claim.__dict__, fingerprint=fingerprint, **self._times(now)
        )
        while True:
            with transaction(self._engine) as session:
                session.execute(
                    delete(IdempotencyRow).where(_has_key(claim), IdempotencyRow.expires < now)
                )
                inserted = row.on_conflict_do_nothing().returning(IdempotencyRow.attempt)
                if session.scalars(inserted).first() is not None:
                    return None
            # If it was released since, the next insert succeeds.
            if (known := self.find(claim.organisation, claim.key)) is not None:
                return known

    def _times(self, now: datetime) -> dict[str, datetime]:
        return {"lease_until": now + self._lease, "expires": now + self._ttl + self._lease}

    def find(self, organisation: str, key: str) -> KnownRequest | None:
        """Return the request of a key, or None."""
        now = datetime.now(UTC)
        found = select(IdempotencyRow, IdempotencyRow.lease_until < now).where(
            IdempotencyRow.organisation == organisation,
            IdempotencyRow.key == key,
            IdempotencyRow.expires >= now,
        )
        with transaction(self._engine) as session:
            pair = session.execute(found).one_or_none()
            if pair is None:
                return None
            row, is_lease_over = pair
            return KnownRequest(row.fingerprint, _claim_of(row), is_lease_over, _answer_of(row))

    def take_over(self, dead: Claim, owner: str) -> Claim | None:
        """Take over a claim whose owner has died; None if it was answered or taken over meanwhile."""
        taken = replace(dead, owner=owner, attempt=dead.attempt + 1)
        change = (
            update(IdempotencyRow)
            .where(_is_in_work(dead))
            .values(owner=owner, attempt=taken.attempt, **self._times(datetime.now(UTC)))
            .returning(IdempotencyRow.attempt)
        )
        with transaction(self._engine) as session:
            return taken if session.scalars(change).first() is not None else None

    def complete(self, claim: Claim, answer: StoredAnswer) -> bool:
        """Store the answer of a claim; False if another process has taken the claim over."""
        change = (
            update(IdempotencyRow)
            .where(_is_in_work(claim))
            .values(**answer.__dict__, expires=datetime.now(UTC) + self._ttl)
            .returning(IdempotencyRow.attempt)
        )
        with transaction(self._engine) as session:
            return session.scalars(change).first() is not None

    def release(self, claim: Claim) -> None:
        """Remove a claim that has no answer, so that the next call runs; nothing if it was taken over."""
        with transaction(self._engine) as session:
            session.execute(delete(IdempotencyRow).where(_is_in_work(claim)))

    def sweep(self) -> int:
        """Remove the expired rows; return how many."""
        expired = delete(IdempotencyRow).where(IdempotencyRow.expires < datetime.now(UTC))
        with transaction(self._engine) as session:
            return len(session.execute(expired.returning(IdempotencyRow.attempt)).all())


def _has_key(claim: Claim) -> ColumnElement[bool]:
    return and_(IdempotencyRow.organisation == claim.organisation, IdempotencyRow.key == claim.key)


def _is_in_work(claim: Claim) -> ColumnElement[bool]:
    """Return the condition that a claim still holds."""
    return and_(
        _has_key(claim),
        IdempotencyRow.request_id == claim.request_id,
        IdempotencyRow.attempt == claim.attempt,
        IdempotencyRow.status_code.is_(None),
    )


def _claim_of(row: IdempotencyRow) -> Claim:
    return Claim(row.organisation, row.key, row.request_id, row.owner, row.attempt)


def _answer_of(row: IdempotencyRow) -> StoredAnswer | None:
    if row.status_code is None:
        return None
    return StoredAnswer(row.status_code, row.body or b"")
