"""Types, words and bounds of the published fields, and the status codes of refusals.

Can run against the hosted API, as test_contract.py can.
"""

import io
import re
from copy import deepcopy
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from tests.contract.api import COLOURS, FILES, PLACEMENT_OF, Api
from tests.contract.published import ROUTES
from tests.contract.published_v2 import ROUTES_V2
from tests.contract.route import Field, Route
from tests.helpers.requests import b64

ALL = (*ROUTES, *ROUTES_V2)
EACH_ROUTE = [pytest.param(route, id=route.url) for route in ALL]
PICTURE_ROUTES = [pytest.param(route, id=route.url) for route in ALL if route.takes_picture]
WRONG = {
    "string": {"not": "text"},
    "strings": {"not": "text"},
    "integer": "many",
    "number": "many",
    "boolean": "perhaps",
    "integers": "wide",
    "objects": "everything",
    "object": "all of it",
    "word or number": "nonsense",
    "json": "nonsense",
    "decimal": "many",
}
FIELDS = [(route, field) for route in ALL for field in route.fields if field.place != "path"]


def name_of(part: Route | Field) -> str:
    """Return the path of a route or a field, as a test id."""
    return part.url if isinstance(part, Route) else part.path


def sent(api: Api, route: Route) -> dict[str, Any]:
    """Return a valid request that profile lite can do, where there is one."""
    fields = dict(COLOURS.get(route.path) or api.example(route))
    return {**fields, "sync": True} if route.version == "v2" else fields


FREE_TEXT = {("/image/edit/reseason", "season"), ("/image/edit/restyle", "style")}
"""Fields that take free words besides the documented ones."""


def with_value(api: Api, route: Route, field: Field, value: Any) -> httpx.Response:
    """Send a route's example with one field, at any depth, set to a value."""
    fields = {n: old for n, old in sent(api, route).items() if not replaces(n, field)}
    if route.path.startswith("/product/lifestyle") and field.path in PLACEMENT_OF:
        fields["placement_type"] = PLACEMENT_OF[field.path]
    if field.path == "placement_type":
        fields["aspect_ratio"] = "4:3"  # one type needs it
    if field.path.startswith("changes[]"):
        (change,) = fields["changes"]
        target = change["actions"] if field.type == "word or number" else change
        target[field.path.rpartition(".")[2]] = value
    elif field.path.startswith("products[]"):
        *above, name = field.path.split(".")[1:]
        (target,) = fields["products"] = deepcopy(fields["products"])
        for member in above:
            target = target[member]
        target[name] = value
    else:
        fields[field.path] = value
    return api.send(route, fields, "base64")


def replaces(name: str, field: Field) -> bool:
    """Whether field `name` would be used instead of `field`: a URL instead of a file, a ratio of a canvas."""
    names = {"image_url": "file", "mask_url": "mask_file", "ref_image_url": "ref_image_file"}
    names["ref_image_urls"] = "ref_image_file"
    is_placed = field.type == "integers" and name == "aspect_ratio"
    return is_placed or names.get(name) == field.path


def check_accepted(answer: httpx.Response, api: Api) -> None:
    """Check that a request was valid, even if its work needs more than profile lite."""
    done = {200, 202}
    assert answer.status_code in (done if api.hosted else done | {506}), answer.text


def check_refused(answer: httpx.Response, route: Route, field: Field, api: Api) -> None:
    """Check that a request was refused because of a field, so the field is not ignored."""
    assert 400 <= answer.status_code < 500, answer.text
    if not api.hosted:
        assert answer.status_code == 400, answer.text
        body = answer.json()
        text = body["description"] if route.version == "v1" else body["error"]["details"]
        assert field.path.rpartition(".")[2] in text


