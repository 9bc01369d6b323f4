"""The webhook of a request: its address, checked when the request is accepted, and the key that signs it."""

import re
from collections.abc import Sequence
from typing import TypedDict

from server.errors import BadRequestError, FetchFailedError
from server.http.host_names import is_private_address, may_be_public
from server.http.ip_ranges import Network
from server.http.url_guard import parse_url
from server.webhooks.signing import signing_key

_HOST = re.compile(rb"[a-z0-9._:-]+", re.IGNORECASE)


class Webhook(TypedDict):
    """A webhook as a job stores it: its address, and the key of `signing_key` in hexadecimal digits."""

    url: str
    key: str


def accept_webhook(
    url: str, token: str, allowed_networks: Sequence[Network], *, has_proxy: bool
) -> Webhook:
    """Return the webhook of a request; raises BadRequestError if its address cannot be called.

    token: of the request; it is not stored. has_proxy: whether a proxy resolves names.
    """
    checked = check_url(url, allowed_networks, has_proxy=has_proxy)
    return Webhook(url=checked, key=signing_key(token).hex())


def check_url(url: str, allowed_networks: Sequence[Network], *, has_proxy: bool) -> str:
    """Return a webhook_url without the spaces around it; raises BadRequestError if it cannot be called.

    What only the name's addresses show is learned when the webhook is sent.
    """
    try:
        parsed = parse_url(url.strip(), verb="called")
        port = 80 if parsed.port is None else parsed.port
        if not _HOST.fullmatch(parsed.raw_host) or not 0 < port <= 65535:
            raise FetchFailedError("This is not a URL.")
    except FetchFailedError as error:
        raise BadRequestError(f"webhook_url cannot be called: {error}", "webhook_url") from None
    host = parsed.raw_host.decode("ascii")
    may_be_called = (
        may_be_public(host, allowed_networks)
        if has_proxy
        else not is_private_address(host, allowed_networks)
    )
    if not may_be_called:
        raise BadRequestError(
            "webhook_url cannot be called: its address is not public.", "webhook_url"
        )
    return url.strip()
