"""Completes the OpenAPI document with what FastAPI does not know: bodies, the token, error codes, servers."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from fastapi import FastAPI
from pydantic import BaseModel

from server.errors import (
    ApiError,
    BadRequestError,
    BlockedError,
    BusyError,
    CannotWorkError,
    FetchRefusedError,
    InvalidTokenError,
    InWorkError,
    KeyReusedError,
    NotAcceptableError,
    NotFoundError,
    NotInProfileError,
    Refusals,
    TooLargeError,
)
from server.http.accept import FILE_TYPES
from server.http.error_answers import error_body, error_object, is_v2, status_word
from server.http.openapi_bodies import Schema, name_bodies, picture_body, reference
from server.http.result_files import SEED, SID
from server.http.uploads import PictureRule


class Described(Protocol):
    """What the document contains about an operation. `server.operation.Operation` implements it."""

    @property
    def url(self) -> str:
        """The path."""
        ...

    @property
    def method(self) -> str:
        """The HTTP method."""
        ...

    @property
    def of_visual(self) -> bool:
        """Whether the path contains the id of a visual."""
        ...

    @property
    def body(self) -> type[BaseModel]:
        """Its fields and their bounds."""
        ...

    @property
    def in_path(self) -> Sequence[str]:
        """The fields that the path contains."""
        ...

    @property
    def in_query(self) -> Sequence[str]:
        """The fields that the document lists as query parameters."""
        ...

    @property
    def pictures(self) -> Sequence[PictureRule]:
        """The pictures it takes."""
        ...

    @property
    def refusals(self) -> Refusals:
        """The errors that only this operation raises, and what they become."""
        ...

    @property
    def file_extensions(self) -> Sequence[str]:
        """The kinds of files that it can answer with instead of JSON."""
        ...

    @property
    def further_codes(self) -> Sequence[int]:
        """Codes that do not follow from its fields and pictures."""
        ...


EXAMPLE_VISUAL_ID = "0a1b2c3d4e5f6071"
_SECURITY_SCHEMES: Schema = {
    "api_token": {
        "type": "apiKey",
        "in": "header",
        "name": "api_token",
        "description": "Identifies an organisation; each organisation has its own visuals.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The same token, for proxies that drop a header with an underscore.",
    },
}
"""The ways to send the token; one is enough."""
JOB_REFUSAL = "default"
"""Means the code with which a job of sync=false failed."""
_KEY_ERRORS = (BadRequestError, InWorkError, KeyReusedError)
_KEY_PARAMETER: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A text of your choice, such as a UUID, for one request: if you repeat the request with"
    " it within a day, the work is done once, and you get the first answer again with"
    " `Idempotent-Replayed: true`. Another request with it is 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
"""The header of every POST; `server.http.idempotency` reads it."""
_AS_FILE = (
    "If the header Accept asks for a type of a file: the file itself, for which the server waits as with"
    " sync=true."
)
_FILE_HEADERS = {
    "Content-Location": "With a file: its link, as JSON tells it.",
    SEED: "With a file: the seed of the result, if it has one.",
    SID: "With a file: the name with which further edits of the visual start from the result.",
}
_CODES = "x-codes"
"""The key for a route's error codes, which is removed when the document is complete."""
_V2 = "_v2"
"""Ends the names of the errors of v2."""
_TOKEN_CODES = {401, 403, 429, 500}
_WORK_CODES = {503, 506}
_BODY_CODES = {400, 408, 413, 415}
VISUAL_CODES = _TOKEN_CODES | {404}
"""Codes of a route of a visual that runs no model."""
QUERY_CODES = VISUAL_CODES | _WORK_CODES
"""Codes of a query about a visual."""
UPLOAD_CODES = _TOKEN_CODES | _WORK_CODES | _BODY_CODES | {460}
"""Codes of a route that takes a picture."""

