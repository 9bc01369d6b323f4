"""docs/errors.md has every error of the API, and what it says of their codes is what the server does."""

import json
import re

import pytest

from scripts.documentation.error_catalogue import ENTRIES, anchor, codes, entries_of
from scripts.error_page import PAGE, page
from server import errors
from server.errors import ApiError
from tests.helpers.places import ROOT

PATHS = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
ANSWERS = {
    f"{method.upper()} {path}": {int(code) for code in operation["responses"] if code.isdigit()}
    for path, methods in PATHS.items()
    for method, operation in methods.items()
    if path not in ("/readyz", "/healthz")
}


def subclasses(kind: type[ApiError]) -> set[type[ApiError]]:
    """Return the classes below one, at any depth."""
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_the_page_is_up_to_date() -> None:
    assert page() == PAGE.read_text(), "python -m scripts.error_page"


def test_every_error_of_the_server_has_a_cause_and_a_remedy() -> None:
    raised = {one for one in subclasses(ApiError) if one.__module__ == errors.__name__}
    assert {entry.kind for entry in ENTRIES} == raised - {ApiError}
    assert all(entry.cause.endswith(".") and entry.remedy.endswith(".") for entry in ENTRIES)


def test_every_code_of_the_api_has_a_section() -> None:
    published = {code for found in ANSWERS.values() for code in found if code >= 400}
    assert published <= set(codes())
    sections = set(re.findall(r"^## (\d+) ", PAGE.read_text(), re.MULTILINE))
    assert sections == set(map(str, codes()))
    assert anchor(429) == "429-too_many_requests"


@pytest.mark.parametrize("route", ANSWERS)
def test_every_error_code_of_a_route_has_a_cause(route: str) -> None:
    for code in (code for code in ANSWERS[route] if code >= 400):
        assert list(entries_of(code, route)), code
