"""Authentication: the token in `api_token` or `Authorization: Bearer`, its organisation and its scopes."""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from server.errors import InvalidTokenError, MissingScopeError
from server.http.scopes import ALL_SCOPES, OWN_SCOPES, scope_of_request
from storage.errors import DatabaseUnavailableError
from storage.tokens import USE_INTERVAL, TokenTable, may_be_token

log = logging.getLogger("retouch")
R = TypeVar("R")
P = TypeVarTuple("P")

MAX_TOKEN_LENGTH = 1024
"""Longest token, in characters."""
PAGES = frozenset({"/docs", "/admin", "/admin/state"})
"""The paths of pages that a browser may open with a token as the password of Basic, and what they read."""
ENVIRONMENT = "environment"
"""The name of every token of the settings, in the audit log."""
LOCAL = "local"
"""The name of every token of a server without tokens."""
_MISSING = (
    "The api_token is missing or invalid: no token arrived. Send it in the header api_token, or as"
    " Authorization: Bearer TOKEN. Some proxies drop headers with an underscore in their name: nginx"
    " unless its configuration has underscores_in_headers on, Caddy without expected_underscore_headers api_token."
)
_UNKNOWN = "The api_token is invalid: no organisation has this token."
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
"""RFC 9110 requires it with 401. Browsers show no dialog for it."""
_LOOKUPS = 8
"""Tokens looked up at once: as many as the database has connections that stay open."""
_WAIT_S = 5.0
"""How long a request waits for its turn to look its token up; the search itself has the database's limit."""
_NONE_YET_S = 1.0
"""How long a server without tokens believes that none was created."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    organisation, token: of the token, and its name; None if it is unknown, also set for a token that has
    expired or was revoked. error: why the request is refused, or None. due: the digest of a token whose last
    use must be written.
    """

    organisation: str | None = None
    token: str | None = None
    scopes: frozenset[str] = frozenset()
    error: Exception | None = None
    due: str | None = None


