"""The committed description of the API is the application's own, and a valid one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import validate as validate_instance
from openapi_spec_validator import validate

from scripts.openapi import FILE, document
from server.errors import ApiError, error_body


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The application's document."""
    return document()


def operations(told: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the path and the description of every operation of the API."""
    for path, methods in told["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                yield path, operation


def plain(value: Any) -> Any:
    """Leave out of a document the titles that FastAPI and pydantic word as they please."""
    if isinstance(value, dict):
        # Only a text is a title: a field of that name is described by an object.
        kept = {k: v for k, v in value.items() if k != "title" or not isinstance(v, str)}
        return {k: plain(v) for k, v in kept.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def test_the_committed_document_is_the_applications(told: dict[str, Any]) -> None:
    committed = json.loads(FILE.read_text())
    assert plain(committed) == plain(told), "run ./scripts/openapi and look at what changed"


def test_it_is_valid_openapi(told: dict[str, Any]) -> None:
    validate(told)


def test_every_operation_wants_the_token(told: dict[str, Any]) -> None:
    assert told["components"]["securitySchemes"]["api_token"]["name"] == "api_token"
    for path, operation in operations(told):
        assert operation["security"] == [{"api_token": []}], path


def test_every_operation_tells_its_refusals_with_the_one_error_body(told: dict[str, Any]) -> None:
    refusals = told["components"]["responses"]
    for path, operation in operations(told):
        codes = [code for code in operation["responses"] if not code.startswith("2")]
        assert {"401", "500"} <= set(codes), path
        for code in codes:
            schema = refusals[code]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}


def test_every_refusal_of_the_one_table_is_told(told: dict[str, Any]) -> None:
    codes = {str(kind.code) for kind in ApiError.__subclasses__()}
    assert codes <= set(told["components"]["responses"])


def test_the_error_body_is_as_described(told: dict[str, Any]) -> None:
    schema = told["components"]["schemas"]["Error"]
    for parameter in (None, "image"):
        validate_instance(error_body(400, "No image was given.", parameter), schema)


def test_every_path_parameter_is_told_and_required(told: dict[str, Any]) -> None:
    for path, operation in operations(told):
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == ({"visual_id"} if "{visual_id}" in path else set())


def test_every_body_is_told_in_all_three_types(told: dict[str, Any]) -> None:
    for path, operation in operations(told):
        if "requestBody" in operation:
            assert set(operation["requestBody"]["content"]) == {
                "application/json",
                "multipart/form-data",
                "application/x-www-form-urlencoded",
            }, path
