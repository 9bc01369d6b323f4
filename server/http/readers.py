"""Who may read the pages for operators: anyone on this machine, elsewhere a token with the page's scope."""

import ipaddress

from starlette.requests import Request

from server.errors import InvalidTokenError
from server.http.auth import Tokens

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Retouch: a token as the password", charset="UTF-8"'}
"""A browser then shows a dialog, and cannot send a token in another way for a page."""


def check_reader(request: Request, tokens: Tokens) -> None:
    """Raise InvalidTokenError or MissingScopeError if a request may not read a page with nothing secret on it.

    Anyone may if no tokens are required, or if the connection comes from this machine. Callers of a proxy on this
    machine that sets no X-Forwarded-For look local too, so a page with secrets needs more than this.
    """
    if not tokens.required or is_local(request):
        return
    try:
        tokens.organisation(request)
    except InvalidTokenError as error:
        raise InvalidTokenError(error.text, headers=_CHALLENGE) from None


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, also according to the proxy that it came through."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:  # a socket of the file system has no address
        return False
