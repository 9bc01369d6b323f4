"""Accept: image/* on every operation: the file of its one result instead of JSON, or 406 before any work."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.roles import FACE_ANALYSIS
from server.app import create_app
from server.http.accept import FILE_TYPES
from server.http.result_files import HEADERS
from server.operation import Operation
from server.operations import OPERATIONS
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels, GenerativeModels, OneFace
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.route_needs import SENT

SIZE = (288, 216)
PEOPLE = "/{visual_id}/create"
ONE: dict[str, dict[str, Any]] = {
    "/background/replace": {"num_results": 1},
    "/gen_fill": {"num_results": 1},
    "/product/lifestyle_shot_by_text": {"num_results": 1},
    "/product/lifestyle_shot_by_image": {"num_results": 1},
    "/image/increase_resolution": {"desired_increase": 2},
}
"""What makes the number of results one, and the smallest of a result."""
WITHOUT_FILE = {
    "/prompt_enhancer",
    "/v2/image/segment/all_masks",
    "/v2/structured_instruction/generate",
    "/v2/structured_prompt/generate",
    "/v2/structured_prompt/generate/lite",
}
"""Operations whose answer is data or a list."""
FILED = [one for one in OPERATIONS if one.key not in WITHOUT_FILE]
UNCHANGED = (
    None,
    "*/*",
    "application/json",
    "application/json, text/plain, */*",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "image/avif,image/webp,*/*",
    "image/png;q=0.5, application/json;q=0.5",
    "image/png;q=0",
    "text/plain",
    "image/png;q=nothing",
    "image/*, " * 1000,
)
"""Headers with which JSON is answered: those of programs and browsers, and some that name no file."""


@pytest.fixture(scope="module")
def models() -> FakeModels:
    """Fake models for every role."""
    return GenerativeModels({FACE_ANALYSIS: OneFace()})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: FakeModels) -> Iterator[TestClient]:
    """A client of a server whose models are fakes."""
    folder = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data_dir=folder, api_tokens="a:secret-a", workers=2), models)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def visual_id(server: TestClient) -> str:
    """A registered picture with one person."""
    answer = server.post("/v1/register", json={"file": b64(photo(*SIZE))})
    return str(answer.json()["visual_id"])


def fields_of(operation: Operation[Any], server: TestClient, visual_id: str) -> dict[str, Any]:
    """Return the fields of a valid request that makes one result."""
    picture: dict[str, Any] = {}
    if any(rule.name == "image" for rule in operation.pictures):
        picture = {("image" if operation.version == "v2" else "file"): b64(photo(*SIZE))}
    fields = {**picture, **SENT.get(operation.key, {}), **ONE.get(operation.key, {})}
    if operation.key == PEOPLE:
        person = server.get(f"/v1/{visual_id}/person/info").json()[0]["id"]
        fields["changes"] = [{"id": person, "actions": {"age": "mid-20"}}]
    return fields


def call(
    server: TestClient,
    operation: Operation[Any],
    visual_id: str,
    accept: str | None,
    **more: Any,
) -> httpx.Response:
    """Send a request of an operation."""
    url = operation.url.replace("{visual_id}", visual_id).replace("{model_version}", "2.3")
    fields = {"sync": True} | fields_of(operation, server, visual_id) | more
    request = server.build_request(
        operation.method,
        url,
        **({"params": fields} if operation.method == "GET" else {"json": fields}),
    )
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    return server.send(request)


def refusal(answer: httpx.Response, code: int) -> str:
    """Check that an answer is a refusal in JSON, as its version writes it, and return its text."""
    assert answer.headers["content-type"] == "application/json"
    if answer.url.path.startswith("/v2/"):
        assert (answer.status_code, answer.json()["error"]["code"]) == (code, code)
        return str(answer.json()["error"]["message"])
    return str(refused(answer, code)["description"])


def key(operation: Operation[Any]) -> str:
    """Return the name of a test's case."""
    return operation.key


def kind_of(content: bytes) -> str:
    """Return the extension of a file by its first bytes."""
    if content.startswith(b"8BPS"):
        return "psd"
    if zipfile.is_zipfile(io.BytesIO(content)):
        return "zip"
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}[str(image.format)]


