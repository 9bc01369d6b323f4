"""Whether a webhook comes from a server that knows the token, and what it tells."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from time import time

from retouch.client.answers import Answer, answer_of_state


class InvalidWebhookError(Exception):
    """A webhook is not genuine, or is old. The text says why."""


def read_webhook(
    token: str, headers: Mapping[str, str], body: bytes, max_age_s: float = 300
) -> Answer:
    """Return the answer that a webhook tells; its `request_id` names the request.

    headers: of the request, in any case. body: its bytes as they arrived. max_age_s: how far the time of the
    signature may be from now. Raises InvalidWebhookError, and ApiError if the work failed.
    """
    known = {name.lower(): value for name, value in headers.items()}
    names = ("bria-webhook-id", "bria-webhook-timestamp", "bria-webhook-signature")
    webhook_id, timestamp, signatures = (known.get(name, "") for name in names)
    key = hmac.digest(token.encode(), b"bria-webhook-signing-v1", hashlib.sha256)
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    right = b"v1=" + base64.b64encode(digest)
    given = [one.strip().encode() for one in signatures.split(",")]
    if not any(hmac.compare_digest(one, right) for one in given):
        raise InvalidWebhookError("The signature is not one of this token.")
    if abs(time() - int(timestamp)) > max_age_s:  # a number, since it is signed
        raise InvalidWebhookError("The signature is too old, or of the future.")
    answer = answer_of_state(json.loads(body))
    if answer is None:
        raise InvalidWebhookError("The webhook tells no final state.")
    return answer
