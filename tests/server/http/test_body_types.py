"""Which body types are read: JSON under any type, and what the answer says about others."""

import codecs
import json

import pytest
from starlette.testclient import TestClient

from tests.helpers.answers import refused
from tests.helpers.requests import b64, photo

BODY = json.dumps({"file": b64(photo()), "padding": 7}).encode()
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("start", [b"", b" \r\n\t", codecs.BOM_UTF8, codecs.BOM_UTF8 + b"\n"])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/octet-stream",
        "application/javascript",
        "image/png",
        "multipart/form-data",
        FORM,
        "application/json",
        "application/vnd.api+json",
    ],
)
def test_a_body_that_begins_with_a_brace_is_json(
    client: TestClient, kind: str | None, start: bytes
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = client.post("/v1/crop", content=start + BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    refused(client.post("/v1/crop", content=start + b'{"padding": -1}', headers=headers), 400)
    refused(client.post("/v1/crop", content=start + b"{", headers=headers), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/mixed", ""])
def test_another_body_is_415_and_says_what_to_send(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/crop", content=b"<file/>", headers={"content-type": kind})
    assert "application/json" in refused(answer, 415)["description"]


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "application/octet-stream", "", FORM, "application/json"]
)
def test_a_picture_as_the_body_is_415_and_says_what_to_send(client: TestClient, kind: str) -> None:
    for format in ("PNG", "JPEG", "WEBP"):
        content = photo(format=format)
        answer = client.post("/v1/crop", content=content, headers={"content-type": kind})
        text = refused(answer, 415)["description"]
        assert text.startswith("The body is a picture itself; send it as the field file")


def test_multipart_without_a_boundary_is_400(client: TestClient) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary="):
        answer = client.post("/v1/crop", content=b"--x\r\n", headers={"content-type": kind})
        assert "names no boundary" in refused(answer, 400)["description"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"file":"' + rb"\u0041" * 2_000_001 + b'"}',
        b'{"file":[' + b"1," * 100_001 + b"1]}",
        b"{" + b'"file":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
    ids=["escapes", "values", "levels"],
)
def test_json_that_takes_long_to_parse_is_400(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/crop", content=body)
    assert "not of an ordinary size" in refused(answer, 400)["description"]


def test_base64_with_escaped_slashes_is_read(client: TestClient) -> None:
    """PHP's json_encode escapes each slash."""
    answer = client.post("/v1/crop", content=BODY.replace(b"/", rb"\/"))
    assert answer.status_code == 200, answer.text


def test_a_long_content_type_is_400(client: TestClient) -> None:
    kind = "multipart/form-data" + "; a=b" * 10_000 + "; boundary=x"
    answer = client.post("/v1/crop", content=b"--x--\r\n", headers={"content-type": kind})
    refused(answer, 400)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\u20ac\ud900", "a\0"])
def test_text_that_cannot_be_stored_is_400(client: TestClient, text: str) -> None:
    body = json.dumps({"file": b64(photo()), "bg_prompt": text})
    refused(client.post("/v1/background/replace", content=body), 400)
