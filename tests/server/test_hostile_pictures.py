"""Hostile pictures in every place of every route: served or refused as documented, and no error in the log.

scripts/hardening/bombs.py sends all of them to all places, at full size, and measures the memory.
"""

import logging
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from server import v1
from server.app import create_app
from server.operation import gather_none
from server.operations import OPERATIONS
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.file_server import file_server
from tests.helpers.hostile_pictures import ODD, REFUSED, bombs, jpeg_bomb, png_of, webp_of
from tests.helpers.picture_places import (
    NOWHERE,
    WAYS,
    NoModels,
    Place,
    Way,
    documented,
    find_places,
    rules,
)
from tests.helpers.requests import TOKEN, b64, mask, photo
from tests.helpers.route_needs import SENT
from tests.helpers.version2 import finished

PIXELS = 2**17
ADDRESSES = {name: f"{number}.png" for number, name in enumerate([*REFUSED, *ODD])}


@cache
def files() -> dict[str, bytes]:
    """Return the files by their address; some take a second to make."""
    makes = {**REFUSED, **ODD}
    return {ADDRESSES[name]: make() for name, make in makes.items()}


def file_of(name: str) -> bytes:
    """Return one of the files."""
    return files()[ADDRESSES[name]]


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, api_tokens="a:secret-a", workers=2, **more)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    """The places for pictures, in the order of the routes."""
    settings = settings_for(
        tmp_path_factory.mktemp("places"), org_image_url="http://192.0.2.1/{key}"
    )
    with TestClient(create_app(settings, NoModels()), headers=TOKEN) as client:
        registered = client.post("/v1/register", json={"file": b64(photo())})
        return find_places(client, registered.json()["visual_id"])


@pytest.fixture(scope="module")
def pictures() -> Iterator[str]:
    """The address of a server that has all files."""
    with file_server(files()) as address:
        yield address


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, pictures: str) -> Iterator[TestClient]:
    """A client of a server that accepts small pictures and fetches from this machine."""
    settings = settings_for(
        tmp_path_factory.mktemp("hostile"),
        max_pixels=PIXELS,
        allowed_url_networks="127.0.0.0/8",
        org_image_url=f"{pictures}/{{key}}",
    )
    app = create_app(settings, GenerativeModels())
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        client.post("/v1/register", json={"file": b64(photo())})
        yield client


pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that a hostile picture is no error of the server."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def fault(client: TestClient, place: Place, answer: httpx.Response) -> str | None:
    """Return what is wrong with an answer to a picture; None for an answer that is documented."""
    return documented(client.app.openapi(), place.template, "post", answer)  # type: ignore[attr-defined]


def test_every_declared_field_of_a_picture_is_found(places: list[Place]) -> None:
    found = {(place.template, place.path[0]) for place in places}
    for route, rule in rules():
        for name in (*rule.url_fields, *rule.file_fields):
            assert (route, name) in found
    gathering = {one.url for one in OPERATIONS if one.gather is not gather_none}
    assert gathering <= {place.template for place in places}
    assert ("/v1/register", "org_image_key") in found
    assert len(set(places)) == len(places)


def rule_of(place: Place) -> str:
    """Return what the places of one picture of a request have in common."""
    for route, rule in rules():
        if route == place.template and place.path[0] in (*rule.url_fields, *rule.file_fields):
            return rule.name
    return str(place.path)


@pytest.fixture(scope="module")
def pictures_of_routes(places: list[Place]) -> list[Place]:
    """One place for each picture of each route."""
    return list({(place.template, rule_of(place)): place for place in reversed(places)}.values())


def test_an_ordinary_picture_is_served_in_every_place(
    running: TestClient, pictures_of_routes: list[Place]
) -> None:
    """So the hostile ones are not refused because of the rest of the request."""
    for place in pictures_of_routes:
        if place.path == ("org_image_key",):
            answer = place.send_address(running, ADDRESSES["RGBA"])
        else:
            answer = place.send(running, mask() if place.is_mask else photo(), "base64")
        assert answer.status_code in (200, 202), (str(place), answer.text)


def test_an_address_that_leads_nowhere_is_refused_as_documented_in_every_place(
    running: TestClient, places: list[Place]
) -> None:
    answers = [(place, place.send_address(running, NOWHERE)) for place in places]
    found = [(str(place), fault(running, place, answer)) for place, answer in answers]
    assert [one for one in found if one[1]] == []


