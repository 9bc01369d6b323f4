"""Every documented operation through both clients, with sync=true and with sync=false."""

import io
import json
import zipfile
from typing import Any

import pytest
from PIL import Image

from models.roles import FACE_ANALYSIS
from retouch.client import Answer
from tests.helpers.both_clients import KINDS, Serve, Served
from tests.helpers.fake_models import GenerativeModels, OneFace
from tests.helpers.places import ROOT
from tests.helpers.requests import photo
from tests.helpers.route_needs import SENT

PATHS: dict[str, dict[str, Any]] = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
OPERATIONS = [
    (method, path)
    for path, methods in PATHS.items()
    for method in methods
    if path.startswith(("/v1/", "/v2/")) and path != "/v2/status/{request_id}"
]
"""A new one that needs more than a picture fails until it has a row in SENT."""
WORDS = ("/info", "/caption", "/prompt_enhancer", "/register", "/upload", "/remove_image")
"""The ends of the paths of v1 whose answers have no results."""
ALWAYS_LATER = "/v2/image/edit/enhance"


@pytest.fixture(scope="module")
def served(serve: Serve) -> Served:
    """A server with fakes for every role."""
    return serve(GenerativeModels({FACE_ANALYSIS: OneFace()}))


def send(client: Any, method: str, path: str, sync: bool) -> Answer:
    """Send the request of a route."""
    fields: dict[str, Any] = {**SENT.get(path, {}), **SENT.get(path.removeprefix("/v1"), {})}
    if "{visual_id}" in path:
        visual = client.register(photo())
        if path.endswith("/create"):
            person = client.get(f"{visual}/person/info").body[0]["id"]
            fields = {"changes": [{"id": person, "actions": {"age": "mid-20"}}]}
        path = path.replace("{visual_id}", visual)
    else:
        fields["image"] = photo()
    path = path.replace("{model_version}", "2.3")
    if method == "get":
        answer: Answer = client.get(path, sync=sync)
    else:
        answer = client.call(path, sync=sync, **fields)
    return answer


def opens(content: bytes) -> bool:
    """Whether a file is a whole picture, PSD or zip."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        return zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_has_its_results(served: Served, kind: str, method: str, path: str) -> None:
    client = served.client(kind)
    for sync in (True, False):
        answer = send(client, method, path, sync)
        is_v2 = path.startswith("/v2/")
        assert answer.is_pending == (is_v2 and (not sync or path == ALWAYS_LATER))
        ready = client.wait(answer, 60)
        assert not ready.is_pending
        assert (ready.request_id is not None) == is_v2
        if path.endswith(WORDS):
            assert ready.body
            assert ready.results == ()
        elif path.startswith("/v2/structured_"):
            assert json.loads(ready.body["result"]["structured_prompt"])
            assert ready.results == ()
        else:
            assert ready.links
            assert len(ready.links) == len(ready.results)
            assert opens(client.download(ready.links[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_results_have_their_seeds_and_names(served: Served, kind: str) -> None:
    client = served.client(kind)
    picture = {"image": photo()}
    by_path: dict[str, dict[str, Any]] = {
        "gen_fill": {**picture, **SENT["/gen_fill"], "seed": 7, "num_results": 2},
        "background/replace": {**picture, "bg_prompt": "a beach", "seed": 7, "num_results": 2},
        "text-to-image/fast/2.3": {"prompt": "a dog", "seed": 7, "num_results": 2},
        "v2/image/edit/expand": {**picture, "aspect_ratio": "16:9", "seed": 7},
    }
    for path, fields in by_path.items():
        results = client.wait(client.call(path, **fields, sync=False)).results
        assert results[0].seed == 7, path
        assert len({one.link for one in results}) == len(results) == fields.get("num_results", 1)
    masks = client.wait(client.call("v2/image/segment/all_masks", **picture)).results
    assert sorted(int(str(mask.id)) for mask in masks) == list(range(1, len(masks) + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_of_a_visual_can_be_continued(served: Served, kind: str) -> None:
    client = served.client(kind)
    visual = client.register(photo(200, 160))
    removed = client.call(f"{visual}/objects/remove", changes=[{"mask_id": 1}])
    (sid,) = [one.id for one in removed.results]
    layers = client.call(f"{visual}/image_to_psd?sid={sid}", sync=False)
    assert client.download(client.wait(layers).links[0]).startswith(b"8BPS")
    larger = client.call("image/increase_resolution?desired_increase=4", image=photo(220, 216))
    with Image.open(io.BytesIO(client.download(larger.links[0]))) as image:
        assert image.size == (880, 864)