def check_file(answer: httpx.Response, server: TestClient) -> str:
    """Check an answer with a file and return its extension; its link leads to the same file."""
    assert answer.status_code == 200, answer.text
    extension = kind_of(answer.content)
    assert answer.headers["content-type"] == FILE_TYPES[extension]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-disposition"].startswith('inline; filename="')
    assert answer.headers["content-disposition"].endswith(f'.{extension}"')
    assert "Accept" in answer.headers["vary"].split(", ")
    assert answer.headers["cache-control"] == "no-store"
    link = urlsplit(answer.headers["content-location"])
    stored = server.get(f"{link.path}?{link.query}", headers={"api_token": ""})
    assert stored.content == answer.content
    return extension


@pytest.mark.parametrize("operation", FILED, ids=key)
def test_every_operation_answers_with_its_file(
    server: TestClient, visual_id: str, operation: Operation[Any]
) -> None:
    # sync says nothing here, or false: the server waits in any case.
    wanted = FILE_TYPES[operation.extension] if operation.extension else "image/*"
    extension = check_file(call(server, operation, visual_id, wanted, sync=False), server)
    assert extension in operation.file_extensions
    if operation.extension is not None:
        assert extension == operation.extension


@pytest.mark.parametrize("operation", [one for one in FILED if one.extension is None], ids=key)
def test_every_picture_is_made_in_the_format_that_is_asked_for(
    server: TestClient, visual_id: str, operation: Operation[Any]
) -> None:
    extension = operation.file_extensions[-1]  # it has PNG without being asked
    answer = call(server, operation, visual_id, FILE_TYPES[extension])
    assert check_file(answer, server) == extension


@pytest.mark.parametrize("operation", OPERATIONS, ids=key)
def test_what_an_operation_does_not_make_is_refused_before_any_work(
    server: TestClient, visual_id: str, models: FakeModels, operation: Operation[Any]
) -> None:
    unmade = {"image/avif", *FILE_TYPES.values()} - {
        FILE_TYPES[one] for one in operation.file_extensions
    }
    for media_type in unmade:
        used = models.use_count
        answer = call(server, operation, visual_id, media_type)
        text = refusal(answer, 406)
        assert all(FILE_TYPES[one] in text for one in operation.file_extensions)
        assert models.use_count == used


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if {"num_results"} & one.body.model_fields.keys()],
    ids=key,
)
def test_several_results_are_refused_before_any_work(
    server: TestClient, visual_id: str, models: FakeModels, operation: Operation[Any]
) -> None:
    used = models.use_count
    answer = call(server, operation, visual_id, "image/png", num_results=2)
    assert "makes 2 results" in refusal(answer, 406)
    assert answer.json()["parameter"] == "Accept"
    assert models.use_count == used
    further = call(server, operation, visual_id, "image/png, application/json;q=0.1", num_results=2)
    assert further.status_code == 200
    assert further.headers["content-type"] == "application/json"


@pytest.mark.parametrize("operation", OPERATIONS, ids=key)
def test_who_asks_for_json_gets_json(
    server: TestClient, visual_id: str, operation: Operation[Any]
) -> None:
    answer = call(server, operation, visual_id, "application/json, text/plain, */*")
    code = 202 if operation.is_always_asynchronous else 200
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/json"
    answer.json()


@pytest.mark.parametrize("accept", UNCHANGED, ids=str)
def test_who_names_no_file_first_gets_json(server: TestClient, accept: str | None) -> None:
    headers = {} if accept is None else {"accept": accept}
    fields = {"file": b64(photo(64, 48)), "sync": False}
    answer = server.post("/v1/background/remove", json=fields, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert server.get("/capabilities", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/register",
        "/v1/VISUAL/background/info",
        "/v1/VISUAL/remove_image",
        "/v2/status/1",
        "/capabilities",
    ],
)
def test_a_route_that_answers_json_alone_refuses_other_types(
    server: TestClient, visual_id: str, path: str
) -> None:
    url = path.replace("VISUAL", visual_id)
    post = path.endswith(("register", "remove_image"))
    send = server.post if post else server.get
    answer = send(url, headers={"accept": "image/*"})
    refusal(answer, 406)
    info = server.get(f"/v1/{visual_id}/background/info")
    assert info.status_code == 200, "nothing was removed"
    if send == server.get and "status" not in path:
        assert send(url, headers={"accept": "image/*, */*;q=0.1"}).status_code == 200


