"""The playground as HTTP: its page, its files, their sizes, types, caching, and who may read them."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.http.static_page import content_security_policy
from server.settings import Settings
from storage.bucket import Bucket
from storage.s3 import S3Objects
from tests.helpers.fake_models import FakeModels
from tests.helpers.places import ROOT

STATIC = ROOT / "server" / "playground" / "static"
FIRST_LOAD = 100_000
"""Bytes that arrive, compressed, until the page can be used."""


@pytest.fixture
def visitor(client: TestClient) -> Iterator[TestClient]:
    """A client of the same server without a token."""
    with TestClient(client.app, raise_server_exceptions=False) as visitor:
        yield visitor


def addresses(client: TestClient) -> list[str]:
    """Return the address of every file that the page names."""
    return ["/" + one for one in re.findall(r'(?:src|href)="([^"]+)"', client.get("/").text)]


def test_the_page_needs_no_token_and_what_it_asks_does(visitor: TestClient) -> None:
    assert visitor.get("/").headers["content-type"] == "text/html; charset=utf-8"
    for address in addresses(visitor):
        assert visitor.get(address).status_code == 200, address
    assert visitor.get("/capabilities").status_code == 401
    assert visitor.post("/v1/background/remove").status_code == 401


def test_the_page_loads_nothing_from_elsewhere(visitor: TestClient) -> None:
    policy = visitor.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "http" not in policy
    assert "unsafe" not in policy
    for path in STATIC.rglob("*.*"):
        if path.suffix in {".js", ".css", ".html"}:
            assert not re.search(r"https?://(?!www\.w3\.org)[\w.]+\.\w", path.read_text()), path


def test_no_script_writes_data_as_html() -> None:
    for path in STATIC.rglob("*.js"):
        text = path.read_text()
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert text.startswith("// "), f"{path} does not say what lives there"


def test_the_first_load_is_small(visitor: TestClient) -> None:
    asked = {"/", "/openapi.json", "/capabilities", *addresses(visitor)}
    version = addresses(visitor)[0].split("/")[2]
    asked |= {f"/playground/{version}/samples/{path.name}" for path in STATIC.rglob("*-small.webp")}
    token = {"api_token": "secret-a", "accept-encoding": "gzip"}
    received = 0
    for address in sorted(asked):
        with visitor.stream("GET", address, headers=token) as answer:
            assert answer.status_code == 200, address
            received += sum(len(part) for part in answer.iter_raw())
    assert 30_000 < received < FIRST_LOAD


def test_every_module_is_preloaded(visitor: TestClient) -> None:
    preloaded = {address.rpartition("/")[2] for address in addresses(visitor)}
    assert {path.name for path in STATIC.rglob("*.js")} <= preloaded


def test_files_are_cached_for_ever_and_the_page_is_checked(visitor: TestClient) -> None:
    page = visitor.get("/")
    assert page.headers["cache-control"] == "no-cache"
    assert visitor.get("/", headers={"if-none-match": page.headers["etag"]}).status_code == 304
    for address in addresses(visitor):
        answer = visitor.get(address)
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = visitor.get(address, headers={"if-none-match": f"W/{answer.headers['etag']}"})
        assert (again.status_code, again.content) == (304, b"")
        assert visitor.head(address).headers["content-length"] == answer.headers["content-length"]


def test_a_file_of_another_version_or_outside_is_404(visitor: TestClient) -> None:
    version = addresses(visitor)[0].split("/")[2]
    for address in (
        "/playground/0000000000000000/app.js",
        f"/playground/{version}/page.py",
        f"/playground/{version}/%2e%2e/page.py",
        f"/playground/{version}/vendored/VENDORED.toml",
        f"/playground/{version}/index.html",
    ):
        assert visitor.get(address).status_code == 404, address


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [("gzip", True), ("br, *", True), ("gzip;q=0, *", False), ("br", False), ("", False)],
)
def test_text_is_compressed_for_who_takes_it(
    visitor: TestClient, accepted: str, is_compressed: bool
) -> None:
    with visitor.stream("GET", "/openapi.json", headers={"accept-encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert (answer.headers.get("content-encoding") == "gzip") == is_compressed
    assert "Accept-Encoding" in answer.headers["vary"]
    assert (gzip.decompress(raw) if is_compressed else raw) == visitor.get("/openapi.json").content


def test_without_the_setting_there_is_no_page(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, playground=False)
    with TestClient(create_app(settings, FakeModels())) as client:
        assert client.get("/").status_code == 404
        assert client.get("/").json()["status"] == "NOT_FOUND"
        assert client.get("/openapi.json").json()["info"]["title"] == "Retouch"


@pytest.mark.parametrize(
    "bucket",
    [
        Bucket("pictures", region="eu-central-1"),
        Bucket("pictures", region="eu-central-1", path_style=False),
        Bucket("pictures", endpoint="http://store:9000"),
        Bucket("pictures", endpoint="http://store:9000", public_endpoint="https://s3.example.com"),
        Bucket("pictures", endpoint="https://s3.example.com", path_style=False),
    ],
)
def test_the_policy_names_where_the_links_of_a_bucket_lead(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    link = urlsplit(S3Objects(bucket, "results").link("a/b.png", 60))
    assert bucket.public_origin == f"{link.scheme}://{link.netloc}"
    policy = content_security_policy(bucket.public_origin)
    assert f"img-src 'self' blob: data: {bucket.public_origin};" in policy
    assert f"connect-src 'self' blob: {bucket.public_origin};" in policy
    assert policy.count(bucket.public_origin) == 2
