"""What the OpenAPI document says that FastAPI cannot know: bodies of three types, the token, refusals."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from pydantic import BaseModel

from server.errors import (
    ApiError,
    BlockedError,
    BusyError,
    FetchRefusedError,
    InvalidTokenError,
    NotFoundError,
    Refusals,
    error_body,
    status_word,
)
from server.http.uploads import PictureRule

Schema = dict[str, Any]


class Described(Protocol):
    """What the document tells of an operation (`server.operation.Operation` is one)."""

    @property
    def path(self) -> str:
        """Below /v1."""
        ...

    @property
    def method(self) -> str:
        """Of HTTP."""
        ...

    @property
    def of_visual(self) -> bool:
        """Whether a registered picture's id stands in the path."""
        ...

    @property
    def body(self) -> type[BaseModel]:
        """Its fields and their bounds."""
        ...

    @property
    def in_query(self) -> Sequence[str]:
        """The fields that callers put into the query."""
        ...

    @property
    def pictures(self) -> Sequence[PictureRule]:
        """The pictures it takes."""
        ...

    @property
    def refusals(self) -> Refusals:
        """What errors that it alone raises become."""
        ...

    @property
    def further_codes(self) -> Sequence[int]:
        """Codes beyond those that follow from its fields and pictures."""
        ...


_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "api_token",
    "description": "Stands for an organisation; each has visuals of its own.",
}
JOB_REFUSAL = "default"
"""Stands for whichever code a job of sync=false failed with."""
_CODES = "x-codes"
"""Under this name a route tells its codes until the document is complete."""
_TOKEN_CODES = {401, 500}
_WORK_CODES = {429, 503, 506}
_BODY_CODES = {400, 408, 413, 415}
VISUAL_CODES = _TOKEN_CODES | {404}
"""Codes of a route of a visual that does no work."""
QUERY_CODES = VISUAL_CODES | _WORK_CODES
"""Codes of a query about a visual."""
UPLOAD_CODES = _TOKEN_CODES | _WORK_CODES | _BODY_CODES | {460}
"""Codes of a route that takes a picture."""


def refused_with(*codes: int | str) -> Schema:
    """Return what a route passes as `openapi_extra`: the codes with which it may refuse."""
    return {_CODES: [str(code) for code in codes]}


def install(app: FastAPI, operations: Sequence[Described]) -> None:
    """Have `app` tell the whole of its document, made at the first call and kept."""
    plain: Callable[[], Schema] = app.openapi

    def document() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(plain(), operations)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def picture_body(body: type[BaseModel], pictures: Sequence[PictureRule]) -> Schema:
    """Describe a body of fields and pictures for all three content types."""
    text = _schema(body, pictures, {"type": "string"}, " in base64")
    file = _schema(body, pictures, {"type": "string", "format": "binary"}, "")
    return {
        "content": {
            "application/json": {"schema": text},
            "multipart/form-data": {"schema": file},
            "application/x-www-form-urlencoded": {"schema": text},
        },
    }


def _schema(
    body: type[BaseModel], pictures: Sequence[PictureRule], file: Schema, coding: str
) -> Schema:
    properties: Schema = {}
    for rule in pictures:
        (address, *_), (name, *_) = rule.url_fields, rule.file_fields
        formats = ", ".join(sorted(rule.formats))
        about = f"The {rule.name.replace('_', ' ')}'s"
        white = " White is what is edited." if rule.is_mask else ""
        properties[address] = {
            "type": "string",
            "description": f"{about} address; a data: URL serves too. {formats}.{white}",
        }
        properties[name] = file | {
            "description": f"{about} file{coding}, where no {address} is sent. {formats}.{white}"
        }
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    return schema | {"properties": properties | schema.get("properties", {})}


