"""How large an encoded picture may be: 12 MB on the routes for which the published page says so."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from server.v1 import OPERATIONS
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, mask, photo

LIMITED = {
    "/background/replace",
    "/background/blur",
    "/crop",
    "/erase_foreground",
    "/image_expansion",
    "/objects/mask_generator",
    "/product/cutout",
    "/product/packshot",
    "/product/shadow",
    "/product/lifestyle_shot_by_text",
    "/product/lifestyle_shot_by_image",
}
"""Where the published page says "Maximum file size 12MB"."""
ROUTES = [
    *(o.path for o in OPERATIONS if any("file" in rule.file_fields for rule in o.pictures)),
    "/register",
    "/upload",
]
MIB = 2**20
EXTRA: dict[str, dict[str, Any]] = {
    "/gen_fill": {"prompt": "a cat", "mask_file": b64(mask())},
    "/eraser": {"mask_file": b64(mask())},
}


@pytest.mark.parametrize("route", ROUTES)
def test_only_the_pictures_that_the_page_limits_are_413(client: TestClient, route: str) -> None:
    for size in (12 * MIB, 12 * MIB + 1):
        files = {"file": ("a", bytes(size))}
        answer = client.post(f"/v1{route}", files=files, data=EXTRA.get(route, {}))
        too_large = route in LIMITED and size > 12 * MIB
        refused(answer, 413 if too_large else 415)


def test_a_mask_and_a_reference_picture_are_not_limited(client: TestClient) -> None:
    large = ("a", bytes(12 * MIB + 1))
    files = {"file": photo(), "mask_file": large}
    refused(client.post("/v1/eraser", files=files), 415)
    files = {"file": photo(), "ref_image_file": large}
    refused(client.post("/v1/background/replace", files=files), 415)


def test_the_limit_is_of_the_picture_and_not_of_its_base64(client: TestClient) -> None:
    refused(client.post("/v1/crop", json={"file": b64(bytes(12 * MIB))}), 415)
    refused(client.post("/v1/crop", json={"file": b64(bytes(12 * MIB + 1))}), 413)


@pytest.fixture
def small(tmp_path: Path, fakes: FakeModels) -> Any:
    """A client of a server that accepts bodies of 2 MiB."""
    settings = Settings(data_dir=tmp_path, max_body_mb=2, max_picture_mb=1)
    with TestClient(create_app(settings, fakes), headers=TOKEN) as client:
        yield client


def test_the_settings_are_the_limits(small: TestClient) -> None:
    files = {"file": ("a", bytes(MIB + 1))}
    text = refused(small.post("/v1/crop", files=files), 413)["description"]
    assert text == "file is larger than 1 MiB."
    refused(small.post("/v1/background/remove", files=files), 415)
    refused(small.post("/v1/background/remove", files={"file": ("a", bytes(2 * MIB + 1))}), 413)
