"""The outcome of a job as JSON: what the status service and webhooks tell about it."""

from collections.abc import Mapping
from typing import Any

from server.errors import ApiError
from server.http.error_answers import error_object

Outcome = Mapping[str, Any]
"""`{"status": "COMPLETED", "result": {...}}`, or `{"status": "ERROR", "error": {...}}`."""

IN_PROGRESS: Outcome = {"status": "IN_PROGRESS"}
"""The state of a job before its outcome."""


def completed(result: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a job with results. result: JSON values."""
    return {"status": "COMPLETED", "result": dict(result)}


def failed(code: int, text: str) -> Outcome:
    """Return the outcome of a job that failed. code: an HTTP status; text: for the caller."""
    return {"status": "ERROR", "error": error_object(code, text)}


def failed_with(error: ApiError) -> Outcome:
    """Return the outcome of a job that failed with an error."""
    return failed(error.code, error.text)
