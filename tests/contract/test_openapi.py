"""The committed OpenAPI document is valid and the same as the application's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import validate as validate_instance
from openapi_spec_validator import validate

from scripts.openapi import FILE, document
from server.errors import ApiError, error_body


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    return document()


def operations(openapi: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the description of every operation of the API."""
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                yield path, operation


def plain(value: Any) -> Any:
    """Return a document without titles, which differ between releases of FastAPI and pydantic."""
    if isinstance(value, dict):
        # A title is a string; a field named "title" is described by an object.
        without_title = {k: v for k, v in value.items() if k != "title" or not isinstance(v, str)}
        return {k: plain(v) for k, v in without_title.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def test_the_committed_document_is_up_to_date(openapi: dict[str, Any]) -> None:
    committed = json.loads(FILE.read_text())
    assert plain(committed) == plain(openapi), "run ./scripts/openapi and look at what changed"


def test_it_is_valid_openapi(openapi: dict[str, Any]) -> None:
    validate(openapi)


def test_every_operation_requires_the_token(openapi: dict[str, Any]) -> None:
    assert openapi["components"]["securitySchemes"]["api_token"]["name"] == "api_token"
    for path, operation in operations(openapi):
        assert operation["security"] == [{"api_token": []}], path


def test_every_operation_documents_its_errors_with_the_common_body(openapi: dict[str, Any]) -> None:
    refusals = openapi["components"]["responses"]
    for path, operation in operations(openapi):
        codes = [code for code in operation["responses"] if not code.startswith("2")]
        assert {"401", "500"} <= set(codes), path
        for code in codes:
            schema = refusals[code]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}


def test_every_error_class_is_documented(openapi: dict[str, Any]) -> None:
    codes = {str(kind.code) for kind in ApiError.__subclasses__()}
    assert codes <= set(openapi["components"]["responses"])


def test_the_error_body_matches_its_schema(openapi: dict[str, Any]) -> None:
    schema = openapi["components"]["schemas"]["Error"]
    for parameter in (None, "image"):
        validate_instance(error_body(400, "No image was given.", parameter), schema)


def test_every_path_parameter_is_documented_and_required(openapi: dict[str, Any]) -> None:
    for path, operation in operations(openapi):
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == ({"visual_id"} if "{visual_id}" in path else set())


def test_every_body_is_documented_in_all_three_types(openapi: dict[str, Any]) -> None:
    for path, operation in operations(openapi):
        if "requestBody" in operation:
            assert set(operation["requestBody"]["content"]) == {
                "application/json",
                "multipart/form-data",
                "application/x-www-form-urlencoded",
            }, path
