"""Authentication: the `api_token` header and the organisation that it belongs to."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.requests import Request

from server.errors import InvalidTokenError

_MAX_TOKEN_LENGTH = 1024


class Tokens:
    """The valid tokens, stored as digests, so that every comparison takes the same time.

    pairs: texts `organisation:token`. If empty, every token is valid and is its own organisation.
    """

    def __init__(self, pairs: Sequence[str]) -> None:
        split = (pair.partition(":") for pair in pairs)
        self._organisations = {_digest(token): organisation for organisation, _, token in split}

    def organisation(self, request: Request) -> str:
        """Return the organisation of a request's token.

        Raises InvalidTokenError if there is no token, or if it belongs to no organisation.
        """
        token = request.headers.get("api_token", "").strip()
        if not token or len(token) > _MAX_TOKEN_LENGTH:
            raise InvalidTokenError("The api_token header is missing or invalid: no token.")
        digest = _digest(token)
        if not self._organisations:
            return "local-" + digest.hex()[:16]
        found = None
        for known_digest, organisation in self._organisations.items():
            if hmac.compare_digest(known_digest, digest):
                found = organisation
        if found is None:
            raise InvalidTokenError("The api_token is invalid: no organisation has this token.")
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
