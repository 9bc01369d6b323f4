"""The published fields' types, words and bounds, and the statuses of what is refused.

They run against the hosted API as test_contract.py does.
"""

import io
import re
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from tests.contract.api import FILES, REPLACE_COLOUR, Api
from tests.contract.published import ROUTES, Field, Route

EACH_ROUTE = [pytest.param(route, id=route.path) for route in ROUTES]
PICTURE_ROUTES = [pytest.param(route, id=route.path) for route in ROUTES if route.takes_picture]
WRONG = {
    "string": {"not": "text"},
    "integer": "many",
    "boolean": "perhaps",
    "integers": "wide",
    "objects": "everything",
    "object": "all of it",
    "word or number": "nonsense",
}
FIELDS = [(route, field) for route in ROUTES for field in route.fields if field.place != "path"]


def name_of(part: Route | Field) -> str:
    """Name a test for its route and its field."""
    return part.path


def with_value(api: Api, route: Route, field: Field, value: Any) -> httpx.Response:
    """Send a route's example with one field, however deep, set to a value."""
    fields = REPLACE_COLOUR if route.path == "/background/replace" else api.example(route)
    fields = {name: old for name, old in fields.items() if not rivals(name, field)}
    if field.path.startswith("changes[]"):
        (change,) = fields["changes"]
        holder = change["actions"] if field.type == "word or number" else change
        holder[field.path.rpartition(".")[2]] = value
    else:
        fields[field.path] = value
    return api.send(route, fields, "base64")


def rivals(name: str, field: Field) -> bool:
    """Tell whether a field would be taken instead of another: an address instead of a file."""
    names = {"image_url": "file", "mask_url": "mask_file", "ref_image_url": "ref_image_file"}
    return names.get(name) == field.path


def takes(answer: httpx.Response, api: Api) -> None:
    """Check that a request was found in order, be it that its work needs more than profile lite."""
    assert answer.status_code in ((200,) if api.hosted else (200, 506)), answer.text


def refuses(answer: httpx.Response, field: Field, api: Api) -> None:
    """Check that a request was refused for a field: who ignores the field would not."""
    assert 400 <= answer.status_code < 500, answer.text
    if not api.hosted:
        assert answer.status_code == 400, answer.text
        assert field.path.rpartition(".")[2] in answer.json()["description"]


@pytest.mark.parametrize(("route", "field"), FIELDS, ids=name_of)
def test_no_documented_field_is_unknown(api: Api, route: Route, field: Field) -> None:
    if field.path == "sid" and field.place == "query":
        assert with_value(api, route, field, "nosuch.JPEG").status_code == 404
        return
    refuses(with_value(api, route, field, WRONG[field.type]), field, api)


@pytest.mark.parametrize(("route", "field"), [pair for pair in FIELDS if pair[1].enum], ids=name_of)
def test_a_documented_word_is_taken_and_another_is_not(
    api: Api, route: Route, field: Field
) -> None:
    refuses(with_value(api, route, field, "nonsense"), field, api)
    for word in field.enum:
        takes(with_value(api, route, field, word), api)


@pytest.mark.parametrize(
    ("route", "field"), [pair for pair in FIELDS if pair[1].low is not None], ids=name_of
)
def test_a_documented_bound_holds(api: Api, route: Route, field: Field) -> None:
    low, high = field.low, field.high
    assert low is not None
    assert high is not None
    for value in (low, high):
        takes(with_value(api, route, field, value), api)
    for value in (low - 1, high + 1):
        refuses(with_value(api, route, field, value), field, api)


@pytest.mark.parametrize(
    ("route", "field"), [pair for pair in FIELDS if pair[1].type == "word or number"], ids=name_of
)
def test_decimals_are_taken_where_the_page_says_so(api: Api, route: Route, field: Field) -> None:
    answer = with_value(api, route, field, 0.5)
    if field.whole:
        refuses(answer, field, api)
    else:
        takes(answer, api)


@pytest.mark.parametrize("route", EACH_ROUTE)
@pytest.mark.parametrize("token", ["", "nobody's"])
def test_a_token_that_is_missing_or_unknown_is_401(api: Api, route: Route, token: str) -> None:
    path = api.base + route.path.replace("{visual_id}", "0" * 16)
    answer = api.stranger.request(route.method, path, headers={"api_token": token})
    assert answer.status_code == 401
    assert re.search("invalid", answer.text)
    assert re.search("token", answer.text)


@pytest.mark.parametrize(
    "route", [pytest.param(route, id=route.path) for route in ROUTES if "{visual_id}" in route.path]
)
def test_an_unknown_visual_is_404(api: Api, route: Route) -> None:
    fields = {**api.example(route), "visual_id": "0" * 16}
    assert api.send(route, fields, "base64").status_code == 404


@pytest.mark.parametrize("route", PICTURE_ROUTES)
def test_a_picture_that_is_missing_is_400(api: Api, route: Route) -> None:
    fields = {"bg_prompt": "#1e90ff", "prompt": "a boat", "mask_url": "URL"}
    assert api.send(route, fields, "base64").status_code in (206, 400)


@pytest.mark.parametrize("path", ["/background/remove", "/image/increase_resolution"])
@pytest.mark.parametrize(("format", "mode"), [("WEBP", "RGB"), ("PNG", "P"), ("PNG", "L")])
def test_another_format_or_colour_mode_than_documented_is_415(
    api: Api, path: str, format: str, mode: str
) -> None:
    stream = io.BytesIO()
    Image.open(io.BytesIO(FILES["portrait.jpg"])).convert(mode).save(stream, format)
    parts = {"file": ("picture", stream.getvalue())}
    assert api.client.post(api.base + path, files=parts).status_code == 415


def test_a_side_under_216_pixels_is_406(api: Api) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (400, 215)).save(stream, "JPEG")
    parts = {"file": ("picture.jpg", stream.getvalue())}
    path = f"{api.base}/image/increase_resolution?desired_increase=2"
    assert api.client.post(path, files=parts).status_code == 406


def test_an_address_that_leads_nowhere_is_460(api: Api) -> None:
    body = {"image_url": "http://picture.invalid/a.jpg"}
    assert api.client.post(f"{api.base}/crop", json=body).status_code == 460
