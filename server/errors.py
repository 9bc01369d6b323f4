"""Every error of server/, and their status codes.

ApiError                    code  when
|- BadRequestError          400   a field is missing, malformed or out of bounds
|- InvalidTokenError        401   the token is missing or unknown
|- LinkRefusedError         403   a result link has expired, was revoked or has no valid signature
|- MissingScopeError        403   the token does not have the scope that the route needs
|- NotFoundError            404   no such route, visual or result
|- SideTooSmallError        406   increase_resolution below 216 px
|- NotAcceptableError       406   Accept asks for a type in which the route cannot answer
|- BodyTimeoutError         408   the body took too long to arrive, or arrives too slowly
|- InWorkError              409   a call with the same Idempotency-Key is in work; Retry-After
|- TooLargeError            413   more bytes or pixels than allowed
|- UnsupportedPictureError  415   the route does not accept the format or colour mode
|- BlockedError             422   content moderation refused a picture
|- UnsuitablePictureError   422   the route cannot treat such a picture
|- KeyReusedError           422   another request was sent with the same Idempotency-Key
|- BusyError                429   the server is at its limit; Retry-After says when to retry
|- QuotaExceededError       429   the organisation stores as much as it may; Retry-After
|- RateLimitedError         429   the organisation sent too many requests within a minute; Retry-After
|- FetchRefusedError        460   the picture at an address could not be fetched
|- UnavailableError         503   a model, the store or the database is unavailable
|  |- RequestTimeoutError   503   the work took longer than its timeout
|  |- NotStoredError        503   the work is done, but the store or the database does not answer
|  `- ShuttingDownError     503   the process shuts down before the work is done
|- CannotWorkError          506   a valid request that is impossible with this picture
|  `- NotInProfileError     506   this server has no model, or no setting, for the request
|- HttpError                any   an error of the web framework, or one that nothing handles
`- JobFailedError           any   a job of sync=false failed; its link answers with its code

Exception
|- FetchFailedError               a URL could not be reached; for a picture becomes FetchRefusedError
|- FetchTooLargeError             the file at an address is too large; becomes TooLargeError
`- WebhookFailedError             a receiver did not take a webhook; it is sent again later

BaseException
`- JobInterruptedError            the process shuts down before a job or a webhook is done; it is done later

`map_errors` turns errors of lower layers into an ApiError: by `Operation.refusals` if only one
operation raises them, else by `GENERAL_REFUSALS`. All other errors are answered with 500.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import cv2

from imaging.errors import MaskRatioError
from models.errors import (
    DeadlineExceededError,
    EngineBusyError,
    EngineUnavailableError,
    ModelUnavailableError,
    NothingToCopyError,
    RoleNotInProfileError,
)
from pipelines.errors import (
    BadInstructionError,
    NoDescriptionError,
    NoForegroundError,
    NothingVisibleError,
    TransparentEdgeError,
)

log = logging.getLogger("retouch")

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_HTTP_REASONS = {404: "no_route", 405: "method_not_allowed", 500: "internal"}
_STORAGE_REASONS = ("database_unavailable", "disk_full", "store_unavailable")
"""Reasons of errors of storage/, which `server.http.error_answers` answers."""
_RETRY_AFTER_S = 5
"""Retry-After of 503, in seconds. Most such faults end within seconds; the length of others is unknown."""


class ApiError(Exception):
    """An error answer. Its text is for the caller.

    reason: by which metrics count it: the words of its class, or what says more, of a small set. status: its
    name in the body, if the code alone does not decide it. parameter: the wrong field, if there is one.
    headers: additional response headers.
    """

    code = 500
    status: str | None = None
    reason = "api"

    def __init_subclass__(cls) -> None:
        cls.reason = _CAPITAL.sub("_", cls.__name__.removesuffix("Error")).lower()

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
    """401: the token is missing or unknown."""

    code = 401


class LinkRefusedError(ApiError):
    """403: a result link has expired, was revoked or has no valid signature."""

    code = 403


class MissingScopeError(ApiError):
    """403: the token does not have the scope that the route needs."""

    code = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"The api_token does not have the scope {scope}, which this route needs.")


class NotFoundError(ApiError):
    """404: no such route, visual or result."""

    code = 404


class SideTooSmallError(ApiError):
    """406: a side is shorter than increase_resolution accepts."""

    code = 406


class NotAcceptableError(ApiError):
    """406: the header Accept asks for a type in which the route cannot answer."""

    code = 406


class BodyTimeoutError(ApiError):
    """408: the body took too long to arrive, or arrives too slowly; the connection is closed."""

    code = 408

    def __init__(self, text: str) -> None:
        super().__init__(text, headers={"Connection": "close"})  # RFC 9110, section 15.5.9


class InWorkError(ApiError):
    """409: a call with the same Idempotency-Key is in work; Retry-After says when to try again."""

    code = 409


class TooLargeError(ApiError):
    """413: more bytes or pixels than allowed."""

    code = 413


class UnsupportedPictureError(ApiError):
    """415: the route does not accept the format or colour mode."""

    code = 415


class BlockedError(ApiError):
    """422: content moderation refused a picture."""

    code = 422


class UnsuitablePictureError(ApiError):
    """422 with a status of its own: the route cannot treat such a picture."""

    code = 422
    status = "UNSUITABLE_IMAGE"


class KeyReusedError(ApiError):
    """422: another request was sent with the same Idempotency-Key."""

    code = 422
    status = "IDEMPOTENCY_KEY_REUSED"


class BusyError(ApiError):
    """429: the server is at its limit; Retry-After says when to try again."""

    code = 429


class QuotaExceededError(ApiError):
    """429 with a status of its own: the organisation stores as much as it may.

    seconds: when some of it will have expired.
    """

    code = 429
    status = "QUOTA_EXCEEDED"

    def __init__(self, text: str, seconds: int) -> None:
        super().__init__(text, headers={"Retry-After": str(seconds)})


class RateLimitedError(ApiError):
    """429: the organisation has sent too many requests within a minute; Retry-After says when to try again."""

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
        super().__init__(text, parameter, {"Retry-After": str(_RETRY_AFTER_S), **(headers or {})})


class RequestTimeoutError(UnavailableError):
    """503: the work took longer than its timeout."""


class NotStoredError(UnavailableError):
    """503: the work is done, but its results cannot be stored before the store or the database is back."""


class ShuttingDownError(UnavailableError):
    """503: the process shuts down before the work is done."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; another may answer.")


