"""Multipart bodies as the RFCs allow them, and those that they do not allow."""

import base64
import binascii
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.helpers.answers import refused
from tests.helpers.requests import b64, photo

PICTURE = photo(100, 100)


def part(name: str, data: bytes, *headers: str, filename: str | None = None) -> bytes:
    """Return one part, without its boundary."""
    named = f'; filename="{filename}"' if filename is not None else ""
    lines = [f'Content-Disposition: form-data; name="{name}"{named}', *headers]
    return "\r\n".join([*lines, "", ""]).encode() + data


def body(*parts: bytes, before: bytes = b"", after: bytes = b"\r\n--b-1--\r\n") -> bytes:
    """Return a body with the boundary `b-1`. before: the preamble. after: the end."""
    return before + b"".join(b"\r\n--b-1\r\n" + part for part in parts)[2:] + after


def post(client: TestClient, content: Any, kind: str = "multipart/form-data; boundary=b-1") -> Any:
    """Send a body to image_expansion, which returns its prompt."""
    headers = {"content-type": kind}
    return client.post("/v1/image_expansion?canvas_size=200,200", content=content, headers=headers)


def quoted_printable(data: bytes) -> bytes:
    """Encode binary data: line ends are encoded too."""
    return binascii.b2a_qp(data, istext=False)


FILE = part("file", PICTURE, filename="a.png")
PROMPT = part("prompt", "grün".encode())


def pieces(content: bytes, size: int) -> Any:
    """Yield a body in pieces."""
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    "content",
    [
        body(FILE, PROMPT),
        body(FILE, PROMPT, before=b"This is a message in MIME format.\r\n"),
        body(FILE, PROMPT, before=b"--b-\r\n\r\n--x\r\n b--b-1 \r\n"),
        body(FILE, PROMPT, before=b"\r\n\r\n"),
        body(FILE, PROMPT, after=b"\r\n--b-1--"),
        body(FILE, PROMPT, after=b"\r\n--b-1--\r\nThis is the end.\r\n--b-1\r\n"),
        body(FILE, PROMPT, before=b"-" * 100_000 + b"\r\n"),
    ],
    ids=["plain", "preamble", "odd preamble", "lines", "no last line", "epilogue", "long"],
)
def test_text_around_the_parts_is_ignored(client: TestClient, content: bytes, size: int) -> None:
    answer = post(client, pieces(content, size))
    assert answer.status_code == 200, answer.text
    assert answer.json()["prompt"] == "grün"


@pytest.mark.parametrize("kind", ['"b-1"', "b-1; charset=utf-8", '"b-1"; x="a;b"'])
def test_a_boundary_may_be_quoted(client: TestClient, kind: str) -> None:
    content = body(FILE, PROMPT)
    assert post(client, content, f"Multipart/Form-Data; Boundary={kind}").status_code == 200


@pytest.mark.parametrize("filename", ["a.png", None])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("base64", base64.encodebytes),
        ("Base64 ", base64.b64encode),
        ("quoted-printable", quoted_printable),
        ("binary", bytes),
        ("8bit", bytes),
    ],
)
def test_a_part_may_have_a_transfer_encoding(
    client: TestClient, encoding: str, encode: Any, filename: str | None
) -> None:
    header = f"Content-Transfer-Encoding: {encoding}"
    parts = [
        part("file", encode(PICTURE), header, filename=filename),
        part("prompt", encode("grün = green".encode()), header),
    ]
    answer = post(client, body(*parts))
    assert answer.status_code == 200, answer.text
    assert answer.json()["prompt"] == "grün = green"


def test_an_encoded_picture_of_megabytes_is_read(client: TestClient) -> None:
    large = photo(1200, 1200)
    assert len(large) > 4_000_000
    header = "Content-Transfer-Encoding: quoted-printable"
    content = body(part("file", quoted_printable(large), header, filename="a"))
    answer = client.post(
        "/v1/register",
        content=content,
        headers={"content-type": "multipart/form-data; boundary=b-1"},
    )
    plain = client.post("/v1/register", json={"file": b64(large)})
    assert answer.json()["visual_id"] == plain.json()["visual_id"]


@pytest.mark.parametrize(
    ("encoding", "data"), [("base64", b"!?"), ("base64", b"a"), ("x-uuencode", b"abc")]
)
@pytest.mark.parametrize("filename", ["a.png", None])
def test_a_wrong_transfer_encoding_is_400(
    client: TestClient, encoding: str, data: bytes, filename: str | None
) -> None:
    header = f"Content-Transfer-Encoding: {encoding}"
    answer = post(client, body(part("file", data, header, filename=filename)))
    assert refused(answer, 400)["parameter"] == "file"


@pytest.mark.parametrize(
    "content",
    [
        body(FILE, PROMPT, after=b""),
        body(FILE, PROMPT, after=b"\r\n--b-1"),
        body(FILE, PROMPT, after=b"\r\n--b-1-"),
        body(FILE, PROMPT, after=b"\r\n--b-1\r\n"),
        body(FILE, PROMPT, after=b"\n--b-1--\n"),
        body(FILE, PROMPT).replace(b"b-1", b"other"),
        b"",
        b"x" * 100_000,
        PICTURE,
    ],
    ids=["none", "open", "half", "next", "lf", "other boundary", "empty", "text", "picture"],
)
def test_an_incomplete_body_is_400(client: TestClient, content: bytes) -> None:
    text = refused(post(client, content), 400)["description"]
    assert text == "The multipart body ends before its last boundary."


def test_lines_that_end_with_lf_alone_are_400(client: TestClient) -> None:
    refused(post(client, body(PROMPT).replace(b"\r\n", b"\n")), 400)
