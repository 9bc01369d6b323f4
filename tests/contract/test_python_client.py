"""The published examples through `retouch.client`: each has the published answer, and its results can be read.

The models are fakes, for every role; test_contract.py has the real ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.roles import FACE_ANALYSIS
from retouch.client import Client
from server.app import create_app
from server.settings import Settings
from tests.contract.answers import check_opens, links_of
from tests.contract.api import FILES, Api
from tests.contract.published import PHOTOGRAPH, ROUTES
from tests.contract.published_v2 import ROUTES_V2
from tests.contract.route import Route
from tests.helpers.fake_models import GenerativeModels, OneFace

_FILES = ("file", "mask_file")
EACH = [pytest.param(route, id=route.url) for route in (*ROUTES, *ROUTES_V2)]


@pytest.fixture(scope="module")
def fake_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """This server with fake models in this process."""
    tokens: Any = "contract:contract"
    folder: Path = tmp_path_factory.mktemp("contract")
    app = create_app(
        Settings(data_dir=folder, api_tokens=tokens, workers=2),
        GenerativeModels({FACE_ANALYSIS: OneFace()}),
    )
    with TestClient(app, headers={"api_token": "contract"}) as client:
        yield Api(client, TestClient(app), "/v1", False, None)


@pytest.fixture(scope="module")
def client(fake_api: Api) -> Iterator[Client]:
    """A client of the server."""
    transport: Any = fake_api.client._transport
    with Client("http://testserver/v1", "contract", transport=transport) as client:
        yield client


def with_pictures(value: Any, name: str = "") -> Any:
    """Replace the addresses of an example by pictures, as a caller of the client would."""
    if isinstance(value, list):
        return [with_pictures(part, name) for part in value]
    if isinstance(value, dict):
        # One example fills the files beside the addresses too, with a word that stands for base64.
        parts = {n: one for n, one in value.items() if n not in _FILES or one != "string"}
        return {by_file(n): with_pictures(one, n) for n, one in parts.items()}
    if value not in ("URL", PHOTOGRAPH["image_url"]):
        return value
    return FILES["mask.png" if name.startswith("mask") else "portrait.jpg"]


def by_file(name: str) -> str:
    """Return the name of a field that takes a picture by its address, when it is sent as bytes."""
    known = {"image_url": "image", "mask_url": "mask", "ref_image_urls": "ref_image_file"}
    return known.get(name, name)


@pytest.mark.parametrize("route", EACH)
def test_the_published_example_has_the_published_answer(
    fake_api: Api, client: Client, route: Route
) -> None:
    fields = with_pictures(fake_api.example(route))
    path = route.url.replace("{visual_id}", str(fields.pop("visual_id", "")))
    if route.method == "GET":
        links_of(client.get(path).body, route.answer)
        return
    ready = client.wait(client.call(path, **fields))
    made = ready.body["result"] if route.version == "v2" else ready.body
    assert links_of(made, route.answer) == ready.links
    for link in ready.links:
        check_opens(client.download(link))
