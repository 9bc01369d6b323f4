"""Lists of objects in multipart and urlencoded bodies, which contain them as JSON text."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.helpers.answers import refused
from tests.helpers.requests import b64, photo

CHANGE = {"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}


@pytest.fixture
def path(client: TestClient) -> str:
    """The path of objects/remove for a registered picture."""
    answer = client.post("/v1/register", json={"file": b64(photo())})
    return f"/v1/{answer.json()['visual_id']}/objects/remove"


@pytest.mark.parametrize(
    "changes",
    [json.dumps([CHANGE, {"mask_id": 2}]), [json.dumps(CHANGE), json.dumps({"mask_id": 2})]],
    ids=["one text", "a text for each"],
)
def test_a_form_may_carry_changes_as_json_text(
    client: TestClient, path: str, changes: str | list[str]
) -> None:
    texts = [changes] if isinstance(changes, str) else changes
    parts: list[Any] = [("changes", (None, text)) for text in texts]
    for answer in (
        client.post(path, data={"changes": changes}),
        client.post(path, files=parts),
        client.post(path, files=[("changes", ("changes.json", texts[0]))]),
    ):
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[" * 50_000,
        "9" * 5000,
        "{}",
        '"x"',
        '[{"mask_url": "\\ud800"}]',
        '[{"mask_url": "\\u0000"}]',
        '[{"mask_id": NaN}]',
    ],
)
def test_invalid_json_text_is_400(client: TestClient, path: str, text: str) -> None:
    refused(client.post(path, data={"changes": text}), 400)
    refused(client.post(path, files={"changes": ("a.json", text)}), 400)


def test_a_person_id_that_is_invalid_unicode_is_400(client: TestClient, path: str) -> None:
    changes = '[{"id": "\\ud800", "actions": {"age": "mid-20"}}]'
    route = path.replace("objects/remove", "create")
    assert "changes" in refused(client.post(route, data={"changes": changes}), 400)["description"]
