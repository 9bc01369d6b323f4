"""Sign and verify the links to stored objects, so that a link cannot be guessed and expires."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from enum import Enum
from pathlib import Path
from typing import Protocol

_SECRET_BYTES = 32
# 999999999999 s is the year 33658; a longer number cannot come from a real link.
_MAX_EXPIRES_DIGITS = 12
_KNOWN_GENERATIONS = 8
"""How many earlier generations a link is recognized as one of; older ones count as forged."""


class LinkState(Enum):
    """The result of verifying a link."""

    OK = "ok"
    EXPIRED = "expired"
    """The signature is valid, but the time is over."""
    REVOKED = "revoked"
    """The signature is valid, but the links of the organisation were revoked after it was made."""
    FORGED = "forged"
    """The signature is not valid for this key and time."""


class SignedLinks(Protocol):
    """Signs the links to stored objects and verifies them."""

    def sign(self, key: str, expires: int) -> str:
        """Return the query string of a link to `key`, which expires `expires` seconds after 1970."""
        ...

    def verify(self, key: str, expires: str, signature: str, now: float) -> LinkState:
        """Return whether a link is valid at the time `now`, in seconds since 1970."""
        ...


class LinkSigner:
    """Signs a key and its expiry time with HMAC-SHA256 (RFC 2104)."""

    def __init__(self, secret: bytes) -> None:
        """Sign with `secret`; raises ValueError if it has fewer than 32 bytes."""
        if len(secret) < _SECRET_BYTES:
            raise ValueError(
                f"a link secret must have at least {_SECRET_BYTES} bytes, this has {len(secret)}"
            )
        self._secret = secret

    def sign(self, key: str, expires: int, generation: int = 0) -> str:
        """Return the query string of a link to `key`.

        A link permits to read (GET, HEAD) this key only: the one route of results has no other method.
        expires: the time at which the link expires, in seconds since 1970. generation: how often the
        links of the key's organisation were revoked before. Raises ValueError if `expires` is negative
        or has more than 12 digits.
        """
        if not 0 <= expires < 10**_MAX_EXPIRES_DIGITS:
            raise ValueError(f"expires is out of range: {expires}")
        return f"expires={expires}&signature={self._signature(key, str(expires), generation)}"

    def verify(
        self, key: str, expires: str, signature: str, now: float, generation: int = 0
    ) -> LinkState:
        """Return whether a link is valid, expired, revoked or forged; never raises.

        key: from the link's path. expires, signature: from its query, unchanged. now: seconds since
        1970. generation: that of the key's organisation now. A link is valid while `now` is less than
        `expires`. Any text that `sign` did not return is FORGED; only a link with a valid signature can
        be EXPIRED or REVOKED.
        """
        if not (expires.isascii() and expires.isdigit() and len(expires) <= _MAX_EXPIRES_DIGITS):
            return LinkState.FORGED
        if not signature.isascii():
            return LinkState.FORGED
        if self._is_signed(key, expires, signature, generation):
            return LinkState.OK if now < int(expires) else LinkState.EXPIRED
        earlier = range(max(0, generation - _KNOWN_GENERATIONS), generation)
        if any(self._is_signed(key, expires, signature, number) for number in earlier):
            return LinkState.REVOKED
        return LinkState.FORGED

    def _is_signed(self, key: str, expires: str, signature: str, generation: int) -> bool:
        # The texts are compared, not the decoded bytes: several base64 texts decode to the same
        # signature, and only one of them is the text that `sign` returned.
        return hmac.compare_digest(self._signature(key, expires, generation), signature)

    def _signature(self, key: str, expires: str, generation: int) -> str:
        # The numbers come first and contain no newline, so two different triples of key, time and
        # generation never give the same message. Generation 0 is that of links of earlier versions.
        numbers = f"{generation};{expires}" if generation else expires
        message = f"{numbers}\n{key}".encode(errors="surrogatepass")
        digest = hmac.digest(self._secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def load_or_create_secret(path: Path) -> bytes:
    """Return the 32-byte secret stored at `path`; the first call creates the file with mode 0600.

    Processes that start at the same time get the same secret. Raises ValueError if the file has
    another length, because links signed with a shorter secret could be forged.
    """
    if not path.exists():
        _create_secret(path)
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise ValueError(f"{path} has {len(secret)} bytes, a secret must have {_SECRET_BYTES}")
    return secret


def _create_secret(path: Path) -> None:
    """Create a secret at `path`.

    It is written to a temporary file that is then linked to `path`, so that other processes never
    read a partial secret and no existing one is replaced.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: use its secret
            os.link(temporary, path)
    finally:
        temporary.unlink()
