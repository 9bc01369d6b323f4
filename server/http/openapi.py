"""What the OpenAPI document says that FastAPI cannot see: bodies of three types, the token, every refusal."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from pydantic import BaseModel

from server.errors import ApiError, error_body, status_word
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


_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "api_token",
    "description": "Stands for an organisation; each has visuals of its own.",
}
_ANY_REFUSAL = "default"


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
    told: Schema = {"parameters": parameters} if parameters else {}
    if not is_get:
        told["requestBody"] = picture_body(operation.body, operation.pictures)
    return told


def _complete(document: Schema, operations: Sequence[Described]) -> Schema:
    paths, schemas = document["paths"], document["components"]["schemas"]
    for operation in operations:
        # After FastAPI, which would turn the bounds of a seed into inexact floats.
        paths[f"/v1{operation.path}"][operation.method.lower()] |= describe(operation)
    codes = set()
    for path, methods in paths.items():
        for told in methods.values():
            refusals = sorted(_refusals(path, told))
            codes |= set(refusals)
            successes = {code: told["responses"][code] for code in told["responses"] if code < "3"}
            told["responses"] = successes | {code: _to("responses", code) for code in refusals}
            if path.startswith("/v1/"):
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


def _refusals(path: str, told: Schema) -> set[str]:
    """Tell with which codes a route may refuse, from what it takes."""
    if path.startswith("/results/"):
        return {"403", "404", _ANY_REFUSAL}
    if not path.startswith("/v1/"):
        return set()
    fields = set(_fields(told))
    codes = {"401", "500"}
    if not path.endswith("/remove_image"):
        codes |= {"429", "503", "506"}
    if fields:
        codes |= {"400"}
    if "requestBody" in told:
        codes |= {"408", "413", "415"}
    if "image_url" in fields or path.endswith("/objects/remove"):
        codes |= {"460"}
    if "content_moderation" in fields:
        codes |= {"422"}
    if "{visual_id}" in path:
        codes |= {"404"}
    if path.endswith("increase_resolution"):
        codes |= {"406", "413"}
    return codes


def _fields(told: Schema) -> Iterator[str]:
    for parameter in told.get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
    for body in told.get("requestBody", {}).get("content", {}).values():
        yield from body["schema"].get("properties", {})


def _response(code: str) -> Schema:
    told: Schema = {
        "description": _description(code),
        "content": {"application/json": {"schema": _to("schemas", "Error")}},
    }
    if code == "429":
        told["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return told


def _description(code: str) -> str:
    """Tell what a code stands for, in the words of its class in `server.errors`."""
    if code == _ANY_REFUSAL:
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
