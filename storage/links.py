"""Signs the links to stored objects, so that a link cannot be guessed and ends in time."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from enum import Enum
from pathlib import Path

_SECRET_BYTES = 32
# 999999999999 s is the year 33658; longer digits could only be an attempt at something.
_MAX_EXPIRES_DIGITS = 12


class LinkState(Enum):
    """What a link is worth."""

    OK = "ok"
    EXPIRED = "expired"
    """Signed here, but its time is over."""
    FORGED = "forged"
    """Not signed here for this key and time."""


class LinkSigner:
    """Signs a key and the second it ends at with HMAC-SHA256 (RFC 2104)."""

    def __init__(self, secret: bytes) -> None:
        """Sign with `secret`; raises ValueError under 32 bytes."""
        if len(secret) < _SECRET_BYTES:
            raise ValueError(f"a link secret has at least {_SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret

    def sign(self, key: str, expires: int) -> str:
        """Return the query string of a link to `key` that ends at `expires` (seconds since 1970)."""
        if not 0 <= expires < 10**_MAX_EXPIRES_DIGITS:
            raise ValueError(f"expires is out of range: {expires}")
        return f"expires={expires}&signature={self._signature(key, str(expires))}"

    def verify(self, key: str, expires: str, signature: str, now: float) -> LinkState:
        """Judge a link from its path and its query's two texts, as they came.

        Never raises: whatever is not a text that `sign` gave is FORGED. A link is good up to and
        without the second it names. That it expired is told only of a link signed here.
        """
        if not (expires.isascii() and expires.isdigit() and len(expires) <= _MAX_EXPIRES_DIGITS):
            return LinkState.FORGED
        if not signature.isascii():
            return LinkState.FORGED
        # The texts are compared, not the bytes they decode to: base64 has several texts for one
        # signature, and only one of them is ours.
        if not hmac.compare_digest(self._signature(key, expires), signature):
            return LinkState.FORGED
        return LinkState.OK if now < int(expires) else LinkState.EXPIRED

    def _signature(self, key: str, expires: str) -> str:
        # The number comes first and holds no newline, so no two pairs give one message.
        message = f"{expires}\n{key}".encode(errors="surrogatepass")
        digest = hmac.digest(self._secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def load_or_create_secret(path: Path) -> bytes:
    """Read the 32-byte secret at `path`; the first call makes it, readable by its owner alone.

    Processes that start at once all get the same one. Raises ValueError when the file holds
    something else: links made with a secret cut short could be forged.
    """
    if not path.exists():
        _create_secret(path)
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise ValueError(f"{path} holds {len(secret)} bytes, not a secret of {_SECRET_BYTES}")
    return secret


def _create_secret(path: Path) -> None:
    """Write a secret aside and link it to `path`: it appears there whole, and only once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its secret holds
            os.link(aside, path)
    finally:
        aside.unlink()