def describe(operation: Described) -> Schema:
    """Describe what an operation takes, in its path, its query or its body."""
    is_get = operation.method == "GET"
    parameters: list[Schema] = []
    if operation.of_visual:
        parameters.append(
            {
                "name": "visual_id",
                "in": "path",
                "required": True,
                "description": "Of a picture registered before.",
                "schema": {"type": "string"},
            }
        )
    for name, schema in operation.body.model_json_schema()["properties"].items():
        if is_get or name in operation.in_query:
            parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    told = refused_with(*codes_of(operation))
    if parameters:
        told["parameters"] = parameters
    if not is_get:
        told["requestBody"] = picture_body(operation.body, operation.pictures)
    return told


def codes_of(operation: Described) -> set[int]:
    """Return the codes with which an operation may refuse."""
    codes = _TOKEN_CODES | _WORK_CODES | {400, *operation.further_codes}
    codes |= {kind.code for kind, _ in operation.refusals.values()}
    if operation.method != "GET":
        codes |= _BODY_CODES
    if operation.pictures:
        codes |= {FetchRefusedError.code}
    if operation.of_visual:
        codes |= {NotFoundError.code}
    if "content_moderation" in operation.body.model_fields:
        codes |= {BlockedError.code}
    return codes


def _complete(document: Schema, operations: Sequence[Described]) -> Schema:
    paths, schemas = document["paths"], document["components"]["schemas"]
    for operation in operations:
        # After FastAPI, which would turn the bounds of a seed into inexact floats.
        paths[f"/v1{operation.path}"][operation.method.lower()] |= describe(operation)
    codes = set()
    for methods in paths.values():
        for told in methods.values():
            refusals = sorted(told.pop(_CODES, ()))
            codes |= set(refusals)
            successes = {code: told["responses"][code] for code in told["responses"] if code < "3"}
            told["responses"] = successes | {code: _to("responses", code) for code in refusals}
            if str(InvalidTokenError.code) in refusals:
                told["security"] = [{"api_token": []}]
            _name_bodies(told, schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"] = _error_schema()
    document["components"] |= {
        "securitySchemes": {"api_token": _TOKEN},
        "responses": {code: _response(code) for code in sorted(codes)},
    }
    return document


def _name_bodies(told: Schema, schemas: Schema) -> None:
    """Move the schemas of a body to where all are; JSON and urlencoded share one."""
    for kind, body in told.get("requestBody", {}).get("content", {}).items():
        schema = body["schema"]
        schemas |= schema.pop("$defs", {})
        name = told["operationId"] + ("_form" if kind.startswith("multipart") else "_body")
        schemas[name] = {key: schema[key] for key in schema if key not in ("title", "description")}
        body["schema"] = _to("schemas", name)


def _to(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _response(code: str) -> Schema:
    told: Schema = {
        "description": _description(code),
        "content": {"application/json": {"schema": _to("schemas", "Error")}},
    }
    if code == str(BusyError.code):
        told["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return told


def _description(code: str) -> str:
    """Return what a code stands for, in the words of its class in `server.errors`."""
    if code == JOB_REFUSAL:
        return "What a job of sync=false failed with, under the code it failed with."
    for kind in ApiError.__subclasses__():
        if str(kind.code) == code and (kind.__doc__ or "").startswith(f"{code}: "):
            text = str(kind.__doc__).partition(": ")[2]
            return text[0].upper() + text[1:]
    return "A fault of the server; its log tells more."


def _error_schema() -> Schema:
    """Describe the one error body, in the order in which its builder gives it."""
    about = {
        "code": {"type": "integer", "description": "The HTTP status."},
        "status": {"type": "string", "description": f"A word for it: {status_word(400)}, ..."},
        "parameter": {"type": "string", "description": "The field at fault, where one is."},
    }
    text = {"type": "string", "description": "What was wrong; the same under all three names."}
    return {
        "type": "object",
        "properties": {name: about.get(name, text) for name in error_body(400, "", "")},
        "required": list(error_body(400, "")),
    }
