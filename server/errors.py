"""The one table of status codes, and the one error body that every refusal is answered with.

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
|- BusyError                429   as many requests as may are in hand; Retry-After says when to try again
|- FetchRefusedError        460   the picture at an address could not be fetched
|- CannotWorkError          506   a sound request that this input or this profile cannot serve
|- UnavailableError         503   a model, the store or the database is unavailable just now
|  |- RequestTimeoutError   503   the work took longer than it may
|  `- ShuttingDownError     503   the process ends before the work is done
|- JobFailedError           any   what a job of sync=false failed with, told at its link
"""

import http
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from imaging.masks import MaskRatioError
from models.errors import (
    DeadlineExceededError,
    EngineBusyError,
    EngineUnavailableError,
    ModelUnavailableError,
    NothingToCopyError,
    ReferenceUnsupportedError,
)
from pipelines.common.subject import NoForegroundError
from pipelines.crop import CropTooLargeError
from pipelines.image_expansion import OutsideCanvasError
from pipelines.image_to_psd import CanvasTooLongError
from pipelines.objects_remove import NoSuchMaskError
from pipelines.people.actions import BadActionError
from storage.database import DatabaseUnavailableError
from storage.object_store import StoreUnavailableError

log = logging.getLogger("retouch")

_STATUS_WORDS = {460: "IMAGE_FETCH_FAILED", 506: "INSUFFICIENT_DATA", 422: "CONTENT_BLOCKED"}


_COME_AGAIN_S = 5
"""When to come again after 503: what is away is back in seconds, or takes longer than can be told."""


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
    """429: the house is full."""

    code = 429


class FetchRefusedError(ApiError):
    """460: the picture at an address could not be fetched."""

    code = 460


class UnavailableError(ApiError):
    """503: a model, the store or the database is not to be had just now; Retry-After says when again."""

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


_FROM_BELOW: Mapping[type[Exception], tuple[type[ApiError], str]] = {
    MaskRatioError: (BadRequestError, "The mask and the image must have the same aspect ratio"),
    OutsideCanvasError: (BadRequestError, "original_image_location leaves nothing of the image"),
    NoForegroundError: (CannotWorkError, "No foreground was found in the image"),
    CanvasTooLongError: (TooLargeError, "The image is too large for a PSD file"),
    CropTooLargeError: (TooLargeError, "With this padding the result is too large"),
    NoSuchMaskError: (CannotWorkError, "This visual has no such mask"),
    BadActionError: (BadRequestError, "This change cannot be made"),
    ReferenceUnsupportedError: (
        CannotWorkError,
        "This server's profile makes scenes from prompts alone",
    ),
    NothingToCopyError: (CannotWorkError, "Nothing of the image is left to fill the area from"),
    ModelUnavailableError: (UnavailableError, "A model cannot be loaded"),
    EngineUnavailableError: (UnavailableError, "The models are not to be had just now"),
    DeadlineExceededError: (RequestTimeoutError, "The request was given up"),
    MemoryError: (UnavailableError, "There is not enough memory for this just now"),
}
"""What the layers below raise, and the refusal each becomes."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the layers below raise into refusals."""
    try:
        yield
    except EngineBusyError as error:
        raise busy(str(error), error.retry_after) from error
    except tuple(_FROM_BELOW) as error:
        kind, text = next(
            refusal for known, refusal in _FROM_BELOW.items() if isinstance(error, known)
        )
        detail = str(error)
        raise kind(f"{text}: {detail}." if detail else f"{text}.") from error


def busy(text: str, seconds: int) -> BusyError:
    """Make the refusal of a full house, which says when to come again."""
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


def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class alone
    return error_response(error)


def _away(request: Request, error: Exception) -> Response:
    """Answer where the store or the database is away; what it said is for the log alone."""
    log.error("%s %s: %s", request.method, request.url.path, error)
    what = "store" if isinstance(error, StoreUnavailableError) else "database"
    return error_response(UnavailableError(f"The {what} is not to be had just now; try again."))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    text = {
        404: f"There is no route {request.url.path[:200]}.",
        405: f"{request.method} is not a method of this route.",
    }.get(error.status_code, str(error.detail))
    return JSONResponse(
        error_body(error.status_code, text), error.status_code, headers=error.headers
    )


def install(app: FastAPI) -> None:
    """Answer every refusal of `app` with the one error body."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(StoreUnavailableError, _away)
    app.add_exception_handler(DatabaseUnavailableError, _away)
    app.add_exception_handler(HTTPException, _http_error)
