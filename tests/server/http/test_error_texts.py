"""The texts of all error answers: one sentence with one full stop, in plain English."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.errors import InvalidSettingsError
from models.roles import FACE_ANALYSIS
from models.settings import read_settings
from server.app import create_app
from server.settings import Settings
from server.v1 import OPERATIONS, VISUAL_QUERIES
from tests.contract.trial_inputs import OneFace
from tests.helpers.fake_models import FakeModels
from tests.helpers.plain_english import JARGON, check_text
from tests.helpers.requests import TOKEN, b64, encode, mask, photo

PATHS = [(operation.method, operation.path) for operation in OPERATIONS]
PATHS += [("GET", query.path) for query in VISUAL_QUERIES[:1]]
PATHS += [("POST", path) for path in ("/register", "/upload", "/{visual_id}/remove_image")]
SMALL = photo(64, 48)
PSD_EXAMPLE = "Remove this parameter if the image has not been modified using Bria."
"""The sid in the call line of the published page for image_to_psd."""
WRONG_FIELDS: list[dict[str, Any]] = [
    {},
    {"sync": "perhaps"},
    {"file": 7},
    {"image_url": 7},
    {"image_url": "ftp://a.example/a.png"},
    {"image_url": "http://127.0.0.1:9/"},
    {"image_url": "http://u:p@127.0.0.1/"},
    {"image_url": "not an address."},
    {"file": "no base64!"},
    {"file": b64(b"text")},
    {"file": b64(SMALL[:200])},
    {"file": b64(photo(300, 300, "L"))},
    {"file": b64(photo(300, 300, format="WEBP"))},
    {"file": b64(photo(300, 300)), "content_moderation": "x"},
    {"file": b64(encode(Image.new("1", (9000, 9000))))},
    {"file": b64(encode(Image.new("RGBA", (300, 300)))), "padding": 10_000, "prompt": "a."},
    {"file": b64(encode(Image.new("RGB", (300, 300), (255, 0, 0)))), "content_moderation": True},
    {"file": b64(SMALL), "mask_file": b64(mask(48, 64)), "prompt": "a", "bg_prompt": "a."},
    {"file": b64(SMALL), "mask_file": b64(encode(Image.new("L", (64, 48), 255)))},
    {"file": b64(SMALL), "mask_url": 7, "prompt": "x", "ref_image_url": 7},
    {"file": b64(SMALL), "canvas_size": [9, 9], "original_image_location": [99, 99]},
    {"file": b64(SMALL), "mask_url": {}, "prompt": "\0", "canvas_size": {"a": 1}},
    {"sid": PSD_EXAMPLE},
    {"sid": "x" * 256},
    {"org_image_key": "a.png"},
    {"desired_resolution": "huge"},
    {"desired_increase": 3, "scale": 9},
    {"changes": []},
    {"changes": "nonsense."},
    {"changes": [{}]},
    {"changes": ["."]},
    {"changes": [{"mask_id": 99}]},
    {"changes": [{"mask_id": 1, "mask_url": "."}]},
    {"changes": [{"mask_url": "data:,."}]},
    {"changes": [{"mask_url": f"data:,{b64(mask(48, 64))}"}]},
    {"changes": [{"mask_url": "http://127.0.0.1:9/"}] * 17},
    {"changes": [{"id": "nobody", "actions": {"age": 1}}]},
    {"changes": [{"id": "nobody.", "actions": {}}]},
]
PERSON = [
    {},
    {"age": 99},
    {"age": "old."},
    {"glasses": 1.5},
    {"smile.": 1},
    {"age": [1]},
    {"age": "mid-60"},
]
"""Actions on a person of the visual."""
JSON, FORM = (
    {"content-type": "application/json"},
    {"content-type": "application/x-www-form-urlencoded"},
)
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
BODIES: list[tuple[dict[str, str], bytes]] = [
    (JSON, b"{"),
    (JSON, b"[1]"),
    (JSON, b'{"file":' + b"[" * 500 + b"]" * 500 + b"}"),
    (FORM, b"a&" * 3000),
    (FORM, b"a[b]=1&a=2"),
    (FORM, b"a" + b"[b]" * 9 + b"=1"),
    (FORM, b"sync=\xff"),
    (MULTIPART, b""),
    (MULTIPART, b"--x\r\nA: b\r\n\r\nv\r\n--x--"),
    (MULTIPART, b"--x\nv\n--x--"),
    (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nv\r\n' * 20),
    ({"content-type": "multipart/form-data"}, b"--x--"),
    ({"content-type": "multipart/form-data; boundary=" + "x" * 300}, b"--x--"),
    ({"content-type": "image/png"}, SMALL),
    ({"content-type": "text/xml"}, b"<a/>"),
    ({**JSON, "content-encoding": "br"}, b"x"),
    ({**JSON, "content-encoding": "gzip"}, b"x"),
    ({**JSON, "content-encoding": "gzip"}, gzip.compress(b"x")[:-1]),
    ({**JSON, "content-encoding": "gzip"}, gzip.compress(bytes(41 * 2**20))),
    (JSON, bytes(41 * 2**20)),
]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A client of a server whose models find one face."""
    models = FakeModels({FACE_ANALYSIS: OneFace()})
    app = create_app(Settings(data_dir=tmp_path, api_tokens="a:secret-a"), models)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


