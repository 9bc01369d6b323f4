"""Every error of server/, the one table of status codes, and the one error body of every refusal.

ApiError                    code  when
|- BadRequestError          400   a field is missing, malformed or out of bounds
|- InvalidTokenError        401   no api_token header, or one that nobody has
|- LinkRefusedError         403   a result link that is expired or not ours
|- NotFoundError            404   no such route, visual or result
|- SideTooSmallError        406   increase_resolution below 216 px
|- BodyTimeoutError         408   the body took too long to arrive
|- TooLargeError            413   more bytes or pixels than allowed
|- UnsupportedPictureError  415   a format or colour mode that the route does not take
|- BlockedError             422   content moderation refused a picture
|- BusyError                429   the server is at its limit; Retry-After says when to try again
|- FetchRefusedError        460   the picture at an address could not be fetched
|- UnavailableError         503   a model, the store or the database is unavailable
|  |- RequestTimeoutError   503   the work took longer than it may
|  `- ShuttingDownError     503   the process ends before the work is done
|- CannotWorkError          506   a sound request that this input or this profile cannot serve
`- JobFailedError           any   what a job of sync=false failed with, told at its link

Exception
|- FetchFailedError               a picture could not be fetched; becomes FetchRefusedError
`- FetchTooLargeError             the file at an address is too large; becomes TooLargeError

BaseException
`- JobInterruptedError            the process ends with a job undone; the job runs again later

Errors of the layers below become an ApiError in `translated`: those of one operation as its
`Operation.refusals` says, the others as `GENERAL_REFUSALS` says. Everything else is answered with 500.
"""

import http
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from imaging.errors import MaskRatioError
from models.errors import (
    DeadlineExceededError,
    EngineBusyError,
    EngineUnavailableError,
    ModelUnavailableError,
    NothingToCopyError,
)
from storage.errors import DatabaseUnavailableError, StorageError, StoreUnavailableError

log = logging.getLogger("retouch")

_STATUS_WORDS = {460: "IMAGE_FETCH_FAILED", 506: "INSUFFICIENT_DATA", 422: "CONTENT_BLOCKED"}


_COME_AGAIN_S = 5
"""Retry-After of 503: what is unavailable is back in seconds, or after a time that nobody knows."""