_PARAMETERS = {
    name: {"description": text}
    for name, text in {
        "visual_id": "The visual_id of a registered picture.",
        "request_id": "The request_id of a request that was accepted with 202.",
        "queue_id": "The Queue-Id that was sent with the request, or the request_id of an accepted one.",
        "key": "The place of the result in the store, as in its link.",
        "expires": "When the link expires, in seconds since 1970, as in the link.",
        "signature": "What shows that the server made the link, as in the link.",
    }.items()
}
"""What parameters of paths and links mean, where the route itself does not say it."""


def refused_with(*codes: int | str) -> Schema:
    """Return the `openapi_extra` of a route that can answer with these error codes."""
    return {_CODES: [str(code) for code in codes]}


def install(app: FastAPI, operations: Sequence[Described], address: str) -> None:
    """Make `app.openapi` return the complete document, made at the first call and then cached.

    address: the base of all paths, where callers reach the server.
    """
    plain: Callable[[], Schema] = app.openapi

    def document() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(plain(), operations) | {"servers": [{"url": address}]}
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def describe(operation: Described) -> Schema:
    """Return the description of an operation: its parameters, its body and its error codes."""
    is_get = operation.method == "GET"
    parameters: list[Schema] = []
    if operation.of_visual:
        parameters.append(
            {
                "name": "visual_id",
                "in": "path",
                "required": True,
                **_PARAMETERS["visual_id"],
                "example": EXAMPLE_VISUAL_ID,
                "schema": {"type": "string"},
            }
        )
    for name, schema in operation.body.model_json_schema()["properties"].items():
        if name in operation.in_path:
            parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
        elif is_get or name in operation.in_query:
            parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    described = refused_with(*codes_of(operation))
    if parameters:
        described["parameters"] = parameters
    if not is_get:
        described["requestBody"] = picture_body(
            operation.body, operation.pictures, operation.in_path
        )
    return described


def codes_of(operation: Described) -> set[int]:
    """Return the error codes with which an operation can answer."""
    codes = _TOKEN_CODES | _WORK_CODES | {400, *operation.further_codes}
    codes |= {kind.code for kind, _ in operation.refusals.values()}
    if operation.method != "GET":
        codes |= _BODY_CODES
    if operation.pictures:
        codes |= {FetchRefusedError.code}
    if operation.of_visual:
        codes |= {NotFoundError.code, TooLargeError.code}
    if any(name.endswith("content_moderation") for name in operation.body.model_fields):
        codes |= {BlockedError.code}
    return codes


def _complete(document: Schema, operations: Sequence[Described]) -> Schema:
    paths, schemas = document["paths"], document["components"]["schemas"]
    for operation in operations:
        # FastAPI would turn the bounds of a seed into inexact floats, so this comes after it.
        route = paths[operation.url][operation.method.lower()]
        route |= describe(operation)
        if operation.file_extensions:
            _add_files(route["responses"], operation.file_extensions)
    codes: dict[str, str] = {}
    for path, methods in paths.items():
        for method, route in methods.items():
            if _key_codes(path, method):
                route["parameters"] = [*route.get("parameters", ()), _KEY_PARAMETER]
            refused = sorted({*route.pop(_CODES, ()), *_common_codes(path, method)})
            refusals = {code: _refusal_name(path, code) for code in refused}
            codes |= {name: code for code, name in refusals.items()}
            # FastAPI adds a 422 of its own, for a validation that the server does itself.
            described = {code: one for code, one in route["responses"].items() if code != "422"}
            route["responses"] = described | {
                code: reference("responses", name) for code, name in refusals.items()
            }
            if str(InvalidTokenError.code) in refusals:
                route["security"] = [{scheme: []} for scheme in _SECURITY_SCHEMES]
            name_bodies(route, schemas)
            for parameter in route.get("parameters", ()):
                if "description" not in parameter | parameter["schema"]:
                    parameter |= _PARAMETERS.get(parameter["name"], {})
                if parameter["schema"].get("default") in (None, ""):
                    parameter["schema"].pop("default", None)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= {"Error": _error_schema(), "ErrorV2": _error_schema_v2()}
    document["components"] |= {
        "securitySchemes": _SECURITY_SCHEMES,
        "headers": {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in _FILE_HEADERS.items()
        },
        "responses": {name: _response(name, code) for name, code in sorted(codes.items())},
    }
    return document