def test_what_is_no_picture_is_refused_in_every_place(
    running: TestClient, places: list[Place], pictures: str
) -> None:
    names, ways = cycle(REFUSED), cycle(WAYS)
    found = []
    for place in places:
        for name, way, _ in zip(names, ways, range(2), strict=False):
            answer = send(running, place, name, way, pictures)
            if answer.status_code not in (400, 406, 413, 415) or fault(running, place, answer):
                found.append((str(place), name, way, answer.text))
    assert found == []


def test_a_small_file_of_a_large_picture_is_refused_in_every_place(
    running: TestClient, places: list[Place]
) -> None:
    too_large = {
        "WebP of 38 bytes": webp_of(16_384, 16_384),
        "PNG": png_of(2 * PIXELS),
        "JPEG": jpeg_bomb(65_500 * 5),
    }
    for place, (name, data) in zip(places, cycle(too_large.items()), strict=False):
        if place.path == ("org_image_key",):
            continue
        answer = place.send(running, data, "base64")
        # Some routes do not accept WebP at all.
        assert answer.status_code in ((413, 415) if "WebP" in name else (413,)), (str(place), name)


def test_an_odd_picture_is_served_or_refused_as_documented(
    running: TestClient, pictures_of_routes: list[Place], pictures: str
) -> None:
    names = cycle(ODD)
    found = []
    for place, name in zip(pictures_of_routes, names, strict=False):
        answer = send(running, place, name, "address", pictures)
        found.append((str(place), name, fault(running, place, answer)))
    assert [one for one in found if one[2]] == []


def test_a_small_file_of_the_largest_picture_is_served_or_refused_as_documented(
    running: TestClient, pictures_of_routes: list[Place]
) -> None:
    largest = cycle([*bombs(PIXELS), ("JPEG", jpeg_bomb(65_500 * 2))])
    found = []
    for place, (name, data) in zip(pictures_of_routes, largest, strict=False):
        if place.path != ("org_image_key",):
            answer = place.send(running, data, "base64")
            found.append((str(place), name, fault(running, place, answer)))
    assert [one for one in found if one[2]] == []


@pytest.mark.parametrize("name", ["1 x 1", "1 x 3,000", "WebP of 2,000 x 1", "YCCK", "all clear"])
def test_the_routes_of_an_odd_visual_answer_as_documented(running: TestClient, name: str) -> None:
    registered = running.post("/v1/register", json={"file": b64(file_of(name))})
    visual_id = registered.json()["visual_id"]
    paths = [(one.method, one.url) for one in OPERATIONS if one.of_visual]
    paths += [("GET", f"/v1{one.path}") for one in v1.VISUAL_QUERIES]
    document = running.app.openapi()  # type: ignore[attr-defined]
    for method, path in paths:
        body = SENT.get(path.removeprefix("/v1"), {}) if method == "POST" else None
        answer = running.request(method, path.format(visual_id=visual_id), json=body)
        assert documented(document, path, method.lower(), answer) is None, path


def test_a_request_of_v2_with_an_odd_picture_ends_as_documented(
    running: TestClient, pictures_of_routes: list[Place]
) -> None:
    names = cycle(ODD)
    for place, name in zip(pictures_of_routes, names, strict=False):
        if not place.template.startswith("/v2"):
            continue
        answer = place.send(running, file_of(name), "base64", sync=False)
        assert fault(running, place, answer) is None, (str(place), name)
        if answer.status_code == 202:
            state = finished(running, answer)
            code = state.get("error", {}).get("code", 200)
            assert code in (200, 400, 413, 422, 506), (str(place), name, state)


def test_a_damaged_picture_prints_nothing(
    running: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in REFUSED:
        running.post("/v1/crop", json={"file": b64(file_of(name))})
    assert capfd.readouterr().err == ""


def send(client: TestClient, place: Place, name: str, way: Way, pictures: str) -> httpx.Response:
    """Send one of the files to a place, in one of the ways."""
    if place.path == ("org_image_key",):
        return place.send_address(client, ADDRESSES[name])
    if way == "address":
        return place.send_address(client, f"{pictures}/{ADDRESSES[name]}")
    return place.send(client, file_of(name), way if way in place.ways else "base64")
