"""The committed parity table is up to date, and its code finds missing and contradicting fields."""

import copy
from typing import Any

import pytest

from scripts.openapi import document
from scripts.parity import (
    END,
    README,
    START,
    TABLE,
    between_markers,
    differences,
    ours,
    page,
    table,
)
from tests.contract.published import ROUTES, Field, Route

EACH_FIELD = [
    pytest.param(route, field, id=f"{route.path} {field.path}")
    for route in ROUTES
    for field in route.fields
]


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    return document()


@pytest.fixture(scope="module")
def computed() -> str:
    """The table computed from the current sources."""
    return table()


def test_the_committed_table_is_up_to_date(computed: str) -> None:
    assert TABLE.read_text() == page(computed), "run ./scripts/parity --readme and look at it"


def test_the_table_in_the_readme_is_up_to_date(computed: str) -> None:
    text = README.read_text()
    assert START in text
    assert between_markers(text, computed) == text, "run ./scripts/parity --readme"


@pytest.mark.parametrize(("route", "field"), EACH_FIELD)
def test_our_document_contradicts_no_published_field(
    openapi: dict[str, Any], route: Route, field: Field
) -> None:
    schema = ours(openapi, route, field)
    assert schema is not None, "this field is not in our document"
    assert differences(field, schema) == []


def test_a_field_missing_from_one_body_type_is_reported(openapi: dict[str, Any]) -> None:
    route = next(route for route in ROUTES if route.path == "/crop")
    padding = next(field for field in route.fields if field.path == "padding")
    lacking = copy.deepcopy(openapi)
    lacking["components"]["schemas"]["crop_form"]["properties"].pop("padding")
    assert ours(openapi, route, padding) is not None
    assert ours(lacking, route, padding) is None


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        (Field("a", "integer", default=5), {"type": "integer", "default": 4}),
        (Field("a", "integer"), {"type": "string"}),
        (Field("a", "integer", low=1, high=5), {"type": "integer", "minimum": 1, "maximum": 4}),
        (Field("a", "string", enum=("x", "y")), {"type": "string", "enum": ["x"]}),
        (Field("a", "word or number", whole=True), {"anyOf": [{"type": "number"}]}),
    ],
)
def test_a_contradiction_is_reported(field: Field, schema: dict[str, Any]) -> None:
    assert differences(field, schema)


def test_a_text_without_markers_does_not_change() -> None:
    assert between_markers("a b", "table") == "a b"
    assert between_markers(f"a {START} old {END} b", "new\n") == f"a {START}\nnew\n{END} b"
