"""The database rows of tokens, and of the organisations whose result links were revoked.

Only the SHA-256 digest of a token is stored. A slow hash such as Argon2 protects texts that people choose,
because those can be guessed; 256 random bits cannot, however fast a guess is checked (NIST SP 800-63B,
section 5.1.1.2, asks for a slow hash below 112 bits only). A row is found by its digest: the time that the
search takes depends on digests alone, and nobody can choose a token by its digest.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, Engine, Index, String, bindparam, exists, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from storage.database import transaction, wrap_database_errors
from storage.errors import NameTakenError
from storage.records import Base, VisualRow
from storage.stored_bytes import StoredRow

PREFIX = "rt_"
"""Begins every token that `new_token` makes, so that scanners for secrets find them."""
_TOKEN_BYTES = 32
_ID_LENGTH = 12
"""Digits of the digest that name a token in lists."""
USE_INTERVAL = timedelta(minutes=1)
"""The last use of a token is written at most this often."""


class TokenRow(Base):
    """A token of an organisation. Rows stay after the token is revoked, so that its name stays known."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index(
            "tokens_by_name",
            "organisation",
            "name",
            unique=True,
            sqlite_where=text("revoked IS NULL"),
            postgresql_where=text("revoked IS NULL"),
        ),
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class LinkStateRow(Base):
    """How often the result links of an organisation were revoked; none if never."""

    __tablename__ = "link_states"
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    generation: Mapped[int]
    is_closed: Mapped[bool]


# Made once: each is used by every request, and takes longer to make than to execute.
_BY_DIGEST = select(*TokenRow.__table__.columns).where(TokenRow.digest == bindparam("digest"))
_BY_ORGANISATION = select(LinkStateRow.generation, LinkStateRow.is_closed).where(
    LinkStateRow.organisation == bindparam("organisation")
)


