"""A profile without a model for a role: 506 at once to the requests that need it, and the rest works."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.errors import RoleNotInProfileError
from models.roles import (
    GENERATIVE_FILL,
    MATTING,
    MODERATION,
    OUTPAINTING,
    SCENE_GENERATION,
    SUPER_RESOLUTION,
    Role,
)
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.operations import OPERATIONS
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.cards import card
from tests.helpers.fake_models import FakeModels, GenerativeModels
from tests.helpers.requests import TOKEN, b64, encode, noise, photo
from tests.helpers.route_needs import NEEDS, SENT
from tests.helpers.version2 import finished
from tests.helpers.version2 import refused as refused_by_v2

Wait = Callable[[Callable[[], bool]], None]

GET_ROUTES = {operation.path for operation in OPERATIONS if operation.method == "GET"}


def lacking(role: Role[Any], kind: type[FakeModels]) -> FakeModels:
    """Return fake models without one role."""
    models = kind()
    models.fakes = {known: fake for known, fake in kind.fakes.items() if known != role}
    return models


@pytest.fixture
def connect(settings: Settings) -> Iterator[Callable[[Any], TestClient]]:
    """Return a client of a server with the given models."""
    clients: list[TestClient] = []

    def start(models: Any) -> TestClient:
        client = TestClient(
            create_app(settings, models), raise_server_exceptions=False, headers=TOKEN
        )
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def call(client: TestClient, path: str, sync: bool, **fields: Any) -> Any:
    """Call a route with what it needs."""
    body = {**SENT.get(path, {}), "sync": sync, **fields}
    if path.startswith("/v2"):
        return client.post(path, json={"image": b64(photo()), **body})
    picture = {"file": b64(photo())}
    path = path.replace("{model_version}", "2.2")
    if "{visual_id}" not in path:
        return client.post(f"/v1{path}", json={**picture, **body})
    visual_id = client.post("/v1/register", json=picture).json()["visual_id"]
    url = f"/v1{path}".replace("{visual_id}", visual_id)
    if path in GET_ROUTES:
        return client.get(url, params=body)
    return client.post(url, json=body)


def links(answer: Any) -> list[str]:
    """Return the links of an answer."""
    text = answer.json()
    values = [value for value in text.values() if isinstance(value, str) and "/results/" in value]
    rows = [row["urls"] if isinstance(row, dict) else row for row in text.get("result", [])]
    return [*values, *text.get("urls", []), *(row[0] for row in rows)]


def test_every_route_is_listed() -> None:
    assert {operation.key for operation in OPERATIONS} == set(NEEDS)


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("role", sorted(set.union(*NEEDS.values()), key=str), ids=str)
def test_a_missing_role_is_506_where_it_is_needed_and_nothing_is_stored(
    settings: Settings, connect: Callable[[Any], TestClient], role: Role[Any], sync: bool
) -> None:
    kind = GenerativeModels if role == GENERATIVE_FILL else FakeModels
    client = connect(lacking(role, kind))
    for path, needed in NEEDS.items():
        if role not in needed:
            continue
        answer = call(client, path, sync)
        if path.startswith("/v2"):
            error = refused_by_v2(answer, 506)
            assert role.name.replace("_", " ") in error["details"], path
            continue
        body = refused(answer, 506)
        assert body["status"] == "NOT_IN_PROFILE", path
        assert role.name.replace("_", " ") in body["description"], path
    assert not [file for file in (settings.data_dir / "results").rglob("*") if file.is_file()]
    assert not [file for file in (settings.data_dir / "sources").rglob("*") if file.is_file()]
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("role", [*FakeModels.fakes, OUTPAINTING, SCENE_GENERATION], ids=str)
def test_an_accepted_job_never_fails_for_a_missing_role(
    connect: Callable[[Any], TestClient], role: Role[Any], wait_until: Wait
) -> None:
    client = connect(lacking(role, FakeModels if role in FakeModels.fakes else GenerativeModels))
    promised = []
    for path in NEEDS:
        if path == "/{visual_id}/create":  # the fakes find no faces
            continue
        at_once, later = call(client, path, sync=True), call(client, path, sync=False)
        if path.startswith("/v2"):
            assert (at_once.status_code == 506) == (later.status_code == 506), path
            if later.status_code != 506:
                assert finished(client, later)["status"] == "COMPLETED", path
            continue
        assert at_once.status_code == later.status_code, path
        assert at_once.status_code in (200, 506), at_once.text
        if later.status_code == 200:
            promised += map(local, links(later))
    assert promised
    for link in promised:
        wait_until(lambda link=link: client.get(link).status_code != 404)
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize("sync", [True, False])
def test_moderation_without_its_model_is_506_and_other_requests_work(
    connect: Callable[[Any], TestClient], sync: bool
) -> None:
    client = connect(lacking(MODERATION, FakeModels))
    answer = call(client, "/background/remove", sync, content_moderation=True)
    assert "moderation" in refused(answer, 506)["description"]
    assert call(client, "/background/remove", sync).status_code == 200


def test_a_picture_with_its_own_cut_out_needs_no_matting(
    connect: Callable[[Any], TestClient],
) -> None:
    client = connect(lacking(MATTING, FakeModels))
    cut_out = {"file": b64(photo(mode="RGBA"))}
    assert client.post("/v1/crop", json={"file": b64(photo())}).status_code == 506
    body = {"file": b64(_half_transparent())}
    assert client.post("/v1/crop", json=body).status_code == 200
    assert client.post("/v1/crop", json={**body, "force_rmbg": True}).status_code == 506
    assert client.post("/v1/crop", json=cut_out).status_code == 506  # opaque everywhere


def _half_transparent() -> bytes:
    alpha = np.zeros((240, 320, 1), np.uint8)
    alpha[60:180, 80:240] = 255
    return encode(Image.fromarray(np.concatenate([noise(320, 240), alpha], axis=2)))


@pytest.mark.parametrize("path", ["person/info", "objects/info", "background/info", "info"])
def test_a_query_without_its_model_is_506(connect: Callable[[Any], TestClient], path: str) -> None:
    models = FakeModels()
    models.fakes = {SUPER_RESOLUTION: FakeModels.fakes[SUPER_RESOLUTION]}
    client = connect(models)
    visual_id = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    assert "profile" in refused(client.get(f"/v1/{visual_id}/{path}"), 506)["description"]


def test_a_server_with_one_real_role_is_ready_and_refuses_the_others(
    settings: Settings, connect: Callable[[Any], TestClient], wait_until: Wait
) -> None:
    fake = FakeModels.fakes[SUPER_RESOLUTION]
    pool = Pool({SUPER_RESOLUTION: card(SUPER_RESOLUTION, lambda *_: fake())}, settings.data_dir)
    client = connect(LocalEngine(pool))
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert call(client, "/image/increase_resolution", sync=True).status_code == 200
    assert "matting" in refused(call(client, "/background/remove", sync=True), 506)["description"]


@pytest.mark.parametrize("role", [MATTING, SCENE_GENERATION])
def test_the_use_of_a_missing_role_has_its_own_error(settings: Settings, role: Role[Any]) -> None:
    with (
        pytest.raises(RoleNotInProfileError, match=str(role)),
        Pool({}, settings.data_dir).use(role),
    ):
        pass
