"""Compressed request bodies: gzip and deflate are read within the limits of a body, others are 415."""

import gzip
import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo

MIB = 2**20
BODY = json.dumps({"file": b64(photo(400, 300)), "bg_prompt": "red", "sync": True}).encode()


def raw_deflate(data: bytes) -> bytes:
    """Compress without a header."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _bytes(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def post(client: TestClient, content: Any, coding: str, path: str = "crop") -> Any:
    """Send JSON in a content coding."""
    headers = {"content-type": "application/json", "content-encoding": coding}
    return client.post(f"/v1/{path}", content=content, headers=headers)


@pytest.mark.parametrize("size", [1, 1000, 10_000_000])
@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        (" GZIP ,identity", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:99]) + gzip.compress(b"") + gzip.compress(BODY[99:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, 0)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
    ],
)
def test_a_compressed_body_is_read(
    client: TestClient, coding: str, content: bytes, size: int
) -> None:
    if size == 1:  # the ends byte by byte
        middle = content[20:-50]
        pieces = [*_bytes(content[:20]), middle, *_bytes(content[-50:])]
    else:
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
    answer = post(client, iter(pieces), coding)
    assert answer.status_code == 200, answer.text


def test_a_compressed_form_is_read(client: TestClient) -> None:
    for kind, content in (
        ("application/x-www-form-urlencoded", b"file=" + b64(photo()).replace("+", "%2B").encode()),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            + photo()
            + b"\r\n--x--",
        ),
    ):
        headers = {"content-type": kind, "content-encoding": "gzip"}
        answer = client.post("/v1/crop", content=gzip.compress(content), headers=headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "x" * 500]
)
def test_another_coding_is_415_and_named(client: TestClient, coding: str) -> None:
    answer = post(client, b"anything", coding)
    text = refused(answer, 415)["description"]
    assert f"Content-Encoding {coding[:64]} is not accepted" in text
    assert answer.headers["accept-encoding"] == "gzip, deflate"


def test_a_coding_without_a_body_is_ignored(client: TestClient) -> None:
    refused(client.post("/v1/crop", headers={"content-encoding": "br"}), 400)
    assert client.get("/healthz", headers={"content-encoding": "br"}).status_code == 200


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)[:-1]),
        ("gzip", gzip.compress(BODY, mtime=0)[:10]),
        ("gzip", gzip.compress(BODY, mtime=0) + b"rest"),
        ("gzip", gzip.compress(BODY, mtime=0)[:-8] + bytes(8)),
        ("gzip", zlib.compress(BODY)),
        ("gzip", gzip.compress(b"", mtime=0) * 1001),
        ("deflate", zlib.compress(BODY)[:-1]),
        ("deflate", raw_deflate(BODY)[:-9]),
        ("deflate", zlib.compress(BODY) + b"x"),
        ("deflate", b"\xff" * 100),
    ],
)
def test_damaged_data_is_400(client: TestClient, coding: str, content: bytes) -> None:
    text = refused(post(client, content, coding), 400)["description"]
    assert coding in text


def test_the_limit_holds_for_the_decompressed_body(tmp_path: Path, fakes: FakeModels) -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(512)) + packer.flush()
    assert len(bomb) < MIB
    with TestClient(
        create_app(Settings(data_dir=tmp_path, max_body_mb=2), fakes), headers=TOKEN
    ) as client:
        tracemalloc.start()
        answer = post(client, bomb, "gzip")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        text = refused(answer, 413)["description"]
        assert text == "The decompressed body is larger than 2 MiB."
        assert peak < 16 * MIB
        padded = b'{"file":"x"' + b" " * (2 * MIB - 12) + b"}"
        refused(post(client, gzip.compress(padded), "gzip"), 400)
        refused(post(client, gzip.compress(padded + b" "), "gzip"), 413)