class CannotWorkError(ApiError):
    """506: a valid request that is impossible with this picture, or with this server's profile."""

    code = 506


class NotInProfileError(CannotWorkError):
    """506 with a status of its own: this server has no model, or no setting, for the request."""

    status = "NOT_IN_PROFILE"


class JobFailedError(ApiError):
    """A job of sync=false failed; its link answers with this code, status and parameter."""

    def __init__(
        self, text: str, code: int, status: str | None = None, parameter: str | None = None
    ) -> None:
        super().__init__(text, parameter)
        self.code = code
        self.status = status


class HttpError(ApiError):
    """An error with a code that no class of its own stands for."""

    def __init__(self, text: str, code: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text, headers=headers)
        self.code = code
        self.reason = _HTTP_REASONS.get(code, "http")


class FetchFailedError(Exception):
    """The picture could not be fetched. The reason is for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchTooLargeError(Exception):
    """The file at an address is larger than the limit, `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


class WebhookFailedError(Exception):
    """A receiver did not take a webhook. Its text is for the log."""


class JobInterruptedError(BaseException):
    """The process shuts down before this work is done. Not an Exception: its workflow must stay pending."""


Refusals = Mapping[type[Exception], tuple[type[ApiError], str]]
"""By class of an error in a lower layer: the class of the ApiError, and the start of its text."""

GENERAL_REFUSALS: Refusals = {
    MaskRatioError: (BadRequestError, "The mask and the image must have the same aspect ratio"),
    NoForegroundError: (CannotWorkError, "No foreground was found in the image"),
    NothingVisibleError: (BadRequestError, "The image is completely transparent"),
    TransparentEdgeError: (UnsuitablePictureError, "The image cannot be expanded"),
    BadInstructionError: (BadRequestError, "The structured instruction cannot be used"),
    NoDescriptionError: (
        UnsuitablePictureError,
        "The model has no words for this picture: send a prompt too",
    ),
    NothingToCopyError: (CannotWorkError, "Nothing of the image is left to fill the area from"),
    RoleNotInProfileError: (NotInProfileError, "This server's profile has no model"),
    ModelUnavailableError: (UnavailableError, "A model cannot be loaded"),
    EngineUnavailableError: (UnavailableError, "The models are unavailable"),
    DeadlineExceededError: (RequestTimeoutError, "The request timed out"),
    MemoryError: (UnavailableError, "There is not enough memory for this at the moment"),
}
"""Errors that several operations can raise. Errors of only one are in its `Operation.refusals`."""


@contextmanager
def map_errors(
    refusals: Refusals = MappingProxyType({}), parameter: str | None = None
) -> Iterator[None]:
    """Turn errors of lower layers into an ApiError.

    refusals: of one operation, before the general ones. parameter: the field that the errors are about.
    """
    known = {**GENERAL_REFUSALS, **refusals}
    try:
        yield
    except EngineBusyError as error:
        raise busy_error(str(error), error.retry_after) from error
    except tuple(known) as error:
        kind, text = next(known[cls] for cls in type(error).__mro__ if cls in known)
        detail = str(error).rstrip(".")
        raise kind(f"{text}: {detail}." if detail else f"{text}.", parameter) from error
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        kind, text = GENERAL_REFUSALS[MemoryError]  # OpenCV's error is not a MemoryError
        raise kind(f"{text}.") from error


def refusal_reasons() -> frozenset[str]:
    """Return all values that `ApiError.reason` can have."""
    found, left = set[str](), [ApiError]
    while left:
        subclasses = left.pop().__subclasses__()
        found |= {one.reason for one in subclasses}
        left += subclasses
    return frozenset(found | {*_HTTP_REASONS.values(), *_STORAGE_REASONS})


def busy_error(text: str, seconds: int) -> BusyError:
    """Return the error of a server at its limit. seconds: when the caller should retry."""
    return BusyError(f"{text}; try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def still_in_work(header: str) -> InWorkError:
    """Return the error of a repeated call whose first call takes long. header: that of the key."""
    return InWorkError(
        f"The request with this {header} is still in work; try again in {_RETRY_AFTER_S} s.",
        header,
        {"Retry-After": str(_RETRY_AFTER_S)},
    )