@dataclass(frozen=True)
class Token:
    """A token of an organisation, without its text.

    digest: SHA-256 of its text, 64 hexadecimal digits. scopes: names of what it may do. All times are in
    UTC; None means never.
    """

    digest: str
    organisation: str
    name: str
    scopes: frozenset[str]
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    revoked: datetime | None = None

    @property
    def id(self) -> str:
        """The first 12 digits of its digest, which name it in lists."""
        return self.digest[:_ID_LENGTH]

    def state(self, now: datetime) -> str:
        """Return `valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


@dataclass(frozen=True)
class LinkGeneration:
    """Which result links of an organisation are valid: those that were signed with this number.

    is_closed: whether none is, because the organisation was revoked and has got no token since.
    """

    number: int = 0
    is_closed: bool = False


class TokenTable:
    """Reads and writes tokens. Threads may share it, and processes may share the database.

    Every read is of the database, so a token that one process revokes is refused by the next request at
    any other. Every method blocks, and raises DatabaseUnavailableError if the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        """Use a database whose schema is up to date."""
        self._engine = engine
        self._insert = (sqlite if engine.dialect.name == "sqlite" else postgresql).insert

    def find(self, digest: str) -> Token | None:
        """Return the token with a digest, also an expired or revoked one; None if there is none."""
        with wrap_database_errors(), self._engine.connect() as connection:
            row = connection.execute(_BY_DIGEST, {"digest": digest}).first()
        if row is None or not hmac.compare_digest(row.digest, digest):
            return None
        return _token(row)

    def has_any(self) -> bool:
        """Whether any token was ever created."""
        with wrap_database_errors(), self._engine.connect() as connection:
            return bool(connection.scalar(select(exists().select_from(TokenRow))))

    def knows(self, organisation: str) -> bool:
        """Whether the database has a row of an organisation: a token, links revoked, something stored.

        Rows of tokens stay when they are revoked. A server without tokens counts nothing that it stores.
        """
        tables = (TokenRow, LinkStateRow, VisualRow, StoredRow)
        rows = (exists().where(table.organisation == organisation) for table in tables)
        with wrap_database_errors(), self._engine.connect() as connection:
            return bool(connection.scalar(select(or_(*rows))))

    def note_use(self, digest: str, now: datetime) -> None:
        """Write that a token was used, unless that was written within `USE_INTERVAL`."""
        is_due = or_(TokenRow.last_used.is_(None), TokenRow.last_used <= now - USE_INTERVAL)
        with transaction(self._engine) as session:
            session.execute(
                update(TokenRow).where(TokenRow.digest == digest, is_due).values(last_used=now)
            )

    def create(
        self,
        organisation: str,
        name: str,
        scopes: Collection[str],
        expires: datetime | None = None,
    ) -> tuple[str, Token]:
        """Create a token; return its text, which is stored nowhere, and the rest.

        An organisation whose links were closed may make new ones from now on. Raises NameTakenError if
        another token of the organisation has the name and is not revoked.
        """
        sent = new_token()
        token = Token(
            digest_of(sent), organisation, name, frozenset(scopes), datetime.now(UTC), expires
        )
        row = {**token.__dict__, "scopes": ",".join(sorted(scopes))}
        try:
            with transaction(self._engine) as session:
                session.add(TokenRow(**row))
                session.flush()
                state = session.get(LinkStateRow, organisation, with_for_update=True)
                if state is not None and state.is_closed:
                    # Another number: links that were signed while it was closed stay dead.
                    state.generation, state.is_closed = state.generation + 1, False
        except IntegrityError:
            raise NameTakenError(
                f"{organisation} has a token named {name} already; revoke that first"
            ) from None
        return sent, token

    def tokens(self, organisation: str | None = None) -> Sequence[Token]:
        """Return the tokens of an organisation, or all, oldest first."""
        rows = select(TokenRow).order_by(TokenRow.created, TokenRow.digest)
        if organisation is not None:
            rows = rows.where(TokenRow.organisation == organisation)
        with transaction(self._engine) as session:
            return [_token(row) for row in session.scalars(rows)]

    def revoke(self, digest: str) -> bool:
        """Revoke a token; return whether it was valid or expired, and is revoked by this call."""
        return self._revoke(TokenRow.digest == digest) == 1

    def revoke_organisation(self, organisation: str) -> int:
        """Revoke all tokens of an organisation and all its result links; return how many tokens.

        The links come to life neither by themselves nor by a new token, with which new links are made.
        """
        with transaction(self._engine) as session:
            session.execute(
                self._insert(LinkStateRow)
                .values(organisation=organisation, generation=1, is_closed=True)
                .on_conflict_do_update(
                    index_elements=[LinkStateRow.organisation],
                    set_={"generation": LinkStateRow.generation + 1, "is_closed": True},
                )
            )
            return _revoke(session, TokenRow.organisation == organisation)

    def link_generation(self, organisation: str) -> LinkGeneration:
        """Return which result links of an organisation are valid."""
        with wrap_database_errors(), self._engine.connect() as connection:
            row = connection.execute(_BY_ORGANISATION, {"organisation": organisation}).first()
        return LinkGeneration() if row is None else LinkGeneration(row.generation, row.is_closed)

    def closed_organisations(self) -> Sequence[str]:
        """Return the organisations that were revoked and have got no token since."""
        closed = select(LinkStateRow.organisation).where(LinkStateRow.is_closed)
        with transaction(self._engine) as session:
            return list(session.scalars(closed))

    def _revoke(self, condition: object) -> int:
        with transaction(self._engine) as session:
            return _revoke(session, condition)


def _revoke(session: Session, condition: object) -> int:
    """Revoke the tokens that meet a condition and are not revoked yet; return how many."""
    rows = update(TokenRow).where(condition, TokenRow.revoked.is_(None))  # type: ignore[arg-type]
    revoked = session.execute(rows.values(revoked=datetime.now(UTC)).returning(TokenRow.digest))
    return len(revoked.all())


def _token(row: object) -> Token:
    """Return the token of a row."""
    fields = {name: getattr(row, name) for name in Token.__dataclass_fields__}
    for name in ("created", "expires", "last_used", "revoked"):
        fields[name] = _in_utc(fields[name])
    return Token(**{**fields, "scopes": frozenset(fields["scopes"].split(","))})


def _in_utc(time: datetime | None) -> datetime | None:
    """Return a time of the database in UTC: SQLite stores no time zone."""
    if time is None:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def new_token() -> str:
    """Return a new token: the prefix, 256 random bits, and 6 characters that check them.

    The check tells a token from a text that looks like one without asking the database, as in GitHub's
    tokens (github.blog, "Behind GitHub's new authentication token formats").
    """
    body = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return body + _check(body)


def may_be_token(text: str) -> bool:
    """Whether a text has the form of the tokens that `new_token` makes, and is complete."""
    body, check = text[:-6], text[-6:]
    return text.startswith(PREFIX) and len(text) < 100 and check == _check(body)


def _check(body: str) -> str:
    """Return the CRC-32 of a text as 6 letters and digits, the most significant first."""
    rest, digits = zlib.crc32(body.encode("utf-8", "surrogateescape")), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _DIGITS[digit] + digits
    return digits


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def digest_of(token: str) -> str:
    """Return the SHA-256 digest of a token, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
