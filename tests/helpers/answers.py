"""What tests expect of the server's answers."""

from typing import Any
from urllib.parse import urlsplit


def refused(answer: Any, code: int) -> dict[str, Any]:
    """Check that an answer is a refusal with the one error body, and give that."""
    assert answer.status_code == code, answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["description"] == body["message"] == body["error"] != ""
    assert body["status"].isupper()
    return body


def local(link: str) -> str:
    """Give a link without its address."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"
