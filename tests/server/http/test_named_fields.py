"""Errors about a picture name the field in which the caller sent it."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from imaging.files.header import probe
from models.roles import MODERATION
from server.app import create_app
from server.http.uploads import Encoded
from server.jobs.job import Job
from server.jobs.serialization import JobSerializer
from server.operation import EditBody
from server.settings import Settings
from server.v1 import OPERATIONS
from server.v1.eraser import OPERATION as ERASER
from storage.database import database_url, open_engine
from storage.filesystem import LocalObjects
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, photo
from tests.helpers.storage_limits import unlimited

IMAGE_NAMES = ["image_url", "file", "image_file", "image"]
MASK_NAMES = ["mask_url", "mask_file", "mask"]
REFERENCE_NAMES = ["ref_image_url", "ref_image_file", "ref_image"]
RED = encode(Image.new("RGB", (320, 240), (255, 0, 0)))
DAMAGED = photo()[:5000]
WRONG = [
    ({}, DAMAGED, 400),
    ({}, b"no picture", 415),
    ({}, encode(Image.new("1", (9000, 9000))), 413),
    ({"content_moderation": True}, RED, 422),
]


def as_value(name: str, data: bytes) -> str:
    """Return a picture in base64 as the field expects it."""
    return f"data:image/png;base64,{b64(data)}" if name.endswith("_url") else b64(data)


def check_named(answer: Any, code: int, name: str) -> None:
    """Check that an error names a field as its parameter and in its text, and no other picture field."""
    body = refused(answer, code)
    assert body["parameter"] == name
    assert name in body["description"], body["description"]


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(("fields", "data", "code"), WRONG)
@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_a_wrong_image_is_named(
    client: TestClient, name: str, fields: dict[str, Any], data: bytes, code: int, sync: bool
) -> None:
    body = {**fields, name: as_value(name, data), "sync": sync}
    check_named(client.post("/v1/crop", json=body), code, name)


@pytest.mark.parametrize(("fields", "data", "code"), WRONG[:3])
@pytest.mark.parametrize("name", MASK_NAMES)
def test_a_wrong_mask_is_named(
    client: TestClient, name: str, fields: dict[str, Any], data: bytes, code: int
) -> None:
    body = {**fields, "file": b64(photo()), name: as_value(name, data)}
    check_named(client.post("/v1/eraser", json=body), code, name)


class GreyModeration:
    """Blocks grey pictures, and so every mask."""

    def score(self, rgb: Any) -> dict[str, float]:
        """Return 1 for a grey picture, else 0."""
        return {"nsfw": float((rgb[..., 0] == rgb[..., 1]).all())}


@pytest.mark.parametrize("name", MASK_NAMES)
def test_a_blocked_mask_is_named(tmp_path: Path, name: str) -> None:
    body = {"file": b64(photo()), name: as_value(name, mask()), "content_moderation": True}
    models = FakeModels({MODERATION: GreyModeration()})
    with TestClient(create_app(Settings(data_dir=tmp_path), models), headers=TOKEN) as client:
        check_named(client.post("/v1/eraser", json=body), 422, name)


@pytest.mark.parametrize(("fields", "data", "code"), WRONG)
@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_a_wrong_reference_picture_is_named(
    client: TestClient, name: str, fields: dict[str, Any], data: bytes, code: int
) -> None:
    body = {**fields, "image": b64(photo()), name: as_value(name, data)}
    check_named(client.post("/v1/background/replace", json=body), code, name)


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_a_side_under_216_is_named(client: TestClient, name: str) -> None:
    body = {name: as_value(name, photo(100, 300))}
    check_named(client.post("/v1/image/increase_resolution", json=body), 406, name)


@pytest.mark.parametrize("name", MASK_NAMES)
def test_a_mask_of_another_ratio_is_named(client: TestClient, name: str) -> None:
    body = {"file": b64(photo()), name: as_value(name, mask(100, 320))}
    answer = client.post("/v1/eraser", json=body)
    assert refused(answer, 400)["parameter"] == name


@pytest.mark.parametrize("name", ["image_url", "mask_url", "ref_image_url", "file"])
def test_an_address_that_cannot_be_fetched_is_named(client: TestClient, name: str) -> None:
    routes = {"mask_url": "eraser", "ref_image_url": "background/replace"}
    body = {"image": b64(photo()), name: "http://127.0.0.1:9/a.png"}
    check_named(client.post(f"/v1/{routes.get(name, 'crop')}", json=body), 460, name)


def test_a_drawn_mask_is_named_by_its_place(client: TestClient) -> None:
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    masks: list[dict[str, Any]] = [
        {"mask_id": 1},
        {"mask_url": "data:,!", "actions": {"remove": False}},
        {"mask_url": as_value("_url", mask(100, 320))},
    ]
    answer = client.post(f"/v1/{visual}/objects/remove", json={"changes": masks})
    assert refused(answer, 400)["parameter"] == "changes.2.mask_url"
    masks[2]["mask_url"] = "http://127.0.0.1:9/a.png"
    answer = client.post(f"/v1/{visual}/objects/remove", json={"changes": masks})
    check_named(answer, 460, "changes.2.mask_url")


def test_a_blocked_visual_is_named_by_its_id_or_its_sid(client: TestClient) -> None:
    visual = client.post("/v1/register", json={"file": b64(RED)}).json()["visual_id"]
    moderated = {"content_moderation": "true"}
    check_named(client.get(f"/v1/{visual}/blur_bg", params=moderated), 422, "visual_id")
    sid = client.get(f"/v1/{visual}/blur_bg").json()["sid"]
    answer = client.get(f"/v1/{visual}/blur_bg", params={**moderated, "sid": sid})
    check_named(answer, 422, "sid")


def test_a_key_of_the_organisation_is_named(tmp_path: Path, fakes: FakeModels) -> None:
    settings = Settings(data_dir=tmp_path, org_image_url="http://127.0.0.1:9/{key}")
    with TestClient(create_app(settings, fakes), headers=TOKEN) as client:
        answer = client.post("/v1/register", json={"org_image_key": "a.png"})
        check_named(answer, 460, "org_image_key")


def test_a_serialized_job_has_the_names(tmp_path: Path) -> None:
    limits = unlimited(open_engine(database_url("sqlite://")))
    serializer = JobSerializer({o.path: o for o in OPERATIONS}, LocalObjects(tmp_path), limits)
    probed = {"image": "image_url", "mask": "mask"}
    pictures = {name: encoded(sent_as) for name, sent_as in probed.items()}
    job = Job(ERASER, "a", EditBody(sync=False), pictures, ["a/b.png"])
    stored = json.loads(json.dumps(serializer.dump("job", job)))
    loaded = serializer.load(stored).pictures
    assert {name: picture.sent_as for name, picture in loaded.items()} == probed
    for source in stored["sources"].values():
        del source["sent_as"]
    loaded = serializer.load(stored).pictures
    assert {name: picture.sent_as for name, picture in loaded.items()} == {
        "image": "image",
        "mask": "mask",
    }


def encoded(sent_as: str) -> Encoded:
    """Return a picture that was sent in a field."""
    return Encoded(photo(), probe(photo()), False, sent_as)
