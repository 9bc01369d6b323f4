"""Who may read the pages for operators: anyone on this machine or at their port, else a token with the scope."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from server.errors import InvalidTokenError
from server.http.auth import Tokens, sent_token

FOR_OPERATORS: Mapping[str, Any] = {"for_operators": True}
"""What the state of each request has that came through the port of the operators."""
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Retouch: a token as the password", charset="UTF-8"'}
"""A browser then shows a dialog, and cannot send a token in another way for a page."""


def check_reader(request: Request, tokens: Tokens) -> None:
    """Raise InvalidTokenError or MissingScopeError if a request may not read a page with nothing secret on it."""
    if not tokens.required or needs_no_token(request):
        return
    try:
        tokens.organisation(request)
    except InvalidTokenError as error:
        raise InvalidTokenError(error.text, headers=_CHALLENGE) from None


def reader(request: Request, tokens: Tokens) -> str | None:
    """Return the organisation that reads a page; None for anyone. Raises InvalidTokenError, MissingScopeError.

    A token that was sent must be valid, also where none is needed.
    """
    if not tokens.required or reads_as_anyone(request):
        return None
    return tokens.organisation(request)


def reads_as_anyone(request: Request) -> bool:
    """Whether a request has no token and needs none."""
    return needs_no_token(request) and not sent_token(request)


def needs_no_token(request: Request) -> bool:
    """Whether a request comes from this machine, or through the port of the operators.

    Callers of a proxy on this machine that sets no X-Forwarded-For look local too, so a page with secrets needs
    more than this.
    """
    return bool(request.scope.get("state", {}).get("for_operators")) or is_local(request)


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, also according to the proxy that it came through."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:  # a socket of the file system has no address
        return False