def test_transparent_results_are_never_jpeg(server: TestClient) -> None:
    url, fields = "/v1/background/blur", {"file": b64(photo(*SIZE, "RGBA"))}
    answer = server.post(url, json=fields, headers={"accept": "image/jpeg"})
    assert "image/png, image/webp" in refusal(answer, 406)
    answer = server.post(url, json=fields, headers={"accept": "image/jpeg, image/webp;q=0.1"})
    assert check_file(answer, server) == "webp"


def test_a_format_in_the_body_is_not_overruled(server: TestClient) -> None:
    url, fields = "/v2/image/edit/product/cutout", {"image": b64(photo(*SIZE)), "sku": "1"}
    jpeg = fields | {"output_type": "jpeg"}
    refusal(server.post(url, json=jpeg, headers={"accept": "image/png"}), 406)
    answer = server.post(url, json=jpeg, headers={"accept": "image/*"})
    assert check_file(answer, server) == "jpeg"
    # Without the field the header decides, as the field would: the product is on white.
    asked = server.post(url, json=fields, headers={"accept": "image/jpeg"})
    assert check_file(asked, server) == "jpeg"
    assert asked.content == answer.content


def test_the_headers_tell_what_json_tells_beside_the_link(
    server: TestClient, visual_id: str
) -> None:
    replaced = server.post(
        "/v1/background/replace",
        json={"file": b64(photo(*SIZE)), "bg_prompt": "#ff0000", "num_results": 1, "seed": 7},
        headers={"accept": "image/png", "origin": "http://page.example"},
    )
    assert replaced.headers["retouch-seed"] == "7"
    exposed = replaced.headers["access-control-expose-headers"]
    assert all(name in exposed for name in HEADERS)
    blurred = server.get(f"/v1/{visual_id}/blur_bg", headers={"accept": "image/*"})
    sid = blurred.headers["retouch-sid"]
    again = server.get(
        f"/v1/{visual_id}/blur_bg", params={"sid": sid}, headers={"accept": "image/png"}
    )
    assert check_file(again, server) == "png"
    masks = server.post(
        "/v1/objects/mask_generator",
        json={"file": b64(photo(*SIZE))},
        headers={"accept": "application/zip"},
    )
    assert masks.headers["retouch-visual-id"] == visual_id
    warned = server.post(
        "/v2/image/edit/expand",
        json={"image": b64(photo(*SIZE)), "aspect_ratio": "16:9", "ip_signal": True},
        headers={"accept": "image/png"},
    )
    assert "ip_signal" in warned.headers["retouch-warning"]
    assert len(warned.headers["retouch-request-id"]) == 32


def test_errors_are_json(server: TestClient) -> None:
    for fields, code in (({}, 400), ({"file": b64(b"no picture")}, 415)):
        answer = server.post("/v1/crop", json=fields, headers={"accept": "image/png"})
        refusal(answer, code)
    answer = server.post("/v1/crop", json={}, headers={"accept": "image/png", "api_token": ""})
    refusal(answer, 401)


def test_a_blocked_result_is_refused_as_in_json(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, workers=1, moderation_threshold=0.2)
    red = b64(encode(Image.new("RGB", (64, 48), "red")))
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        for url, fields in (
            ("/v1/background/blur", {"file": red, "content_moderation": True}),
            (
                "/v2/image/edit/blur_background",
                {"image": red, "visual_output_content_moderation": True},
            ),
        ):
            answer = client.post(url, json=fields, headers={"accept": "image/*"})
            assert "refused" in refusal(answer, 422)


def test_a_repeat_with_a_key_gets_the_same_bytes_once_made(
    server: TestClient, models: FakeModels
) -> None:
    url, fields = "/v1/background/remove", {"file": b64(photo(*SIZE))}
    headers = {"accept": "image/*", "idempotency-key": "one"}
    first = server.post(url, json=fields, headers=headers)
    used = models.use_count
    again = server.post(url, json=fields, headers=headers)
    assert models.use_count == used
    assert check_file(again, server) == "png"
    assert again.content == first.content
    assert again.headers["content-location"] == first.headers["content-location"]
    assert again.headers["idempotent-replayed"] == "true"
    # Who asks for another kind of answer sends another request.
    refusal(server.post(url, json=fields, headers={"idempotency-key": "one"}), 422)
    results = server.app.state.dependencies.delivery.store  # type: ignore[attr-defined]
    results.delete(urlsplit(first.headers["content-location"]).path.removeprefix("/results/"))
    gone = server.post(url, json=fields, headers=headers)
    assert "removed" in refusal(gone, 404)
