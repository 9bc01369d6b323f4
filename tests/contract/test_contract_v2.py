"""The published requests of version 2, answered at once and later, and the paths that are not served.

Can run against the hosted API, as test_contract.py can.
"""

import io
from typing import Any

import pytest
from PIL import Image

from tests.contract.answers import check_opens, links_of, needs_more_than_lite, read_when_ready
from tests.contract.api import COLOURS, WAYS_V2, Api, Way
from tests.contract.fields_v2 import ACCEPTED
from tests.contract.published_v2 import NOT_SERVED, ROUTES_V2
from tests.contract.route import TEXT, Route
from tests.helpers.version2 import refused

BY_PATH = {route.path: route for route in ROUTES_V2}
EACH = [pytest.param(route, id=route.url) for route in ROUTES_V2]
EACH_WAY = [
    pytest.param(route, way, id=f"{route.url} {way}") for route in ROUTES_V2 for way in WAYS_V2
]
REMOVE = BY_PATH["/image/edit/remove_background"]


@pytest.mark.parametrize(("route", "way"), EACH_WAY)
def test_the_published_example_is_accepted_and_completed(api: Api, route: Route, way: Way) -> None:
    answer = api.send(route, api.example(route), way)
    if route.needs_prompt_model and not api.hosted:
        needs_more_than_lite(answer)
        return
    assert answer.status_code == 202, answer.text
    links_of(answer.json(), ACCEPTED)
    request_id = answer.json()["request_id"]
    assert answer.json()["status_url"].endswith(f"/v2/status/{request_id}")
    state = api.finished(answer)
    assert (state["status"], state["request_id"]) == ("COMPLETED", request_id), state
    for link in links_of(state["result"], route.answer):
        check_opens(read_when_ready(api, link))


@pytest.mark.parametrize("route", EACH)
def test_sync_has_the_result_in_its_answer(api: Api, route: Route) -> None:
    fields = {**(COLOURS.get(route.path) or api.example(route)), "sync": True}
    answer = api.send(route, fields, "base64")
    if not route.synchronous:
        assert answer.status_code == 202, answer.text
        return
    if route.needs_prompt_model and route.path not in COLOURS and not api.hosted:
        needs_more_than_lite(answer)
        return
    assert answer.status_code == 200, answer.text
    shape = {"result": route.answer, "request_id": TEXT}
    for link in links_of(answer.json(), shape):
        check_opens(read_when_ready(api, link))


def test_a_colour_replaces_the_background(api: Api) -> None:
    route = BY_PATH["/image/edit/replace_background"]
    answer = api.send(route, COLOURS[route.path], "base64")
    assert answer.status_code == 202, answer.text
    (link,) = links_of(api.finished(answer)["result"], route.answer)
    with Image.open(io.BytesIO(read_when_ready(api, link))) as image:
        assert image.width * image.height == pytest.approx(1_000_000, rel=0.05)


def test_a_state_is_the_same_each_time_and_can_be_asked_for_by_id(api: Api) -> None:
    answer = api.send(REMOVE, REMOVE.example, "base64")
    state = api.finished(answer)
    path = f"{api.base.removesuffix('/v1')}/v2/status/{state['request_id']}"
    again = api.client.get(path)
    assert again.status_code == 200
    assert again.json()["status"] == state["status"]
    assert again.json()["result"].keys() == state["result"].keys()


@pytest.mark.parametrize("request_id", ["0123456789abcdef" * 2, "no-such-request", "%2e%2e", "0"])
def test_an_unknown_request_is_404_and_not_found(api: Api, request_id: str) -> None:
    answer = api.client.get(f"{api.base.removesuffix('/v1')}/v2/status/{request_id}")
    assert answer.status_code == 404
    assert answer.json()["status"] == "NOT_FOUND"


def test_the_status_service_needs_the_token(api: Api) -> None:
    path = f"{api.base.removesuffix('/v1')}/v2/status/{'0123456789abcdef' * 2}"
    refused(api.anonymous.get(path), 401)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 400),
        ({"image": "http://picture.invalid/a.jpg"}, 460),
        ({"image": "bm90IGEgcGljdHVyZQ=="}, 415),
        ({"image": "URL", "webhook_url": 5}, 400),
        ({"image": "URL", "sync": "perhaps"}, 400),
    ],
)
def test_a_refusal_has_the_body_of_v2(api: Api, fields: dict[str, Any], code: int) -> None:
    error = refused(api.send(REMOVE, fields, "base64"), code)
    assert error["details"]


UNSERVED = [path for paths in NOT_SERVED.values() for path in paths]


@pytest.mark.parametrize("path", UNSERVED)
def test_a_route_that_is_not_served_is_404(api: Api, path: str) -> None:
    if api.hosted:
        pytest.skip("the hosted API serves it")
    body = {"image": "URL", "images": ["URL"], "prompt": "a boat"}
    error = refused(api.client.post(f"/v2{path}", json=body), 404)
    assert path in error["details"]


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/nothing", "/v2/status", "/v2/v2/status/0"])
def test_other_paths_are_404_in_the_same_body(api: Api, path: str) -> None:
    if api.hosted:
        pytest.skip("about this server")
    refused(api.client.get(path), 404)


def test_a_wrong_method_is_405(api: Api) -> None:
    answer = api.client.get(api.address(REMOVE))
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"
