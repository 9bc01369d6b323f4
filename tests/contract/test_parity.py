"""The committed parity page is up to date, and its code finds missing and contradicting fields."""

import copy
from typing import Any

import pytest

from scripts.openapi import document
from scripts.parity import ROOT, TABLE, differences, ours, page, with_note
from scripts.parity_notes import NOTES
from tests.contract.companions import COMPANIONS, LATER
from tests.contract.outcomes import DONE, REFUSED
from tests.contract.published import ROUTES
from tests.contract.published_v2 import NOT_SERVED, ROUTES_V2, STATUS
from tests.contract.route import Field, Route

ALL = (*ROUTES, *COMPANIONS, *ROUTES_V2, STATUS)

EACH_FIELD = [
    pytest.param(route, field, id=f"{route.method} {route.url} {field.path}")
    for route, fields in (*((route, route.fields) for route in ALL), *LATER)
    for field in fields
]


def own_fields(openapi: dict[str, Any], route: Route) -> set[str]:
    """Return the names of the fields that our document has for a route."""
    operation = openapi["paths"][route.url][route.method.lower()]
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    bodies = operation.get("requestBody", {}).get("content", {})
    for body in bodies.values():
        schema = openapi["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        names |= set(schema["properties"])
    return names


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    return document()


@pytest.fixture(scope="module")
def computed() -> str:
    """The page computed from the current sources."""
    return page()


def test_the_committed_page_is_up_to_date(computed: str) -> None:
    assert TABLE.read_text() == computed, "run ./scripts/parity and look at what changed"


def test_the_readme_links_the_page_instead_of_repeating_it() -> None:
    text = (ROOT / "README.md").read_text()
    assert "(docs/parity.md)" in text
    assert "| route | field |" not in text


def named(route: Route) -> set[str]:
    """Return the names under which a note can be about a route: its fields and those of its answer."""
    is_list = isinstance(route.answer, list)
    keys = [f"[].{key}" for key in route.answer[0]] if is_list else route.answer
    return {"", *(field.path for field in route.fields), *(f"answer.{key}" for key in keys)}


def test_every_note_is_about_an_existing_field_and_in_the_page(computed: str) -> None:
    routes = {route.path: route for route in ALL}
    for path, notes in NOTES.items():
        for field, text in notes.items():
            assert field in named(routes[path]), (path, field)
            assert text in computed


def test_what_has_a_note_is_not_simply_done(computed: str) -> None:
    assert with_note(DONE, "") == DONE
    assert with_note(DONE, "copies") == "in part: copies"
    assert with_note(REFUSED, "copies") == f"{REFUSED}; copies"
    assert "| `num_results` | `4` | (1 to 4) | in part: a colour gives copies" in computed


def test_every_route_of_the_server_is_in_the_page(openapi: dict[str, Any], computed: str) -> None:
    for path, methods in openapi["paths"].items():
        for method in methods:
            route = f"| `{method.upper()} {path.removeprefix('/v1')}` |"
            assert not path.startswith(("/v1/", "/v2/")) or route in computed, route


def test_a_route_is_either_served_or_listed_as_not_served(
    openapi: dict[str, Any], computed: str
) -> None:
    for path in (path for paths in NOT_SERVED.values() for path in paths):
        assert f"/v2{path}" not in openapi["paths"]
        assert f"`/v2{path}`" in computed


def test_every_field_of_v1_is_in_the_page(openapi: dict[str, Any]) -> None:
    later = {route.url: {field.name for field in route.fields} for route, _ in LATER}
    for route in (*ROUTES, *COMPANIONS):
        known = later.get(route.url, {field.name for field in route.fields})
        assert own_fields(openapi, route) - known <= {
            "sync",
            "content_moderation",
            "Idempotency-Key",
        }, route.url


def test_no_field_or_answer_is_missing(computed: str) -> None:
    assert "| missing" not in computed
    assert "differs" not in computed


@pytest.mark.parametrize(("route", "field"), EACH_FIELD)
def test_our_document_contradicts_no_published_field(
    openapi: dict[str, Any], route: Route, field: Field
) -> None:
    schema = ours(openapi, route, field)
    assert schema is not None, "this field is not in our document"
    assert differences(field, schema) == []


@pytest.mark.parametrize("route", ROUTES_V2, ids=lambda route: str(route.url))
def test_our_document_requires_what_the_published_one_does(
    openapi: dict[str, Any], route: Route
) -> None:
    bodies = openapi["paths"][route.url]["post"]["requestBody"]["content"]
    for body in bodies.values():
        schema = openapi["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        required = {field.name for field in route.fields if field.required}
        assert set(schema.get("required", ())) == required


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
        (Field("a", "strings"), {"type": "string"}),
    ],
)
def test_a_contradiction_is_reported(field: Field, schema: dict[str, Any]) -> None:
    assert differences(field, schema)
