"""The body of webhooks: what the status service answers about the request, to the byte."""

from collections.abc import Callable

from starlette.responses import JSONResponse

from server.errors import NotFoundError
from server.jobs.outcome import IN_PROGRESS, Outcome
from server.v2.status import status_body
from server.webhooks.delivery import ReadBody

FindOutcome = Callable[[str, str], Outcome | None]
"""Returns the outcome of a request by its organisation and its id; None if there is no such request."""


def read_body(find: FindOutcome) -> ReadBody:
    """Return the function that reads the body of a webhook."""

    def read(organisation: str, request_id: str) -> bytes | None:
        outcome = find(organisation, request_id)
        if outcome is None:
            raise NotFoundError("There is no such request.")
        if outcome == IN_PROGRESS:
            return None
        return bytes(JSONResponse(status_body(request_id, outcome)).body)

    return read
