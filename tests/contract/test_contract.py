"""The published requests and the published answers to them.

The tests call this server with its real models. If RETOUCH_CONTRACT_URL (the base URL, /v1 included) and
RETOUCH_CONTRACT_TOKEN are set, all of them call the hosted API instead, which charges for the calls.
RETOUCH_CONTRACT_PICTURES may be an address that serves the two files of `api.FILES` and that the hosted
API can reach; without it the files are sent in the body.
"""

import io
import re
import zipfile

import pytest
from PIL import Image

from tests.contract.answers import check_opens, links_of, needs_more_than_lite, read_when_ready
from tests.contract.api import COLOURS, FILES, REPLACE_COLOUR, WAYS, Api, Way
from tests.contract.published import ROUTES
from tests.contract.route import Route

BY_PATH = {route.path: route for route in ROUTES}
PICTURE_ROUTES = [pytest.param(route, id=route.path) for route in ROUTES if route.takes_picture]
REPLACE = BY_PATH["/background/replace"]

EACH_WAY = [
    pytest.param(route, way, id=f"{route.path} {way}")
    for route in ROUTES
    for way in (WAYS if route.body else WAYS[:1])
]


@pytest.mark.parametrize(("route", "way"), EACH_WAY)
def test_the_published_example_has_the_published_answer(api: Api, route: Route, way: Way) -> None:
    answer = api.send(route, api.example(route), way)
    if route.needs_prompt_model and not api.hosted:
        needs_more_than_lite(answer)
        return
    assert answer.status_code == 200, answer.text
    for link in links_of(answer.json(), route.answer):
        check_opens(read_when_ready(api, link))


@pytest.mark.parametrize("way", WAYS)
def test_a_colour_replaces_the_background(api: Api, way: Way) -> None:
    answer = api.send(REPLACE, {**REPLACE_COLOUR, "sync": True}, way)
    assert answer.status_code == 200, answer.text
    links = links_of(answer.json(), REPLACE.answer)
    assert len(links) == 2
    assert len({seed for _, seed, _ in answer.json()["result"]}) == 2
    for link in links:
        with Image.open(io.BytesIO(read_when_ready(api, link))) as image:
            assert image.size[0] * image.size[1] == pytest.approx(1_000_000, rel=0.05)


def test_sync_is_false_by_default_where_documented(api: Api) -> None:
    answer = api.send(REPLACE, REPLACE_COLOUR, "as published")
    assert answer.status_code == 200, answer.text
    for link in links_of(answer.json(), REPLACE.answer):
        check_opens(read_when_ready(api, link))


@pytest.mark.parametrize("route", PICTURE_ROUTES)
def test_links_returned_at_once_work_later(api: Api, route: Route) -> None:
    fields = COLOURS.get(route.path) or api.example(route)
    answer = api.send(route, {**fields, "sync": False}, "base64")
    if route.needs_prompt_model and route.path not in COLOURS and not api.hosted:
        needs_more_than_lite(answer)
        return
    assert answer.status_code == 200, answer.text
    for link in links_of(answer.json(), route.answer):
        check_opens(read_when_ready(api, link))


def test_a_link_supports_ranges_and_needs_no_token(api: Api) -> None:
    answer = api.send(BY_PATH["/crop"], {"image_url": "URL"}, "base64")
    link = answer.json()["result_url"]
    whole = read_when_ready(api, link)
    part = api.get(link, {"Range": "bytes=0-0"})
    assert part.status_code == 206
    assert part.content == whole[:1]


def test_the_masks_are_named_after_the_visual(api: Api) -> None:
    route = BY_PATH["/objects/mask_generator"]
    (link,) = links_of(api.send(route, route.example, "file parts").json(), route.answer)
    visual_id = re.search(r"/([0-9a-f]{16})\.zip", link)
    assert visual_id, link
    names = zipfile.ZipFile(io.BytesIO(read_when_ready(api, link))).namelist()
    assert f"{visual_id[1]}_panoptic.png" in names
    masks = sorted(int(name[17:-4]) for name in names if "panoptic" not in name)
    assert masks == list(range(1, len(names)))


def test_a_second_registration_returns_the_same_id(api: Api) -> None:
    body = {"file": ("portrait.jpg", FILES["portrait.jpg"])}
    first = api.visual()
    for path in ("/register", "/upload"):
        answer = api.client.post(api.base + path, files=body).json()
        assert (answer["code"], answer["visual_id"]) == (208, first)


def test_a_sid_continues_an_edit(api: Api) -> None:
    changes = [{"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}]
    path = f"{api.base}/{api.visual()}"
    edited = api.client.post(f"{path}/objects/remove", json={"changes": changes}).json()
    check_opens(read_when_ready(api, edited["image_res"]))
    layers = api.client.post(f"{path}/image_to_psd", params={"sid": edited["sid"]})
    assert layers.status_code == 200, layers.text
    check_opens(read_when_ready(api, layers.json()["image_res"]))