class ApiError(Exception):
    """A refusal whose text the caller may read.

    parameter: the field at fault, where one is. headers: further response headers.
    """

    code = 500

    def __init__(
        self, text: str, parameter: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.parameter = parameter
        self.headers = dict(headers or {})


class BadRequestError(ApiError):
    """400: a field is missing, malformed or out of bounds."""

    code = 400


class InvalidTokenError(ApiError):
    """401: no api_token header, or one that nobody has."""

    code = 401


class LinkRefusedError(ApiError):
    """403: a result link that is expired or not ours."""

    code = 403


class NotFoundError(ApiError):
    """404: no such route, visual or result."""

    code = 404


class SideTooSmallError(ApiError):
    """406: a side under the least that increase_resolution takes."""

    code = 406


class BodyTimeoutError(ApiError):
    """408: the body took too long to arrive."""

    code = 408


class TooLargeError(ApiError):
    """413: more bytes or pixels than allowed."""

    code = 413


class UnsupportedPictureError(ApiError):
    """415: a format or colour mode that the route does not take."""

    code = 415


class BlockedError(ApiError):
    """422: content moderation refused a picture."""

    code = 422


class BusyError(ApiError):
    """429: the server is at its limit; Retry-After says when to try again."""

    code = 429


class FetchRefusedError(ApiError):
    """460: the picture at an address could not be fetched."""

    code = 460


class UnavailableError(ApiError):
    """503: a model, the store or the database is unavailable; Retry-After says when to try again."""

    code = 503

    def __init__(
        self, text: str, parameter: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text, parameter, {"Retry-After": str(_COME_AGAIN_S), **(headers or {})})


class RequestTimeoutError(UnavailableError):
    """503: the work took longer than it may."""


class ShuttingDownError(UnavailableError):
    """503: the process ends before the work is done."""

    def __init__(self) -> None:
        super().__init__("The server is ending; another may answer.")


class CannotWorkError(ApiError):
    """506: a sound request that this input or this profile cannot serve."""

    code = 506


class JobFailedError(ApiError):
    """The code that a job of sync=false failed with, told at its link."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class FetchFailedError(Exception):
    """The picture could not be fetched; the reason is fit for the caller to read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchTooLargeError(Exception):
    """The file at the URL is larger than the limit."""


class JobInterruptedError(BaseException):
    """The process ends with this job undone; no Exception, so that its workflow stays pending."""


Refusals = Mapping[type[Exception], tuple[type[ApiError], str]]
"""Errors of the layers below, and the refusal each becomes: its class, and the start of its text."""

GENERAL_REFUSALS: Refusals = {
    MaskRatioError: (BadRequestError, "The mask and the image must have the same aspect ratio"),
    NothingToCopyError: (CannotWorkError, "Nothing of the image is left to fill the area from"),
    ModelUnavailableError: (UnavailableError, "A model cannot be loaded"),
    EngineUnavailableError: (UnavailableError, "The models are unavailable"),
    DeadlineExceededError: (RequestTimeoutError, "The request was given up"),
    MemoryError: (UnavailableError, "There is not enough memory for this just now"),
}
"""What more than one operation may meet; what one alone raises is in its `Operation.refusals`."""


@contextmanager
def translated(refusals: Refusals = MappingProxyType({})) -> Iterator[None]:
    """Turn errors of the layers below into refusals; `refusals` are those of one operation."""
    known = {**GENERAL_REFUSALS, **refusals}
    try:
        yield
    except EngineBusyError as error:
        raise busy(str(error), error.retry_after) from error
    except tuple(known) as error:
        kind, text = next(known[cls] for cls in type(error).__mro__ if cls in known)
        detail = str(error)
        raise kind(f"{text}: {detail}." if detail else f"{text}.") from error


def busy(text: str, seconds: int) -> BusyError:
    """Make the refusal of a server at its limit, which says when to try again."""
    return BusyError(f"{text}; try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def status_word(code: int) -> str:
    """Return the word for a status code, as `BAD_REQUEST`."""
    if code in _STATUS_WORDS:
        return _STATUS_WORDS[code]
    return http.HTTPStatus(code).name


def error_body(code: int, text: str, parameter: str | None = None) -> dict[str, Any]:
    """Build the one error body; callers read the text under any of three names."""
    body: dict[str, Any] = {
        "code": code,
        "description": text,
        "message": text,
        "error": text,
        "status": status_word(code),
    }
    if parameter is not None:
        body["parameter"] = parameter
    return body


def error_response(error: ApiError) -> Response:
    """Answer a refusal."""
    return JSONResponse(
        error_body(error.code, error.text, error.parameter), error.code, headers=error.headers
    )


def install(app: FastAPI) -> None:
    """Answer every refusal of `app` with the one error body."""

    @app.exception_handler(ApiError)
    async def refusal(_: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(StoreUnavailableError)
    async def store_unavailable(request: Request, error: StoreUnavailableError) -> Response:
        return _unavailable("store", request, error)

    @app.exception_handler(DatabaseUnavailableError)
    async def database_unavailable(request: Request, error: DatabaseUnavailableError) -> Response:
        return _unavailable("database", request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        text = {
            404: f"There is no route {request.url.path[:200]}.",
            405: f"{request.method} is not a method of this route.",
        }.get(error.status_code, str(error.detail))
        body = error_body(error.status_code, text)
        return JSONResponse(body, error.status_code, headers=error.headers)


def _unavailable(what: str, request: Request, error: StorageError) -> Response:
    """Answer that the store or the database is unavailable; the reason is for the log alone."""
    log.error("%s %s: %s", request.method, request.url.path, error)
    return error_response(UnavailableError(f"The {what} is unavailable; try again."))
