"""The S3 store only: presigned links, an unavailable store, its sweep."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from storage import bucket as clients
from storage import s3
from storage.bucket import Bucket
from storage.errors import StoreSilentError, StoreUnavailableError
from storage.object_store import Refusal
from storage.s3 import S3Objects
from storage.s3_probe import S3Probe
from storage.stores import open_stores, parse_s3
from tests.helpers.services import SeaweedFs, free_port

PNG = "image/png"


@pytest.fixture
def bucket(seaweed: SeaweedFs, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty prefix in the bucket of a real store."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return Bucket(*parse_s3(seaweed.prefix()), endpoint=seaweed.endpoint)


@pytest.fixture
def store(bucket: Bucket) -> S3Objects:
    return S3Objects(bucket, "results")


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def test_a_link_is_read_without_any_header(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"picture", PNG)
    answer = http.get(store.link("acme/a.png", 60))
    assert answer.status_code == 200
    assert answer.content == b"picture"
    assert answer.headers["content-type"] == PNG
    assert "private" in answer.headers["cache-control"]


def test_a_link_supports_ranges(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"picture", PNG)
    answer = http.get(store.link("acme/a.png", 60), headers={"range": "bytes=0-0"})
    assert (answer.status_code, answer.content) == (206, b"p")


def test_a_link_is_404_until_its_object_exists(store: S3Objects, http: httpx.Client) -> None:
    link = store.link("acme/a.png", 60)
    assert http.get(link).status_code == 404
    store.put("acme/a.png", b"picture", PNG)
    assert http.get(link).status_code == 200


def test_a_blocked_result_is_empty_and_416_by_range(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"", PNG)
    link = store.link("acme/a.png", 60)
    answer = http.get(link)
    assert (answer.status_code, answer.content) == (200, b"")
    assert http.get(link, headers={"range": "bytes=0-0"}).status_code == 416


def test_a_refused_result_has_the_reason_in_its_headers(
    store: S3Objects, http: httpx.Client
) -> None:
    store.refuse(
        "acme/a.png", Refusal(506, "This visual has no such mask: 7.", "INSUFFICIENT_DATA")
    )
    answer = http.get(store.link("acme/a.png", 60))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-amz-meta-retouch-code"] == "506"
    assert answer.headers["x-amz-meta-retouch-status"] == "INSUFFICIENT_DATA"
    assert (
        answer.headers["x-amz-meta-retouch-reason"]
        == "This%20visual%20has%20no%20such%20mask:%207."
    )


def test_a_link_expires(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"picture", PNG)
    link = store.link("acme/a.png", 1)
    deadline = time.monotonic() + 10
    while http.get(link).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert http.get(link).status_code == 403


@pytest.mark.parametrize("change", ["key", "expires", "signature"])
def test_a_changed_link_is_refused(store: S3Objects, http: httpx.Client, change: str) -> None:
    for name in ("acme/a.png", "other/a.png"):
        store.put(name, b"picture", PNG)
    link = store.link("acme/a.png", 60)
    forged = {
        "key": link.replace("acme/a.png", "other/a.png"),
        "expires": link.replace("Expires=60", "Expires=600"),
        "signature": link[:-1] + ("0" if link[-1] != "0" else "1"),
    }[change]
    assert forged != link
    assert http.get(forged).status_code == 403


def test_nothing_is_readable_without_a_link(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"picture", PNG)
    assert http.get(store.link("acme/a.png", 60).partition("?")[0]).status_code == 403


def test_a_browser_on_another_site_may_read(store: S3Objects, http: httpx.Client) -> None:
    store.put("acme/a.png", b"picture", PNG)
    answer = http.get(store.link("acme/a.png", 60), headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] in ("*", "https://shop.example")


def test_links_last_seven_days_at_most(store: S3Objects) -> None:
    assert "X-Amz-Expires=604800" in store.link("acme/a.png", 604_800)


def test_links_name_the_public_endpoint_and_work_there(
    bucket: Bucket, seaweed: SeaweedFs, http: httpx.Client
) -> None:
    port = urlsplit(seaweed.endpoint).port
    store = S3Objects(replace(bucket, public_endpoint=f"http://localhost:{port}"), "results")
    store.put("acme/a.png", b"picture", PNG)
    link = store.link("acme/a.png", 60)
    assert link.startswith(f"http://localhost:{port}/{seaweed.bucket}/")
    assert http.get(link).content == b"picture"


def test_the_bucket_may_be_in_the_host_name(bucket: Bucket) -> None:
    aws = Bucket("pictures", "team", region="eu-central-1", path_style=False)
    link = S3Objects(aws, "results").link("acme/a.png", 60)
    assert link.startswith(
        "https://pictures.s3.eu-central-1.amazonaws.com/team/results/acme/a.png?"
    )
    assert "eu-central-1%2Fs3" in link


def test_the_bucket_may_be_in_the_host_of_another_store(
    bucket: Bucket, seaweed: SeaweedFs, http: httpx.Client
) -> None:
    S3Objects(bucket, "results").put("acme/a.png", b"picture", PNG)
    port = urlsplit(seaweed.endpoint).port
    hosted = replace(bucket, endpoint=f"http://localhost:{port}", path_style=False)
    host = f"{bucket.name}.localhost:{port}"
    link = S3Objects(hosted, "results").link("acme/a.png", 60)
    assert link.startswith(f"http://{host}/{bucket.prefix}/results/acme/a.png?")
    # Not every machine can resolve that name, so the address is given as a number.
    answer = http.get(link.replace(host, f"127.0.0.1:{port}"), headers={"host": host})
    assert (answer.status_code, answer.content) == (200, b"picture")


def test_a_link_only_reads(store: S3Objects, http: httpx.Client) -> None:
    link = store.link("acme/a.png", 60)
    assert http.put(link, content=b"forged").status_code == 403
    assert http.delete(link).status_code == 403
    assert not store.exists("acme/a.png")


def test_the_sweep_reads_several_pages(store: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.s3._PAGE_SIZE", 3)
    for number in range(10):
        store.put(f"acme/{number}.png", b"x", PNG)
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 10
    assert not any(store.exists(f"acme/{number}.png") for number in range(10))


def test_a_bucket_with_its_own_lifecycle_rule_is_not_listed(bucket: Bucket) -> None:
    ruled = S3Objects(replace(bucket, lifecycle=True), "results")
    ruled.put("acme/a.png", b"x", PNG)
    assert ruled.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0
    assert ruled.exists("acme/a.png")


def test_prefixes_are_separate(bucket: Bucket, seaweed: SeaweedFs) -> None:
    ours = open_stores(bucket)
    other = open_stores(replace(bucket, prefix=parse_s3(seaweed.prefix())[1]))
    ours.results.put("acme/a.png", b"x", PNG)
    for store in (ours.sources, ours.visuals, other.results):
        assert not store.exists("acme/a.png")
    later = datetime.now(UTC) + timedelta(hours=1)
    assert ours.sources.sweep(later) == other.results.sweep(later) == 0
    assert ours.results.exists("acme/a.png")


def every_call(store: S3Objects) -> list[object]:
    return [
        lambda: store.put("a.png", b"x", PNG),
        lambda: store.refuse("a.png", Refusal(500, "")),
        lambda: store.get("a.png"),
        lambda: store.stat("a.png"),
        lambda: store.is_settled("a.png"),
        lambda: store.refusal("a.png"),
        lambda: store.delete("a.png"),
        lambda: store.sweep(datetime.now(UTC)),
    ]


def test_an_unreachable_store_is_unavailable(bucket: Bucket) -> None:
    unreachable = S3Objects(replace(bucket, endpoint=f"http://127.0.0.1:{free_port()}"), "results")
    for call in every_call(unreachable):
        with pytest.raises(StoreUnavailableError):
            call()  # type: ignore[operator]


def test_a_store_that_hangs_is_silent(
    bucket: Bucket, seaweed: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(clients._CLIENT_OPTIONS, "read_timeout", "300ms")
    monkeypatch.setitem(clients._RETRY, "max_retries", 0)
    monkeypatch.setattr(s3, "SILENCE_LIMIT_S", 1)
    monkeypatch.setattr(s3, "_SLOWEST_UPLOAD", s3._SMALL)
    monkeypatch.setattr("storage.s3_probe.PROBE_LIMIT_S", 1)
    store = S3Objects(bucket, "results")
    large = bytes(s3._SMALL + 1)
    seaweed.freeze()
    try:
        for call in (*every_call(store), lambda: store.put("a.png", large, PNG)):
            with pytest.raises(StoreSilentError):
                call()  # type: ignore[operator]
        with pytest.raises(StoreSilentError):
            S3Probe(bucket)()
    finally:
        seaweed.thaw()
    S3Probe(bucket)()
    store.put("a.png", large, PNG)
    assert store.get("a.png") == large


def test_a_store_that_refuses_our_credentials_is_unavailable(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreUnavailableError):
        open_stores(bucket)


def test_a_restarted_store_is_used_again(seaweed: SeaweedFs, store: S3Objects) -> None:
    store.put("acme/a.png", b"picture", PNG)
    seaweed.stop()
    try:
        with pytest.raises(StoreUnavailableError):
            store.get("acme/a.png")
        with pytest.raises(StoreUnavailableError):
            store.put("acme/b.png", b"half", PNG)
    finally:
        seaweed.start()
    assert store.get("acme/a.png") == b"picture"
    assert not store.exists("acme/b.png")
    store.put("acme/b.png", b"whole", PNG)
    assert store.get("acme/b.png") == b"whole"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("s3://pictures", ("pictures", "")),
        ("s3://pictures/", ("pictures", "")),
        ("s3://my.pictures-1/a/b/", ("my.pictures-1", "a/b")),
    ],
)
def test_addresses_of_stores(address: str, parts: tuple[str, str]) -> None:
    assert parse_s3(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://x",
        "s3://UPPER/a",
        "http://b/c",
        "s3://b?x=1",
        "s3://bucket/a//b",
        "s3://bucket/../b",
    ],
)
def test_an_invalid_store_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket"):
        parse_s3(address)
