"""The answers of errors: one body in v1 and elsewhere, another one below /v2."""

import http
import logging
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from server.errors import ApiError, HttpError, UnavailableError
from server.http.matched_route import matched_operation
from server.http.refusals import note_refusal
from server.http.request_id import correlation_id
from storage.errors import (
    DatabaseUnavailableError,
    DiskFullError,
    StorageError,
    StoreUnavailableError,
)

log = logging.getLogger("retouch")

_STATUS_WORDS = {
    413: "REQUEST_ENTITY_TOO_LARGE",  # CONTENT_TOO_LARGE in newer versions of Python
    422: "CONTENT_BLOCKED",
    460: "IMAGE_FETCH_FAILED",
    506: "INSUFFICIENT_DATA",
}


DISK_FULL = (
    "The disk of the server is full: nothing new is stored until results expire or are removed; try again"
    " later."
)
_DISK_FULL_RETRY = {"Retry-After": "60"}


def status_word(code: int) -> str:
    """Return the name of a status code, such as `BAD_REQUEST`."""
    if code in _STATUS_WORDS:
        return _STATUS_WORDS[code]
    return http.HTTPStatus(code).name


def error_body(
    code: int, text: str, parameter: str | None = None, status: str | None = None
) -> dict[str, Any]:
    """Return the body of an error answer. It has the text under three names, for different clients.

    status: by default the name of the code.
    """
    body: dict[str, Any] = {
        "code": code,
        "description": text,
        "message": text,
        "error": text,
        "status": status or status_word(code),
    }
    if parameter is not None:
        body["parameter"] = parameter
    return body


def error_object(code: int, text: str) -> dict[str, Any]:
    """Return an error as v2 writes it. Callers show people either text, so both say all."""
    return {"code": code, "message": text, "details": text}


def error_response(error: ApiError, scope: Scope) -> Response:
    """Return the answer to a request with an error: in v2 with another body than elsewhere.

    Both have the id by which the caller knows the request. Nothing was accepted, so there is no job to ask for.
    """
    note_refusal(scope, error.text, error.reason)
    if is_v2(scope["path"]):
        body: dict[str, Any] = {"error": error_object(error.code, error.text)}
    else:
        body = error_body(error.code, error.text, error.parameter, error.status)
    body["request_id"] = correlation_id(scope)
    return JSONResponse(body, error.code, headers=error.headers)


def is_v2(path: str) -> bool:
    """Whether a path is one of v2."""
    return path == "/v2" or path.startswith("/v2/")


def install(app: FastAPI) -> None:
    """Make `app` answer every error with the same kind of body."""

    @app.exception_handler(ApiError)
    async def refusal(request: Request, error: ApiError) -> Response:
        return error_response(error, request.scope)

    @app.exception_handler(StoreUnavailableError)
    async def store_unavailable(request: Request, error: StoreUnavailableError) -> Response:
        return _unavailable("store", request, error)

    @app.exception_handler(DiskFullError)
    async def disk_full(request: Request, error: DiskFullError) -> Response:
        log.debug("%s: %s", matched_operation(request.scope), error)
        full = UnavailableError(DISK_FULL, headers=_DISK_FULL_RETRY)
        full.reason = "disk_full"
        return error_response(full, request.scope)

    @app.exception_handler(DatabaseUnavailableError)
    async def database_unavailable(request: Request, error: DatabaseUnavailableError) -> Response:
        return _unavailable("database", request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        text = {
            404: f"There is no route '{request.url.path[:200]}'.",
            405: f"{request.method} is not a method of this route.",
        }.get(error.status_code, str(error.detail))
        return error_response(HttpError(text, error.status_code, error.headers), request.scope)


def _unavailable(what: str, request: Request, error: StorageError) -> Response:
    """Return the answer for an unavailable store or database. The reason goes only to the log."""
    log.error("%s: %s", matched_operation(request.scope), error)
    refused = UnavailableError(f"The {what} is unavailable; try again.")
    refused.reason = f"{what}_unavailable"
    return error_response(refused, request.scope)
