"""The committed parity table is the computed one, and tells what is missing or contradicts."""

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
def told() -> dict[str, Any]:
    """The application's document."""
    return document()


@pytest.fixture(scope="module")
def computed() -> str:
    """The table of this very state of the sources."""
    return table()


def test_the_committed_table_is_the_computed_one(computed: str) -> None:
    assert TABLE.read_text() == page(computed), "run ./scripts/parity --readme and look at it"


def test_the_readme_has_the_computed_table_too(computed: str) -> None:
    text = README.read_text()
    assert START in text
    assert between_markers(text, computed) == text, "run ./scripts/parity --readme"


@pytest.mark.parametrize(("route", "field"), EACH_FIELD)
def test_our_description_contradicts_no_published_field(
    told: dict[str, Any], route: Route, field: Field
) -> None:
    schema = ours(told, route, field)
    assert schema is not None, "this field is not in our document"
    assert differences(field, schema) == []


def test_a_field_that_one_body_type_lacks_is_missing(told: dict[str, Any]) -> None:
    route = next(route for route in ROUTES if route.path == "/crop")
    padding = next(field for field in route.fields if field.path == "padding")
    lacking = copy.deepcopy(told)
    lacking["components"]["schemas"]["crop_form"]["properties"].pop("padding")
    assert ours(told, route, padding) is not None
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
def test_a_contradiction_is_told(field: Field, schema: dict[str, Any]) -> None:
    assert differences(field, schema)


def test_a_text_without_markers_stays() -> None:
    assert between_markers("a b", "table") == "a b"
    assert between_markers(f"a {START} old {END} b", "new\n") == f"a {START}\nnew\n{END} b"
