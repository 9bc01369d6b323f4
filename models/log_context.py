"""What every log line of a piece of work has, such as the id of its request, on whatever thread it runs.

It belongs to a context (`contextvars`). Code that hands work to another thread, another process or the database
hands on `log_context()`, and the code that runs it enters `log_scope` with it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from structlog.contextvars import bound_contextvars, get_contextvars

REQUEST_ID = "request_id"
"""The id by which a caller knows a request: X-Request-ID."""
JOB_ID = "job_id"
"""The id of a request's job; version 2 names it `request_id`."""

TRACEPARENT = "traceparent"
"""The span of a trace in which the work is done, in the form of W3C Trace Context; lines have its trace."""

LogContext = Mapping[str, Any]


def log_context() -> LogContext:
    """Return the fields of the lines that this context logs; a few short texts."""
    return get_contextvars()


def log_scope(fields: LogContext) -> AbstractContextManager[None]:
    """Add fields to the lines that are logged while the scope lasts, in this context."""
    return bound_contextvars(**fields)
