"""The contract of all stores: complete objects or none, refusals, keys inside the store."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.bucket import Bucket
from storage.errors import InvalidKeyError, ObjectMissingError
from storage.filesystem import LocalObjects
from storage.object_store import ObjectStore, Refusal
from storage.s3 import S3Objects
from storage.stores import parse_s3

PNG = "image/png"


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store of each kind."""
    if request.param == "local":
        yield LocalObjects(tmp_path / "objects")
        return
    seaweed = request.getfixturevalue("seaweed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweed.environment().items():
            patch.setenv(name, value)
        bucket = Bucket(*parse_s3(seaweed.prefix()), endpoint=seaweed.endpoint)
        yield S3Objects(bucket, "results")


def test_an_object_is_read_as_it_was_written(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.put("acme/a.png", b"picture", PNG)
    info = store.stat("acme/a.png")
    assert info is not None
    assert (info.size, info.content_type) == (7, PNG)
    assert before < info.modified < datetime.now(UTC) + timedelta(seconds=2)
    assert store.get("acme/a.png") == b"picture"
    assert store.exists("acme/a.png")
    assert store.is_settled("acme/a.png")
    assert store.refusal("acme/a.png") is None


def test_a_large_object_is_read_completely(store: ObjectStore) -> None:
    data = bytes(range(256)) * 100_000
    store.put("acme/large.psd", data, "image/vnd.adobe.photoshop")
    assert store.get("acme/large.psd") == data


def test_a_part_of_an_object_is_read(store: ObjectStore) -> None:
    data = bytes(range(256)) * 8192
    store.put("a/large.png", data, "image/png")
    assert store.get_range("a/large.png", 0, 1) == data[:1]
    assert store.get_range("a/large.png", 1 << 20, len(data)) == data[1 << 20 :]
    with pytest.raises(ObjectMissingError):
        store.get_range("a/none.png", 0, 1)


def test_an_object_may_be_empty(store: ObjectStore) -> None:
    store.put("acme/blocked.png", b"", PNG)
    info = store.stat("acme/blocked.png")
    assert info is not None
    assert info.size == 0
    assert store.get("acme/blocked.png") == b""
    assert store.refusal("acme/blocked.png") is None


def test_a_new_object_replaces_the_old(store: ObjectStore) -> None:
    for data in (b"first", b"the second"):
        store.put("acme/a.png", data, PNG)
        assert store.get("acme/a.png") == data


@pytest.mark.parametrize("key", ["acme/b.png", "nobody/a.png", "acme", "acme/a.png/deeper.png"])
def test_a_missing_object_is_none_or_raises(store: ObjectStore, key: str) -> None:
    store.put("acme/a.png", b"x", PNG)
    assert store.stat(key) is None
    assert not store.exists(key)
    assert not store.is_settled(key)
    assert store.refusal(key) is None
    store.delete(key)
    with pytest.raises(ObjectMissingError):
        store.get(key)


def test_a_deleted_object_is_gone_and_can_be_deleted_again(store: ObjectStore) -> None:
    store.put("acme/a.png", b"x", PNG)
    store.delete("acme/a.png")
    assert not store.is_settled("acme/a.png")
    store.delete("acme/a.png")


@pytest.mark.parametrize(
    "text",
    [
        "No such mask: 7.",
        "Nichts übrig, ☂\r\nX-Evil: 1",
        "x" * 9000,
        "☂ " * 9000,
        " two  spaces ",
        "",
    ],
    ids=["plain", "odd", "long", "long and odd", "spaces", "none"],
)
def test_a_refusal_can_be_read_and_settles_the_key(store: ObjectStore, text: str) -> None:
    store.refuse("acme/a.png", Refusal(506, text, parameter="changes.0.mask_id"))
    assert store.is_settled("acme/a.png")
    refusal = store.refusal("acme/a.png")
    assert refusal is not None
    assert (refusal.code, refusal.parameter) == (506, "changes.0.mask_id")
    assert refusal.text == text or (len(refusal.text) > 100 and text.startswith(refusal.text))
    store.delete("acme/a.png")
    assert not store.is_settled("acme/a.png")
    assert store.refusal("acme/a.png") is None


@pytest.mark.parametrize("status", ["NOT_IN_PROFILE", None])
def test_a_refusal_keeps_its_status(store: ObjectStore, status: str | None) -> None:
    store.refuse("acme/a.png", Refusal(506, "no", status))
    assert store.refusal("acme/a.png") == Refusal(506, "no", status)


def test_a_refusal_does_not_replace_a_result(store: ObjectStore) -> None:
    store.put("acme/a.png", b"picture", PNG)
    store.refuse("acme/a.png", Refusal(500, "too late"))
    assert store.get("acme/a.png") == b"picture"
    assert store.refusal("acme/a.png") is None


def test_a_key_with_several_refusals_stays_refused(store: ObjectStore) -> None:
    for code in (500, 503):
        store.refuse("acme/a.png", Refusal(code, "no"))
    refusal = store.refusal("acme/a.png")
    assert refusal is not None
    assert refusal.code in (500, 503)


@pytest.mark.parametrize(
    "key", ["", "/a.png", "a//b.png", "../a.png", "a/../b.png", ".a.png", "a b.png", "x" * 600]
)
def test_invalid_keys_are_refused_by_every_method(store: ObjectStore, key: str) -> None:
    calls: list[Any] = [
        lambda: store.put(key, b"x", PNG),
        lambda: store.refuse(key, Refusal(500, "")),
        lambda: store.refusal(key),
        lambda: store.is_settled(key),
        lambda: store.stat(key),
        lambda: store.exists(key),
        lambda: store.get(key),
        lambda: store.get_range(key, 0, 1),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(InvalidKeyError):
            call()


def test_the_content_type_follows_from_the_extension(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="content type"):
        store.put("acme/a.png", b"x", "text/html")
    assert not store.exists("acme/a.png")


def test_the_sweep_deletes_only_old_objects(store: ObjectStore) -> None:
    for n in range(7):
        store.put(f"team{n % 2}/{n}.png", b"x", PNG)
    store.refuse("team0/refused.png", Refusal(506, "no"))
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.exists("team0/0.png")
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 8
    assert not any(store.is_settled(f"team{n % 2}/{n}.png") for n in range(7))
    assert not store.is_settled("team0/refused.png")


def test_the_sweep_needs_a_time_zone(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="time zone"):
        store.sweep(datetime(2026, 1, 1))


def test_a_reader_gets_the_complete_old_or_new_object(store: ObjectStore) -> None:
    old, new = b"a" * 300_000, b"b" * 500_000
    store.put("acme/a.png", old, PNG)
    stop = threading.Event()

    def read() -> set[bytes]:
        seen = set()
        while not stop.is_set():
            seen.add(store.get("acme/a.png"))
        return seen

    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read) for _ in range(3)]
        for n in range(20):
            store.put("acme/a.png", new if n % 2 else old, PNG)
        stop.set()
        assert set().union(*(one.result(30) for one in reading)) <= {old, new}
