"""Presigned links: which ones the S3 store recognizes as its own, without a request."""

import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from storage.bucket import Bucket
from storage.links import LinkState
from storage.presigned import AccessKey, verify_presigned
from storage.s3 import S3Objects

# The example of "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
PUBLISHED = (
    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
PUBLISHED_KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SIGNED_AT = 1369353600  # 2013-05-24
KEY = "results/0b5a-1.png"
"""The key of a result of an organisation whose name is also that of the folder."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ours")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def verify(link: str, now: float = SIGNED_AT, key: AccessKey = PUBLISHED_KEY) -> LinkState:
    return verify_presigned(urlsplit(link), key, now)


def found(store: S3Objects, link: str, now: float | None = None) -> tuple[str, LinkState] | None:
    return store.find_link(urlsplit(link), time.time() if now is None else now)


def test_the_published_example_is_valid_until_it_expires() -> None:
    assert verify(PUBLISHED, SIGNED_AT + 86399) is LinkState.OK
    assert verify(PUBLISHED, SIGNED_AT + 86400) is LinkState.EXPIRED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test.txt", "test2.txt"),
        ("examplebucket", "otherbucket"),
        ("amazonaws.com/", "amazonaws.com:8443/"),
        ("amazonaws.com/", "amazonaws.com:x/"),
        ("Expires=86400", "Expires=86401"),
        ("Expires=86400", "Expires=9999999"),
        ("Expires=86400", "Expires=²"),
        ("Date=20130524T000000Z", "Date=20130525T000000Z"),
        ("Date=20130524T000000Z", "Date=tomorrow"),
        ("us-east-1", "eu-west-1"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx-a"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("AKIAIOSFODNN7EXAMPLE", "other"),
        ("AKIAIOSFODNN7EXAMPLE", "%C3%A9"),
        ("Signature=aeee", "Signature=beee"),
        ("&X-Amz-Signature=", "&X-Amz-Signature=x&X-Amz-Signature="),
        ("&X-Amz-Signature=", "&x="),
        ("?", "?response-content-type=text%2Fhtml&"),
        ("?", "?a=%FF&"),
        ("?", "?" + "a&" * 10_000),
    ],
)
def test_any_change_makes_it_forged(old: str, new: str) -> None:
    assert old in PUBLISHED
    for now in (SIGNED_AT, SIGNED_AT + 10**6):
        assert verify(PUBLISHED.replace(old, new), now) is LinkState.FORGED


def test_another_secret_makes_it_forged() -> None:
    assert verify(PUBLISHED, key=replace(PUBLISHED_KEY, secret="x")) is LinkState.FORGED
    assert verify("https://examplebucket.s3.amazonaws.com/test.txt") is LinkState.FORGED


BUCKETS = {
    "aws": Bucket("my.bucket", region="eu-central-1", path_style=False),
    "aws with the bucket in the path": Bucket("bucket", "a/b"),
    "prefix": Bucket("bucket", "a/results/b", endpoint="http://127.0.0.1:8333"),
    "host": Bucket("bucket", "results", endpoint="http://localhost:8333", path_style=False),
    "two": Bucket("bucket", endpoint="http://store:1", public_endpoint="https://store.example"),
    "path": Bucket("bucket", endpoint="http://store:1", public_endpoint="https://x.example/s3"),
    "port": Bucket("bucket", endpoint="http://store:80", public_endpoint="https://x.example:443"),
}


@pytest.mark.parametrize("bucket", BUCKETS.values(), ids=BUCKETS)
def test_a_store_finds_its_own_links(bucket: Bucket) -> None:
    store = S3Objects(bucket, "results")
    link = store.link(KEY, 60)
    assert found(store, link) == (KEY, LinkState.OK)
    assert found(store, link, time.time() + 61) == (KEY, LinkState.EXPIRED)
    assert found(store, link.replace("0b5a", "0b5b")) is None
    internal = S3Objects(replace(bucket, public_endpoint=None), "results").link(KEY, 60)
    assert found(store, internal) == (KEY, LinkState.OK)


def test_the_token_of_a_session_is_part_of_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tok/en+ ==~é")
    store = S3Objects(BUCKETS["two"], "results")
    link = store.link(KEY, 60)
    assert "X-Amz-Security-Token=tok" in link
    assert found(store, link) == (KEY, LinkState.OK)


def test_links_of_other_folders_prefixes_and_buckets_are_not_found() -> None:
    bucket = Bucket("bucket", "team", endpoint="http://store:1")
    store = S3Objects(bucket, "results")
    for other in (
        S3Objects(bucket, "visuals"),
        S3Objects(replace(bucket, prefix="other"), "results"),
        S3Objects(replace(bucket, prefix=""), "results"),
        S3Objects(replace(bucket, name="bucket2"), "results"),
    ):
        assert found(other, other.link(KEY, 60)) == (KEY, LinkState.OK)
        assert found(store, other.link(KEY, 60)) is None


def test_a_link_of_other_credentials_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = S3Objects(BUCKETS["two"], "results")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    theirs = S3Objects(BUCKETS["two"], "results")
    assert found(ours, theirs.link(KEY, 60)) is None
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # those of a role take their place
        monkeypatch.delenv(name)
    assert found(S3Objects(BUCKETS["two"], "results"), ours.link(KEY, 60)) is None
