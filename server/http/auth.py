"""Authentication: the token in `api_token` or `Authorization: Bearer`, and its organisation."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.requests import Request

from server.errors import InvalidTokenError

MAX_TOKEN_LENGTH = 1024
"""Longest token, in characters."""
_MISSING = (
    "The api_token is missing or invalid: no token arrived. Send it in the header api_token, or as"
    " Authorization: Bearer TOKEN. Some proxies drop headers with an underscore in their name, nginx"
    " unless its configuration has underscores_in_headers on."
)
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
"""RFC 9110 requires it with 401. Browsers show no dialog for it."""


class Tokens:
    """The valid tokens, stored as digests, so that every comparison takes the same time.

    pairs: texts `organisation:token`. If empty, every token is valid and is its own organisation.
    """

    def __init__(self, pairs: Sequence[str]) -> None:
        split = (pair.partition(":") for pair in pairs)
        self._organisations = {
            _digest(spelling): organisation
            for organisation, _, token in split
            for spelling in _spellings(token)
        }

    @property
    def required(self) -> bool:
        """Whether only the tokens of the settings are valid."""
        return bool(self._organisations)

    def organisation(self, request: Request) -> str:
        """Return the organisation of a request's token.

        `api_token` has precedence over `Authorization`. Raises InvalidTokenError if there is no
        token, or if it belongs to no organisation.
        """
        token = sent_token(request)
        if not token:
            raise InvalidTokenError(_MISSING, headers=_CHALLENGE)
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidTokenError("The api_token is invalid: it is too long.", headers=_CHALLENGE)
        digest = _digest(token)
        if not self._organisations:
            return "local-" + digest.hex()[:16]
        found = None
        for known_digest, organisation in self._organisations.items():
            if hmac.compare_digest(known_digest, digest):
                found = organisation
        if found is None:
            raise InvalidTokenError(
                "The api_token is invalid: no organisation has this token.", headers=_CHALLENGE
            )
        return found


def sent_token(request: Request) -> str:
    """Return the token of a request, one character for each byte of it; empty if it has none."""
    return request.headers.get("api_token", "").strip() or _bearer_token(request)


def _bearer_token(request: Request) -> str:
    """Return the token of an Authorization header (RFC 6750); empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _spellings(token: str) -> set[str]:
    """Return the texts in which a token can arrive: headers are read as Latin-1, but many send UTF-8."""
    return {token, token.encode().decode("latin-1")}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