def _add_files(responses: Schema, extensions: Sequence[str]) -> None:
    """Add to the answers of an operation that it may be the file itself."""
    answer = responses.get(str(HTTPStatus.OK.value))
    if answer is None:
        # An operation that is always asynchronous. Generators of clients refuse a 200 without JSON.
        responses[str(HTTPStatus.ACCEPTED.value)]["description"] += f" {_AS_FILE} That is 200."
        return
    usual = answer["description"] if answer["description"].startswith("With") else "The result."
    answer["description"] = f"{usual} {_AS_FILE}"
    content: Schema = answer.setdefault("content", {})
    for extension in extensions:
        content[FILE_TYPES[extension]] = {"schema": {"type": "string", "format": "binary"}}
    answer["headers"] = {name: reference("headers", name) for name in _FILE_HEADERS}


def _common_codes(path: str, method: str) -> set[str]:
    """Return the error codes of a route that follow from its path and its method."""
    codes = _key_codes(path, method)
    if path.startswith(("/v1/", "/v2/")) or path == "/capabilities":
        codes |= {str(NotAcceptableError.code)}
    return codes


def _key_codes(path: str, method: str) -> set[str]:
    """Return the error codes of an idempotency key; none for a route that takes no key."""
    takes_key = method == "post" and path.startswith(("/v1/", "/v2/"))
    return {str(error.code) for error in _KEY_ERRORS} if takes_key else set()


def _refusal_name(path: str, code: str) -> str:
    """Return the name of the description of an error: errors of v2 have another body."""
    return code + _V2 if is_v2(path) else code


def _response(name: str, code: str) -> Schema:
    body = "ErrorV2" if name.endswith(_V2) else "Error"
    response: Schema = {
        "description": _description(code),
        "content": {"application/json": {"schema": reference("schemas", body)}},
    }
    if code in (str(BusyError.code), str(InWorkError.code)):
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return response


def _description(code: str) -> str:
    """Return the meaning of a code, from the docstrings of its classes in `server.errors`."""
    if code == JOB_REFUSAL:
        return "The error of a failed job of sync=false, with its status code."
    texts = [
        str(kind.__doc__).partition(": ")[2]
        for kind in ApiError.__subclasses__()
        if str(kind.code) == code and (kind.__doc__ or "").startswith(f"{code}: ")
    ]
    text = " Or: ".join(texts) or "an error of the server; its log has the details."
    return text[0].upper() + text[1:]


_REQUEST_ID: Schema = {
    "type": "string",
    "description": "The id of the request, as in the header X-Request-ID of the answer.",
}


def _error_schema() -> Schema:
    """Return the schema of the error body, with its fields in their order."""
    about = {
        "code": {"type": "integer", "description": "The HTTP status."},
        "status": {
            "type": "string",
            "description": f"Its name: {status_word(400)}, ... 506 has two:"
            f" {status_word(CannotWorkError.code)} if another picture may work,"
            f" {NotInProfileError.status} if this server's profile has no model for the request; and"
            f" 422: {status_word(BlockedError.code)}, {KeyReusedError.status}.",
        },
        "parameter": {"type": "string", "description": "The wrong field, if there is one."},
    }
    text = {"type": "string", "description": "What was wrong; the same under all three names."}
    return {
        "type": "object",
        "properties": {
            **{name: about.get(name, text) for name in error_body(400, "", "")},
            "request_id": _REQUEST_ID,
        },
        "required": list(error_body(400, "")),
    }


def _error_schema_v2() -> Schema:
    """Return the schema of the error body of v2."""
    text = {"type": "string", "description": "What was wrong; the same under both names."}
    code = {"type": "integer", "description": "The HTTP status."}
    error = error_object(400, "")
    return {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {name: code if name == "code" else text for name in error},
                "required": list(error),
            },
            "request_id": _REQUEST_ID,
        },
        "required": ["error", "request_id"],
    }
