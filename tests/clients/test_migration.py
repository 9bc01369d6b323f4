"""The tables of docs/migration.md name the fields of both versions."""

import re

import pytest

from tests.contract.published import ROUTES
from tests.contract.published_v2 import ROUTES_V2
from tests.contract.route import Route
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "migration.md").read_text()
SECTION = re.compile(
    r"^### `/v1(\S+)` becomes `/v2(\S+)`\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL
)
SECTIONS = {new: (old, text) for old, new, text in SECTION.findall(PAGE)}
GENERAL = PAGE[PAGE.index("What changes on every route") : PAGE.index("### `/v1/eraser`")]


@pytest.mark.parametrize("route", ROUTES_V2, ids=lambda route: str(route.path))
def test_every_field_of_a_route_is_in_its_table_or_in_the_general_one(route: Route) -> None:
    # Routes that only v2 has are in the last section.
    old, table = SECTIONS.get(route.path, ("", PAGE[PAGE.index("## Edits by words") :]))
    before = [one for one in ROUTES if one.path == old]
    for field in (*route.fields, *(field for one in before for field in one.fields)):
        assert f"`{field.name}`" in table + GENERAL, field.name
    for key in route.answer:
        assert re.search(rf"`result\.{key}`", table + GENERAL), key