class Tokens:
    """The valid tokens: those of the settings, and those of the database.

    The tokens of the settings are stored as digests and all compared, so that every comparison takes the
    same time. A token of the database is found by its digest (`storage.tokens`).

    pairs: texts `organisation:token`. table: the tokens of the database. is_open: whether every token is
    valid, and is its own organisation, as long as neither has one.
    """

    def __init__(
        self, pairs: Sequence[str], table: TokenTable | None = None, *, is_open: bool = True
    ) -> None:
        split = (pair.partition(":") for pair in pairs)
        self._organisations = {
            _digest(spelling): organisation
            for organisation, _, token in split
            for spelling in _spellings(token)
        }
        # Where several organisations have one, none may see what the others do.
        is_of_one = len(set(self._organisations.values())) == 1
        self._settings_scopes = ALL_SCOPES if is_of_one else OWN_SCOPES
        self._table = table
        self._required = bool(self._organisations) or not is_open
        self._asked_at: float | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._notes: dict[str, asyncio.Task[None]] = {}
        self._look_for_tokens("")

    @property
    def required(self) -> bool:
        """Whether only known tokens are valid."""
        return self._required

    @property
    def settings_organisations(self) -> frozenset[str]:
        """The organisations with a token in the settings."""
        return frozenset(self._organisations.values())

    def organisation(self, request: Request) -> str:
        """Return the organisation of a request's token.

        `api_token` has precedence over `Authorization`. It is cheap: the token was looked up when the
        request arrived. Raises InvalidTokenError if there is no token, or if it belongs to no
        organisation, MissingScopeError if it must not use the request's route, and
        DatabaseUnavailableError if that cannot be known.
        """
        caller = caller_of(request.scope)
        if caller is None:
            caller = self._remember(request.scope, self._find(sent_token(request)))
        if caller.error is not None or caller.organisation is None:
            raise caller.error or InvalidTokenError(_UNKNOWN, headers=_CHALLENGE)
        needed = scope_of_request(request.scope)
        if needed is not None and needed not in caller.scopes:
            raise MissingScopeError(needed)
        return caller.organisation

    async def resolve(self, scope: AsgiScope) -> None:
        """Look the token of a request up, off the event loop where that takes the database."""
        token = sent_token(Request(scope))
        caller = self._find_in_settings(token)
        if caller is None or self._is_look_due(token):
            try:
                caller = await self._ask(self._find, token)
            except DatabaseUnavailableError as error:
                caller = Caller(error=error)
        self._remember(scope, caller)
        if caller.due is not None and caller.due not in self._notes:
            self._notes[caller.due] = asyncio.create_task(self._note_use(caller.due))

    def _remember(self, scope: AsgiScope, caller: Caller) -> Caller:
        scope.setdefault("state", {})["caller"] = caller
        return caller

    def _find(self, token: str) -> Caller:
        """Return who sends a token; it blocks if the database must know."""
        try:
            self._look_for_tokens(token)
            return self._find_in_settings(token) or self._find_in_table(token)
        except DatabaseUnavailableError as error:
            return Caller(error=error)

    def _find_in_settings(self, token: str) -> Caller | None:
        """Return who sends a token; None if the database must know."""
        if not token:
            return Caller(error=InvalidTokenError(_MISSING, headers=_CHALLENGE))
        if len(token) > MAX_TOKEN_LENGTH:
            text = "The api_token is invalid: it is too long."
            return Caller(error=InvalidTokenError(text, headers=_CHALLENGE))
        digest = _digest(token)
        found = None
        for known_digest, organisation in self._organisations.items():
            if hmac.compare_digest(known_digest, digest):
                found = organisation
        if found is not None:
            return Caller(found, ENVIRONMENT, self._settings_scopes)
        if not self._required:
            return Caller("local-" + digest.hex()[:16], LOCAL, OWN_SCOPES)
        if self._table is None or not may_be_token(token):
            return Caller(error=InvalidTokenError(_UNKNOWN, headers=_CHALLENGE))
        return None

    def _find_in_table(self, token: str) -> Caller:
        """Return who sends a token of the database; it blocks. Raises DatabaseUnavailableError."""
        found = self._table.find(_digest(token).hex()) if self._table else None
        if found is None:
            return Caller(error=InvalidTokenError(_UNKNOWN, headers=_CHALLENGE))
        now = datetime.now(UTC)
        state = found.state(now)
        if state != "valid":
            reason = "it has expired" if state == "expired" else "it was revoked"
            error = InvalidTokenError(f"The api_token is invalid: {reason}.", headers=_CHALLENGE)
            return Caller(found.organisation, found.name, error=error)
        is_due = found.last_used is None or now - found.last_used >= USE_INTERVAL
        due = found.digest if is_due else None
        return Caller(found.organisation, found.name, found.scopes, due=due)

    async def _note_use(self, digest: str) -> None:
        """Write the last use of a token beside the request, which does not wait for it."""
        try:
            if self._table is not None:
                await self._ask(self._table.note_use, digest, datetime.now(UTC))
        except DatabaseUnavailableError as error:
            log.warning("the last use of a token could not be written: %s", error)
        finally:
            del self._notes[digest]

    def _is_look_due(self, token: str) -> bool:
        """Whether an open server must ask the database if a token was created since it last did."""
        if self._table is None or self._required:
            return False
        is_stale = self._asked_at is None or time.monotonic() - self._asked_at >= _NONE_YET_S
        return is_stale or may_be_token(token)

    def _look_for_tokens(self, token: str) -> None:
        """Close an open server once the database has a token; it stays closed. It blocks if a look is due.

        Raises DatabaseUnavailableError only if `token` may be one of the database: without it, a server
        that had no token a moment ago stays open.
        """
        if self._table is None or not self._is_look_due(token):
            return
        # Before the answer, so that other requests do not wait for it too.
        self._asked_at = time.monotonic()
        try:
            self._required = self._table.has_any() or self._required
        except DatabaseUnavailableError:
            if may_be_token(token):
                raise

    async def _ask(self, work: Callable[[*P], R], *arguments: *P) -> R:
        """Do work with the database on a thread, of which slow searches take only a few."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_LOOKUPS)
        try:
            # Unlike asyncio's timeout it lets a search that has begun end, so that no threads pile up.
            with anyio.fail_after(_WAIT_S):
                return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)
        except TimeoutError:
            raise DatabaseUnavailableError("too many tokens wait for the database") from None


class ResolveToken:
    """ASGI middleware: looks the token of each request up once.

    tokens: what knows the tokens. The routes read what it found with `Tokens.organisation`.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self.app = app
        self._tokens = tokens

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Call the application once it is known who sent the request."""
        if scope["type"] == "http":
            await self._tokens.resolve(scope)
        await self.app(scope, receive, send)


def caller_of(scope: AsgiScope) -> Caller | None:
    """Return who sent a request; None if its token was not looked up yet."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    return caller


def sent_token(request: Request) -> str:
    """Return the token of a request, one character for each byte of it; empty if it has none."""
    return request.headers.get("api_token", "").strip() or _authorization_token(request)


def _authorization_token(request: Request) -> str:
    """Return the token of an Authorization header; empty if there is none.

    It is that of Bearer (RFC 6750). A page of `PAGES` also takes the password of Basic (RFC 7617), which is what
    a browser can send. No other route does: browsers add it to requests of any page by themselves.
    """
    scheme, _, sent = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return sent.strip()
    if scheme.lower() != "basic" or request.scope["path"] not in PAGES:
        return ""
    try:
        pair = base64.b64decode(sent.strip(), validate=True).decode("latin-1")
    except ValueError:
        return ""
    return pair.partition(":")[2]


def _spellings(token: str) -> set[str]:
    """Return the texts in which a token can arrive: headers are read as Latin-1, but many send UTF-8."""
    return {token, token.encode().decode("latin-1")}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
