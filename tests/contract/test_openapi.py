"""The committed OpenAPI document is valid and the same as the application's."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import validate as validate_instance
from openapi_spec_validator import validate

from scripts.openapi import FILE, document
from server.errors import ApiError
from server.http.accept import FILE_TYPES
from server.http.error_answers import error_body, error_object
from server.http.fields import validate as validate_body
from server.operations import OPERATIONS
from server.settings import Settings

OTHER_BODIES = {("/v2/status/{request_id}", "404")}
"""Errors with a body of their own."""


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    return document()


def operations(openapi: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the description of every operation of the API."""
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            if path.startswith(("/v1/", "/v2/")):
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
    schemes = openapi["components"]["securitySchemes"]
    assert schemes["api_token"]["name"] == "api_token"
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    for path, operation in operations(openapi):
        assert operation["security"] == [{"api_token": []}, {"bearer": []}], path


def test_every_operation_documents_its_errors_with_the_common_body(openapi: dict[str, Any]) -> None:
    refusals = openapi["components"]["responses"]
    for path, operation in operations(openapi):
        codes = [code for code in operation["responses"] if not code.startswith("2")]
        assert {"401", "500"} <= set(codes), path
        body = "ErrorV2" if path.startswith("/v2/") else "Error"
        for code in codes:
            if (path, code) in OTHER_BODIES:
                continue
            name = operation["responses"][code]["$ref"].rpartition("/")[2]
            schema = refusals[name]["content"]["application/json"]["schema"]
            assert schema == {"$ref": f"#/components/schemas/{body}"}


def test_every_error_class_is_documented(openapi: dict[str, Any]) -> None:
    codes = {str(kind.code) for kind in ApiError.__subclasses__()}
    assert codes <= set(openapi["components"]["responses"])


def test_the_error_body_matches_its_schema(openapi: dict[str, Any]) -> None:
    schema = openapi["components"]["schemas"]["Error"]
    for parameter in (None, "image"):
        validate_instance(error_body(400, "No image was given.", parameter), schema)


def test_the_error_body_of_v2_matches_its_schema(openapi: dict[str, Any]) -> None:
    error = error_object(400, "No image was given.")
    schema = openapi["components"]["schemas"]["ErrorV2"]
    validate_instance({"error": error, "request_id": "0" * 32}, schema)


def test_every_path_parameter_is_documented_and_required(openapi: dict[str, Any]) -> None:
    for path, operation in operations(openapi):
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_body_is_documented_in_all_three_types(openapi: dict[str, Any]) -> None:
    for path, operation in operations(openapi):
        if "requestBody" in operation:
            assert set(operation["requestBody"]["content"]) == {
                "application/json",
                "multipart/form-data",
                "application/x-www-form-urlencoded",
            }, path


def test_every_content_type_of_a_body_has_a_schema_of_its_own(openapi: dict[str, Any]) -> None:
    names = [
        body["schema"]["$ref"]
        for _, operation in operations(openapi)
        for body in operation.get("requestBody", {}).get("content", {}).values()
    ]
    assert len(names) == len(set(names)) > 30


def test_no_default_is_empty(openapi: dict[str, Any]) -> None:
    def defaults(part: Any) -> Iterator[Any]:
        if isinstance(part, dict):
            if "default" in part and not isinstance(part["default"], dict):
                yield part["default"]
            part = list(part.values())
        for value in part if isinstance(part, list) else ():
            yield from defaults(value)

    found = list(defaults(openapi))
    assert 4 in found
    assert "" not in found
    assert None not in found


def test_no_field_of_a_body_hides_its_optionality_in_a_default(openapi: dict[str, Any]) -> None:
    """openapi-typescript makes a field with a default of its own required."""
    schemas = openapi["components"]["schemas"]
    for _, operation in operations(openapi):
        for body in operation.get("requestBody", {}).get("content", {}).values():
            schema = schemas[body["schema"]["$ref"].rpartition("/")[2]]
            assert [name for name, part in schema["properties"].items() if "default" in part] == []


def test_every_body_has_an_example_that_its_schema_and_the_server_accept(
    openapi: dict[str, Any],
) -> None:
    models = {operation.url: operation.body for operation in OPERATIONS}
    for path, operation in operations(openapi):
        if "requestBody" not in operation:
            continue
        body = operation["requestBody"]["content"]["application/json"]
        schema = body["schema"] | {"components": openapi["components"]}
        validate_instance(body["example"], schema)
        if path in models:
            validate_body(models[path], {"model_version": "2.2", **body["example"]})


def test_the_servers_of_the_document_are_where_callers_reach_it() -> None:
    assert document()["servers"] == [{"url": "http://127.0.0.1:8000"}]
    tokens = {"api_tokens": "a:secret"}
    assert Settings(host="::1", port=9000).address == "http://[::1]:9000"
    assert Settings(host="0.0.0.0", **tokens).address == "/"
    assert Settings(port=0).address == "/"
    public = Settings(host="0.0.0.0", public_url="https://edit.example.com/api/", **tokens)
    assert public.address == "https://edit.example.com/api"


def test_an_unknown_request_is_described_as_it_is_answered(openapi: dict[str, Any]) -> None:
    answer = openapi["paths"]["/v2/status/{request_id}"]["get"]["responses"]["404"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/UnknownRequest"}
    status = openapi["components"]["schemas"]["UnknownRequest"]["properties"]["status"]
    assert status["const"] == "NOT_FOUND"


def test_enhance_is_described_as_asynchronous_only(openapi: dict[str, Any]) -> None:
    answers = openapi["paths"]["/v2/image/edit/enhance"]["post"]["responses"]
    assert [code for code in answers if code.startswith("2")] == ["202"]
    assert "That is 200." in answers["202"]["description"], "for who asks for a file"


def test_every_operation_names_the_types_of_its_file(openapi: dict[str, Any]) -> None:
    for operation in OPERATIONS:
        described = openapi["paths"][operation.url][operation.method.lower()]["responses"]
        if operation.is_always_asynchronous:
            continue
        content = described["200"]["content"]
        files = {FILE_TYPES[one] for one in operation.file_extensions}
        assert content.keys() - {"application/json"} == files
        assert next(iter(content)) == "application/json", "generators take the first type"
        assert files <= {"image/png", "image/webp", "image/jpeg"} or len(files) == 1
    for path, methods in openapi["paths"].items():
        for one in methods.values():
            is_api = path.startswith(("/v1/", "/v2/")) or path == "/capabilities"
            assert ("406" in one["responses"]) == is_api, path


def test_every_group_of_routes_is_described(openapi: dict[str, Any]) -> None:
    used = {
        tag
        for methods in openapi["paths"].values()
        for one in methods.values()
        for tag in one["tags"]
    }
    assert used == {tag["name"] for tag in openapi["tags"]}
