"""Each error of the API: its cause, and what the caller or the operator does about it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from server import errors
from server.errors import ApiError
from server.http.error_answers import status_word


@dataclass(frozen=True)
class ErrorEntry:
    """What causes an error answer, and the remedy.

    kind: its class. code: the status, where the class has no fixed one. routes: a pattern of the routes, method
    and path, that can answer with it; None for all.
    """

    kind: type[ApiError]
    cause: str
    remedy: str
    code: int = 0
    routes: str | None = None

    @property
    def answered(self) -> int:
        """The status code of the answer."""
        return self.code or self.kind.code

    @property
    def status(self) -> str:
        """The `status` in the body of version 1."""
        return self.kind.status or status_word(self.answered)


_EDITS = r"POST /v1/|POST /v2/|GET /v1/.*/(blur_bg|increase_resolution)"
_POSTS = "POST "
_WORK = r"/v1/|/v2/"

ENTRIES = (
    ErrorEntry(
        errors.BadRequestError,
        "A field is missing, has the wrong type or is out of bounds; a picture is damaged; a mask marks nothing.",
        "Read `parameter` and the text: they name the field and what it may be. Sending it again does not help.",
    ),
    ErrorEntry(
        errors.InvalidTokenError,
        "The token is missing or unknown, has expired or was revoked. Or a proxy dropped the header `api_token`.",
        "Send the token in `api_token`, or as `Authorization: Bearer`. nginx needs `underscores_in_headers on`,"
        " Caddy `expected_underscore_headers api_token`.",
    ),
    ErrorEntry(
        errors.LinkRefusedError,
        "The link of a result has expired, was revoked, or was not made by this server.",
        "Make the result again. `RETOUCH_LINK_TTL_S` says how long links live.",
        routes="/results/",
    ),
    ErrorEntry(
        errors.MissingScopeError,
        "The token is known, but lacks the scope that the route needs: `edit`, `read` or `admin`.",
        "Use another token, or create one with `retouch tokens create --scope`.",
    ),
    ErrorEntry(
        errors.NotFoundError,
        "There is no such visual, request or result for this organisation, or the result does not exist yet.",
        "A link of `sync=false`: ask again until it is 200. Otherwise check the id, and that the token is of the"
        " organisation that made it.",
    ),
    ErrorEntry(
        errors.HttpError,
        "There is no route with this path.",
        "Compare the path with the list of operations; `/v1` or `/v2` is in it once.",
        404,
        routes="no route",
    ),
    ErrorEntry(
        errors.HttpError,
        "The route exists, but not with this method.",
        "Use the method that the page of the operation names; most are POST.",
        405,
        routes="no route",
    ),
    ErrorEntry(
        errors.SideTooSmallError,
        "A side of the picture is shorter than increase_resolution accepts.",
        "Send a picture with at least 216 pixels on each side.",
        routes="increase_resolution",
    ),
    ErrorEntry(
        errors.NotAcceptableError,
        "The header `Accept` names no type in which the route can answer.",
        "Leave `Accept` out to get JSON, or name one of the types in the text.",
    ),
    ErrorEntry(
        errors.BodyTimeoutError,
        "The body took longer than `RETOUCH_BODY_TIMEOUT_S`, or arrives slower than 1,024 bytes a second.",
        "Send it again over a better line, or send an address instead of the file.",
        routes=_POSTS,
    ),
    ErrorEntry(
        errors.InWorkError,
        "A request with the same `Idempotency-Key` is still in work.",
        "Send the same request again after `Retry-After`: it gets the first answer.",
        routes=_POSTS,
    ),
    ErrorEntry(
        errors.TooLargeError,
        "The body, a picture or the result has more bytes or pixels than allowed, or the request needs more memory"
        " than the server has for requests.",
        "Send a smaller picture or ask for a smaller result. The operator can raise `RETOUCH_MAX_BODY_MB`,"
        " `RETOUCH_MAX_PICTURE_MB`, `RETOUCH_MAX_PIXELS` or `RETOUCH_REQUEST_MEMORY_MB`; the text says which"
        " limit it was.",
        routes=_EDITS,
    ),
    ErrorEntry(
        errors.UnsupportedPictureError,
        "The file is no picture, is animated, or has a format or colour mode that the route does not accept; or"
        " the"
        " body has a type that the API does not know.",
        "Convert the picture to JPEG or PNG. Send the body as JSON, multipart or urlencoded.",
        routes=_POSTS,
    ),
    ErrorEntry(
        errors.BlockedError,
        "Content moderation was asked for, and refused a picture or the result.",
        "Send another picture. The operator sets the threshold with `RETOUCH_MODERATION_THRESHOLD`.",
        routes=_EDITS,
    ),
    ErrorEntry(
        errors.UnsuitablePictureError,
        "The route cannot treat such a picture, and the text says why.",
        "Do what the text says, or send another picture.",
        routes=_EDITS,
    ),
    ErrorEntry(
        errors.KeyReusedError,
        "Another request was sent with the same `Idempotency-Key`.",
        "Use a new key for each new request, and the old one only to repeat exactly the same request.",
        routes=_POSTS,
    ),
    ErrorEntry(
        errors.BusyError,
        "The server, or this organisation's share of it, is full.",
        "Wait as long as `Retry-After` says, then send it again. The operator can add servers, or raise"
        " `RETOUCH_MAX_WAITING`, `RETOUCH_MAX_AT_ONCE` or `RETOUCH_MAX_JOBS`.",
    ),
    ErrorEntry(
        errors.QuotaExceededError,
        "The organisation stores as much as it may.",
        "Remove registered pictures with `remove_image`, or wait until results expire. The operator can raise"
        " `RETOUCH_MAX_STORED_MB` or `RETOUCH_MAX_VISUALS`.",
        routes=_EDITS,
    ),
    ErrorEntry(
        errors.RateLimitedError,
        "The organisation sent more requests to the route within a minute than it may.",
        "Wait as long as `Retry-After` says. The operator can raise `RETOUCH_REQUESTS_PER_MINUTE` or set"
        " `RETOUCH_RATE_LIMITS`.",
    ),
    ErrorEntry(
        errors.FetchRefusedError,
        "The server could not fetch the picture at an address: it is private, unreachable, or answers with an"
        " error.",
        "Open the address from the server's network. Send the file itself, or let the operator add the network to"
        " `RETOUCH_ALLOWED_URL_NETWORKS`.",
        routes=_POSTS,
    ),
    ErrorEntry(
        errors.HttpError,
        "A fault of the server.",
        "Tell the operator; the log has the details. The same request may fail again.",
        500,
    ),
    ErrorEntry(
        errors.UnavailableError,
        "A model cannot be loaded, there is not enough memory, the disk is full, or the store or the database"
        " does not"
        " answer.",
        "Send it again after `Retry-After`. The operator looks at `/readyz`, `/admin` and the log.",
    ),
    ErrorEntry(
        errors.RequestTimeoutError,
        "The request waited and ran longer than `RETOUCH_REQUEST_TIMEOUT_S`.",
        "Send it with `sync=false`, or as a smaller picture.",
        routes=_WORK,
    ),
    ErrorEntry(
        errors.NotStoredError,
        "The work is done, but its results cannot be stored: the store or the database does not answer.",
        "Send it again after `Retry-After`.",
        routes=_EDITS,
    ),
    ErrorEntry(
        errors.ShuttingDownError,
        "The server is shutting down before the work is done.",
        "Send it again: another server, or the same one after its restart, does it.",
    ),
    ErrorEntry(
        errors.CannotWorkError,
        "The request is valid, but impossible with this picture: it has no subject, no such mask or person, or"
        " nothing"
        " is left to fill from.",
        "Send another picture. Sending it again does not help.",
        routes=_WORK,
    ),
    ErrorEntry(
        errors.NotInProfileError,
        "This server's profile has no model for the request, or a setting for it is missing.",
        "The text names the profiles that have a model. The operator sets `RETOUCH_PROFILE`. No picture works"
        " until then.",
        routes=_WORK,
    ),
    ErrorEntry(
        errors.JobFailedError,
        "A job of `sync=false` failed. Its link answers with the code that the request would have had.",
        "Read the code and the text, and do what this page says about that code.",
        routes="/results/",
    ),
)


def entries_of(code: int, route: str) -> Iterator[ErrorEntry]:
    """Yield the causes of a status code on a route, such as `POST /v1/crop`."""
    for entry in ENTRIES:
        fits = entry.routes is None or re.search(entry.routes, route)
        if entry.answered == code and fits:
            yield entry


def codes() -> list[int]:
    """Return the status codes of errors, in order; the error of a failed job has no code of its own."""
    return sorted({entry.answered for entry in ENTRIES if entry.kind is not errors.JobFailedError})


def heading(code: int) -> str:
    """Return the heading of a status code on the page of errors."""
    return f"{code} {status_word(code)}"


def anchor(code: int) -> str:
    """Return the anchor of that heading, on GitHub and in the site."""
    return heading(code).lower().replace(" ", "-")
