"""Checks of the server's answers that many tests share."""

from typing import Any
from urllib.parse import urlsplit


def refused(answer: Any, code: int) -> dict[str, Any]:
    """Check that an answer is a refusal with the common error body; return the body."""
    assert answer.status_code == code, answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["description"] == body["message"] == body["error"] != ""
    assert body["status"].isupper()
    return body


def local(link: str) -> str:
    """Return the path and query of a link, without the server's address."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"
