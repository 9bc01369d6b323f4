"""The one instance of DBOS that a process can have: its end, which may come late, and its log."""

import logging
import threading
from concurrent.futures import Future, wait

from dbos import DBOS

from server.errors import UnavailableError

log = logging.getLogger("retouch")

_CLOSING_TIMEOUT_S = 60.0
"""Timeout for the end of an earlier queue of this process, whose database did not answer."""

_end_lock = threading.Lock()
_closing: list[Future[None]] = []


def destroy() -> None:
    """Destroy the instance; several queues of a process may end at once."""
    with _end_lock:
        DBOS.destroy()


def leave_to_end(closing: Future[None]) -> None:
    """Remember the end of a queue that goes on in a thread, because its database does not answer."""
    _closing.append(closing)


def wait_for_earlier() -> None:
    """Wait for the queues that were left to end: they would destroy the instance of a new one.

    Raises UnavailableError if that takes more than a minute.
    """
    done, not_done = wait(_closing, _CLOSING_TIMEOUT_S)
    if not_done:
        raise UnavailableError("The last queue of jobs of this process is not closed yet.")
    for closing in done:
        if (error := closing.exception()) is not None:
            log.error("the last queue of jobs of this process did not close", exc_info=error)
    _closing.clear()


def _is_not_launch_failure(record: logging.LogRecord) -> bool:
    """Whether a record of DBOS is not the traceback of a launch that failed: the caller gets its error."""
    return not record.getMessage().startswith("DBOS failed to launch")


_dbos_log = logging.getLogger("dbos")
_dbos_log.addFilter(_is_not_launch_failure)
# With a handler DBOS adds none of its own: its lines go the way of all others, in their format.
_dbos_log.addHandler(logging.NullHandler())
