"""Two organisations: neither can read the other's data, nor can a forged link."""

import io
import time
import zipfile
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.helpers.server_process import Server, b64, sample, whole_picture

PICTURE = sample("coffee", 200)
OTHER = {"api_token": "secret-b"}


@pytest.fixture(scope="module")
def visual(running: Server) -> str:
    """Return a visual registered by organisation a, with its masks."""
    answer = running.http.post("/v1/objects/mask_generator", files={"file": PICTURE})
    names = zipfile.ZipFile(io.BytesIO(running.read(answer.json()["objects_masks"]).content))
    return names.namelist()[0].partition("_")[0]


@pytest.fixture(scope="module")
def edit(running: Server, visual: str) -> dict[str, str]:
    """Return a result of the visual: `image_res` and `sid`."""
    changes = {"changes": [{"mask_id": 1, "actions": {"remove": True}}]}
    answer = running.http.post(f"/v1/{visual}/objects/remove", json=changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "info"),
        ("GET", "person/info"),
        ("GET", "objects/info"),
        ("GET", "background/info"),
        ("GET", "blur_bg"),
        ("GET", "increase_resolution"),
        ("POST", "objects/mask_generator"),
        ("POST", "objects/remove"),
        ("POST", "image_to_psd"),
        ("POST", "create"),
        ("POST", "remove_image"),
    ],
)
def test_another_organisations_visual_is_404(
    running: Server, visual: str, method: str, route: str
) -> None:
    body = {"changes": [{"mask_id": 1, "id": "x", "actions": {"remove": True}}]}
    answer = running.http.request(method, f"/v1/{visual}/{route}", json=body, headers=OTHER)
    assert answer.status_code == 404, answer.text
    assert running.http.get(f"/v1/{visual}/objects/info").status_code == 200


def test_the_same_picture_has_another_id_in_another_organisation(
    running: Server, visual: str
) -> None:
    ours = running.http.post("/v1/register", files={"file": PICTURE}).json()
    theirs = running.http.post("/v1/register", files={"file": PICTURE}, headers=OTHER).json()
    assert (ours["visual_id"], ours["code"]) == (visual, 208)
    assert theirs["visual_id"] != visual
    assert theirs["code"] == 200


def test_a_sid_works_only_with_its_own_visual(
    running: Server, visual: str, edit: dict[str, str]
) -> None:
    theirs = running.http.post("/v1/register", files={"file": PICTURE}, headers=OTHER).json()
    ours = running.http.post("/v1/register", files={"file": sample("chelsea")}).json()
    body = {"sid": edit["sid"], "changes": [{"mask_id": 1, "actions": {"remove": True}}]}
    for name, token in ((theirs, OTHER), (ours, {})):
        answer = running.http.post(
            f"/v1/{name['visual_id']}/objects/remove", json=body, headers=token
        )
        assert answer.status_code == 404, answer.text
        query = {"sid": edit["sid"]}
        blurred = running.http.get(f"/v1/{name['visual_id']}/blur_bg", params=query, headers=token)
        assert blurred.status_code == 404, blurred.text
    assert running.http.get(f"/v1/{visual}/blur_bg", params=query).status_code == 200


def test_a_tampered_link_is_403(running: Server, edit: dict[str, str]) -> None:
    link = urlsplit(edit["image_res"])
    assert running.read(edit["image_res"]).status_code == 200
    query = dict(parse_qsl(link.query))
    later = query | {"expires": str(int(query["expires"]) + 1)}
    turned = query | {"signature": query["signature"][::-1]}
    organisation, _, name = link.path.removeprefix("/results/").partition("/")
    tampered = [
        link.path,
        f"{link.path}?{urlencode(later)}",
        f"{link.path}?{urlencode(turned)}",
        f"{link.path}?{urlencode(query | {'expires': ''})}",
        f"{link.path}?{urlencode(query | {'expires': '٩' * 10})}",
        f"{link.path}.json?{link.query}",
        f"/results/b/{name}?{link.query}",
        f"/results/{organisation}/%2e%2e/{organisation}/{name}?{link.query}",
        f"/results/{organisation}/%2e%2e/%2e%2e/link-secret?{link.query}",
        f"/results/%2e%2e/link-secret?{link.query}",
        f"/results/?{link.query}",
    ]
    for address in tampered:
        answer = running.http.get(address)
        assert answer.status_code in (403, 404), (address, answer.text)
        assert running.http.head(address).status_code == answer.status_code


def test_a_link_starts_with_the_host_of_the_request(running: Server) -> None:
    body = {"file": b64(PICTURE), "mask_file": b64(PICTURE)}
    headers = {"host": "retouch.internal:81", "x-forwarded-host": "evil.example"}
    received = running.http.post("/v1/eraser", json=body, headers=headers).json()["result_url"]
    assert received.startswith("http://retouch.internal:81/results/")
    assert whole_picture(running.read(received).content) == whole_picture(PICTURE)


def test_links_start_with_public_url_and_expired_results_are_deleted(stopped: Server) -> None:
    server = stopped.start(
        PUBLIC_URL="https://edit.example.com/base/", LINK_TTL_S="1", SWEEP_INTERVAL_S="0.2"
    )
    body = {"file": b64(PICTURE), "mask_file": b64(PICTURE)}
    received = server.http.post("/v1/eraser", json=body, headers={"host": "evil.example"}).json()
    assert received["result_url"].startswith("https://edit.example.com/base/results/")
    address = received["result_url"].removeprefix("https://edit.example.com/base")
    deadline = time.monotonic() + 10
    while (answer := server.http.get(address)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.status_code == 403
    assert "expired" in answer.json()["description"]


def test_no_token_and_a_wrong_token_are_401_on_every_route(running: Server) -> None:
    document = running.http.get("/openapi.json").json()
    routes = [
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    ]
    assert len(routes) > 20
    for method, path in routes:
        for token in ("", "secret-c", "secret-a ,", "é", "x" * 5000):
            place = path.replace("{visual_id}", "0" * 16)
            headers = {"api_token": token.encode()}
            answer = running.http.request(method, place, headers=headers)
            assert answer.status_code == 401, (method, path, token)
            assert "token" in answer.json()["description"]