@pytest.mark.parametrize(("route", "field"), FIELDS, ids=name_of)
def test_no_documented_field_is_unknown(api: Api, route: Route, field: Field) -> None:
    if field.path == "sid" and field.place == "query":
        assert with_value(api, route, field, "nosuch.JPEG").status_code == 404
        return
    check_refused(with_value(api, route, field, WRONG[field.type]), route, field, api)


@pytest.mark.parametrize(("route", "field"), [pair for pair in FIELDS if pair[1].enum], ids=name_of)
def test_documented_words_are_accepted_and_others_are_not(
    api: Api, route: Route, field: Field
) -> None:
    if (route.path, field.path) not in FREE_TEXT:
        check_refused(with_value(api, route, field, "nonsense"), route, field, api)
    for word in field.enum:
        check_accepted(with_value(api, route, field, word), api)


@pytest.mark.parametrize(
    ("route", "field"), [pair for pair in FIELDS if pair[1].low is not None], ids=name_of
)
def test_documented_bounds_are_enforced(api: Api, route: Route, field: Field) -> None:
    low, high = field.low, field.high
    assert low is not None
    assert high is not None
    for value in (low, high):
        check_accepted(with_value(api, route, field, value), api)
    for value in (low - 1, high + 1):
        check_refused(with_value(api, route, field, value), route, field, api)


@pytest.mark.parametrize(
    ("route", "field"), [pair for pair in FIELDS if pair[1].type == "word or number"], ids=name_of
)
def test_decimals_are_accepted_where_documented(api: Api, route: Route, field: Field) -> None:
    answer = with_value(api, route, field, 0.5)
    if field.whole:
        check_refused(answer, route, field, api)
    else:
        check_accepted(answer, api)


@pytest.mark.parametrize("route", EACH_ROUTE)
@pytest.mark.parametrize("token", ["", "nobody's"])
def test_a_missing_or_unknown_token_is_401(api: Api, route: Route, token: str) -> None:
    path = api.address(route).replace("{visual_id}", "0" * 16)
    answer = api.anonymous.request(route.method, path, headers={"api_token": token})
    assert answer.status_code == 401
    assert re.search("invalid", answer.text)
    assert re.search("token", answer.text)


@pytest.mark.parametrize(
    "route", [pytest.param(route, id=route.url) for route in ROUTES if "{visual_id}" in route.path]
)
def test_an_unknown_visual_is_404(api: Api, route: Route) -> None:
    fields = {**api.example(route), "visual_id": "0" * 16}
    assert api.send(route, fields, "base64").status_code == 404


@pytest.mark.parametrize("route", PICTURE_ROUTES)
def test_a_missing_picture_is_400(api: Api, route: Route) -> None:
    fields = {"bg_prompt": "#1e90ff", "prompt": "a boat", "mask_url": "URL"}
    fields |= {"scene_description": "#1e90ff", "ref_image_file": b64(FILES["portrait.jpg"])}
    assert api.send(route, fields, "base64").status_code in (206, 400)


@pytest.mark.parametrize(
    ("route", "field"), [pair for pair in FIELDS if pair[1].required], ids=name_of
)
def test_a_required_field_that_is_missing_or_blank_is_400(
    api: Api, route: Route, field: Field
) -> None:
    fields = {name: value for name, value in sent(api, route).items() if name != field.path}
    check_refused(api.send(route, fields, "base64"), route, field, api)
    check_refused(api.send(route, {**fields, field.path: ""}, "base64"), route, field, api)
    check_refused(api.send(route, {**fields, field.path: None}, "base64"), route, field, api)


@pytest.mark.parametrize("path", ["/background/remove", "/image/increase_resolution"])
@pytest.mark.parametrize(("format", "mode"), [("WEBP", "RGB"), ("PNG", "P"), ("PNG", "L")])
def test_an_undocumented_format_or_colour_mode_is_415(
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


def test_an_unreachable_url_is_460(api: Api) -> None:
    body = {"image_url": "http://picture.invalid/a.jpg"}
    assert api.client.post(f"{api.base}/crop", json=body).status_code == 460