def refusals(client: TestClient) -> Iterator[Any]:
    """Yield the answers to wrong requests of all kinds, and to a few right ones."""
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    person = client.get(f"/v1/{visual}/person/info").json()[0]["id"]
    fields = [
        *WRONG_FIELDS,
        *({"changes": [{"id": person, "actions": actions}]} for actions in PERSON),
        {"changes": [{"id": person, "actions": {"age": 1}}] * 2},
    ]
    for method, route in PATHS:
        path = "/v1" + route.replace("{visual_id}", visual)
        for wrong in fields if "remove_image" not in path else ():
            is_for_visuals = "changes" in wrong or "sid" in wrong
            if method == "GET":
                if "sid" in wrong or "scale" in wrong:
                    yield client.get(path, params=wrong)
            elif is_for_visuals == ("{visual_id}" in route) or not wrong:
                yield client.post(path, json=wrong)
        for missing in ("0" * 16, "nowhere.", "x" * 200):
            yield client.request(method, "/v1" + route.replace("{visual_id}", missing))
        yield client.request(method, path, headers={"api_token": "unknown."})
        yield client.request(method, path, headers={"api_token": ""})
        yield client.request("PUT", path)
    for headers, content in BODIES:
        yield client.post("/v1/crop", content=content, headers=headers)
    for path in ("/", "/v1/x.", "/v1/" + "x" * 300, "/results/a.png", "/results/a?expires=1"):
        yield client.get(path)


@pytest.mark.slow
def test_every_error_text_is_plain_english_with_one_full_stop(client: TestClient) -> None:
    texts = set()
    for answer in refusals(client):
        assert answer.status_code not in (500, 503), answer.text
        if answer.status_code >= 400:
            body = answer.json()
            assert body["description"] == body["message"] == body["error"]
            texts.add(body["description"])
    assert len(texts) > 75
    for text in texts:
        check_text(text)


def test_the_call_of_the_published_page_is_404(client: TestClient) -> None:
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    answer = client.post(f"/v1/{visual}/image_to_psd", params={"sid": PSD_EXAMPLE})
    assert answer.status_code == 404
    assert answer.json()["parameter"] == "sid"
    assert (
        answer.json()["description"]
        == "There is no result of this visual with this sid, or not yet."
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"changes": []}, "changes must have at least 1 item."),
        ({"changes": None}, "changes is required."),
        ({}, "changes is required."),
    ],
)
def test_an_empty_list_is_not_a_missing_field(
    client: TestClient, body: dict[str, Any], text: str
) -> None:
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    for route in ("create", "objects/remove"):
        answer = client.post(f"/v1/{visual}/{route}", json=body)
        assert (answer.status_code, answer.json()["description"]) == (400, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"mask_url": 7}, "mask_url must be an address or a data: URL."),
        ({"mask_file": 7}, "mask_file must be text in base64 or an uploaded file."),
        ({"mask_url": ["a", 7], "image_url": True}, "image_url must be an address or a data: URL."),
    ],
)
def test_a_picture_field_of_a_wrong_type_says_what_it_must_be(
    client: TestClient, body: dict[str, Any], text: str
) -> None:
    answer = client.post("/v1/eraser", json={"file": b64(photo()), **body})
    assert (answer.status_code, answer.json()["description"]) == (400, text)


WRONG_SETTINGS = {
    "PORT": ["a", "-1", "70000", "1.5"],
    "MAX_BODY_MB": ["0", "many"],
    "FETCH_TIMEOUT_S": ["0", "nan", "x"],
    "S3_LIFECYCLE": ["perhaps"],
    "ENGINE": ["celery"],
    "ALLOWED_URL_NETWORKS": ["here"],
    "API_TOKENS": ["secret", "a:x,b:x"],
    "REQUESTS_PER_MINUTE": ["-1", "many"],
    "RATE_LIMITS": ["shop", "shop=1,shop=2", "shop=1000001"],
    "PUBLIC_URL": ["edit.example"],
    "STORE": ["s3://"],
    "DATABASE_URL": ["mysql://a/b"],
    "GRACE_S": ["1"],
    "MODERATION_THRESHOLD": ["2"],
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_the_text_about_a_wrong_setting_is_plain_english(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in WRONG_SETTINGS[name]:
        monkeypatch.setenv(f"RETOUCH_{name}", value)
        with pytest.raises(InvalidSettingsError) as caught:
            read_settings(Settings)
        (line,) = str(caught.value).splitlines()
        assert line.startswith("settings: ")
        assert name in line
        assert not JARGON.search(line), line
        assert "another value" not in line


def test_the_text_about_one_gpu_for_an_engine_on_all_is_plain_english(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETOUCH_ENGINE", "ray")
    monkeypatch.setenv("RETOUCH_DEVICE", "cuda:1")
    with pytest.raises(InvalidSettingsError) as caught:
        read_settings(Settings)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("settings: ")
    assert "ENGINE ray without RAY_ADDRESS uses every GPU, and DEVICE cuda:1 names one" in line
    assert not JARGON.search(line), line
