"""The signature of a webhook, with a key that is derived from the caller's token.

The scheme is that of the original's webhooks; docs/webhooks.md describes it for receivers.
"""

import base64
import hashlib
import hmac

_KEY_CONTEXT = b"bria-webhook-signing-v1"


def signing_key(token: str) -> bytes:
    """Return the key, 32 bytes, that signs the webhooks of a caller.

    token: as the server reads it from a header, one character for each byte. The token cannot be
    computed from the key, so a stored key cannot be used for requests.
    """
    return hmac.digest(_sent_as(token), _KEY_CONTEXT, hashlib.sha256)


def sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header Bria-Webhook-Signature.

    key: of `signing_key`. webhook_id, timestamp: as in the headers; the timestamp in Unix seconds.
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.digest(key, signed, hashlib.sha256)
    return "v1=" + base64.b64encode(digest).decode("ascii")


def _sent_as(token: str) -> bytes:
    """Return a token in UTF-8, in which a receiver has it, although its client may send Latin-1."""
    raw = token.encode("latin-1")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return token.encode()
    return raw
