"""The published requests and the published answers to them.

The tests call this server with its real models. If RETOUCH_CONTRACT_URL (the base URL, /v1 included) and
RETOUCH_CONTRACT_TOKEN are set, all of them call the hosted API instead, which charges for the calls.
RETOUCH_CONTRACT_PICTURES may be an address that serves the two files of `api.FILES` and that the hosted
API can reach; without it the files are sent in the body.
"""

import io
import re
import time
import zipfile
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from tests.contract.api import FILES, REPLACE_COLOUR, WAYS, Api, Way
from tests.contract.published import LINK, ROUTES, SEEDS, TEXT, WHOLE, Route

BY_PATH = {route.path: route for route in ROUTES}
PICTURE_ROUTES = [pytest.param(route, id=route.path) for route in ROUTES if route.takes_picture]
REPLACE = BY_PATH["/background/replace"]


def links_of(value: Any, shape: Any) -> list[str]:
    """Check an answer against its documented shape; return the links in it."""
    if shape == LINK:
        assert re.match(r"https?://", value), value
        return [value]
    if isinstance(shape, list):
        assert isinstance(value, list)
        assert value, "an empty list proves nothing"
        return [link for part in value for link in links_of(part, shape[0])]
    if isinstance(shape, tuple):
        assert len(value) == len(shape)
        return [link for pair in zip(value, shape, strict=True) for link in links_of(*pair)]
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert set(shape) <= set(value), f"documented keys are missing from {sorted(value)}"
        return [link for key in shape for link in links_of(value[key], shape[key])]
    kinds: dict[Any, Any] = {TEXT: str, WHOLE: int, SEEDS: int | None, float: int | float}
    assert isinstance(value, kinds[shape])
    assert not isinstance(value, bool)
    return []


def read_when_ready(api: Api, link: str) -> bytes:
    """Read a link as soon as it works; 403 and 404 mean not yet."""
    deadline = time.monotonic() + 120
    answer = api.get(link)
    while answer.status_code in (403, 404):
        assert time.monotonic() < deadline, "the link was returned but never worked"
        time.sleep(0.05)
        answer = api.get(link)
    assert answer.status_code == 200, answer.text
    return answer.content


def check_opens(content: bytes) -> None:
    """Check that a result is a whole picture, PSD file or zip."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        return
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert min(image.size) > 0


def needs_more_than_lite(answer: httpx.Response) -> None:
    """Check that a refusal names the profiles that have the model."""
    assert answer.status_code == 506, answer.text
    assert re.search(r"\bopen\b.*\bbria\b", answer.json()["description"])


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
    fields = REPLACE_COLOUR if route is REPLACE else api.example(route)
    answer = api.send(route, {**fields, "sync": False}, "base64")
    if route.path == "/gen_fill" and not api.hosted:
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
