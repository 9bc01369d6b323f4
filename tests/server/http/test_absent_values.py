"""Texts that forms of JavaScript and Python send for a field without a value."""

from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.answers import refused
from tests.helpers.requests import b64, mask, photo

NOTHING = ["undefined", "null", "None", " ", ""]
KINDS = ["json", "data", "params"]


def post(client: TestClient, path: str, kind: str, fields: dict[str, Any]) -> Any:
    """Send fields; with the kind `params`, pictures go into the body."""
    if kind != "params":
        return client.post(path, **{kind: fields})
    files = {name: fields.pop(name) for name in [*fields] if name.endswith("file")}
    return client.post(path, params=fields, json=files)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nothing", NOTHING)
def test_an_address_without_a_value_is_absent(client: TestClient, kind: str, nothing: str) -> None:
    fields = {"image_url": nothing, "file": b64(photo()), "mask_url": nothing, "sync": nothing}
    fields["mask_file"] = b64(mask())
    answer = post(client, "/v1/eraser", kind, fields)
    assert answer.status_code == 200, answer.text
    body = refused(post(client, "/v1/crop", kind, {"image_url": nothing}), 400)
    assert body["description"] == "No image was given: send image_url or file."


def test_a_list_of_addresses_without_a_value_is_absent(client: TestClient) -> None:
    fields = {"image_url[]": ["undefined"], "file": b64(photo())}
    assert client.post("/v1/crop", data=fields).status_code == 200


def test_a_file_input_without_a_file_is_absent(client: TestClient) -> None:
    files = {"file": ("", b""), "image_file": ("a.png", photo())}
    assert client.post("/v1/crop", files=files).status_code == 200
    refused(client.post("/v1/crop", files={"file": ("a.png", b"")}), 400)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nothing", NOTHING)
def test_numbers_booleans_words_and_lists_without_a_value_are_absent(
    client: TestClient, kind: str, nothing: str
) -> None:
    routes: dict[str, dict[str, Any]] = {
        "/v1/background/blur": {"scale": nothing, "force_rmbg": nothing},
        "/v1/crop": {"padding": nothing, "content_moderation": nothing},
        "/v1/eraser": {"mask_file": b64(mask()), "mask_type": nothing},
        "/v1/image_expansion": {"canvas_size": nothing, "seed": nothing},
    }
    for route, fields in routes.items():
        answer = post(client, route, kind, {"file": b64(photo()), **fields})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["undefined", "null", "None"])
def test_a_prompt_may_be_any_word(client: TestClient, kind: str, word: str) -> None:
    fields = {"file": b64(photo(100, 100)), "prompt": word, "canvas_size": "[200,200]"}
    assert post(client, "/v1/image_expansion", kind, fields).json()["prompt"] == word


def test_a_sid_and_the_fields_of_an_object_without_a_value_are_absent(client: TestClient) -> None:
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    assert client.get(f"/v1/{visual}/blur_bg?sid=undefined").status_code == 200
    change = {"mask_id": 1, "mask_url": None, "mask_source": "null", "actions": None}
    path = f"/v1/{visual}/objects/remove"
    assert client.post(path, json={"changes": [change]}).status_code == 200
    form = {"changes[0][mask_id]": "1", "changes[0][mask_url]": "undefined"}
    assert client.post(path, data=form).status_code == 200
    body = refused(client.post(path, data={"changes": "undefined"}), 400)
    assert body["description"] == "changes is required."


def test_the_same_result_as_without_the_field(client: TestClient, read: Any) -> None:
    def canvas(fields: dict[str, str]) -> tuple[int, int]:
        answer = client.post("/v1/image_expansion", data={"file": b64(photo()), **fields})
        image: Image.Image = read(answer)
        return image.size

    assert canvas({"canvas_size": "undefined"}) == canvas({}) == (1000, 1000)
