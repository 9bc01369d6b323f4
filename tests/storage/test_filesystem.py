"""The local store: complete objects or none, keys inside its folder, a complete sweep."""

import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import InvalidKeyError
from storage.filesystem import LocalObjects
from storage.object_store import check_key

PNG = "image/png"


@pytest.fixture
def store(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


def age(path: Path, by: timedelta) -> None:
    """Set a file's modification time to an earlier one."""
    then = (datetime.now(UTC) - by).timestamp()
    os.utime(path, (then, then))


def files(store: LocalObjects) -> list[str]:
    root = store.path("x").parent
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "..",
        "../x.png",
        "acme/../../x.png",
        "acme//x.png",
        "acme/",
        "acme/.hidden",
        "acme/.writing-0011",
        ".",
        "acme/./x.png",
        "acme\\x.png",
        "acme/x.png\n",
        "acme/x\0.png",
        "acme/%2e%2e/x.png",
        "ac me/x.png",
        "acmé/x.png",
        "a" * 201,
        "/".join(["a" * 100] * 6),
    ],
)
def test_invalid_keys_are_refused(store: LocalObjects, key: str) -> None:
    for call in (store.stat, store.get, store.path, store.delete, store.exists, check_key):
        with pytest.raises(InvalidKeyError):
            call(key)
    with pytest.raises(InvalidKeyError):
        store.put(key, b"x", PNG)
    assert files(store) == []


def test_a_content_type_that_does_not_match_the_key_is_refused(store: LocalObjects) -> None:
    with pytest.raises(ValueError, match="content type"):
        store.put("acme/a.png", b"x", "image/jpeg")
    assert files(store) == []


def test_only_the_owner_can_read(store: LocalObjects) -> None:
    store.put("acme/a.png", b"x", PNG)
    path = store.path("acme/a.png")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


def test_a_reader_gets_the_complete_old_or_new_object(store: LocalObjects) -> None:
    versions = {bytes([n]) * 300_000 for n in range(8)}
    store.put("acme/a.png", next(iter(versions)), PNG)
    done = threading.Event()
    torn: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            found = store.get("acme/a.png")
            if found not in versions:
                torn.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions:
        store.put("acme/a.png", version, PNG)
    done.set()
    reader.join()
    assert torn == []


def test_a_failed_write_leaves_nothing(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    store.put("acme/old.png", b"old", PNG)
    monkeypatch.setattr(os, "fsync", full)
    for key in ("acme/new.png", "acme/old.png"):
        with pytest.raises(OSError, match="no space"):
            store.put(key, b"new", PNG)
    assert files(store) == ["acme", "acme/old.png"]
    assert store.get("acme/old.png") == b"old"


def test_an_object_has_no_key_while_it_is_written(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, list[str]]] = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        seen.append((store.exists("acme/a.png"), files(store)))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    store.put("acme/a.png", b"x", PNG)
    exists, names = seen[0]
    assert not exists
    assert names[0] == "acme"
    with pytest.raises(InvalidKeyError):
        store.get(names[1])


def test_the_sweep_deletes_older_objects_and_counts_them(store: LocalObjects) -> None:
    for name in ("old", "older", "young"):
        store.put(f"acme/{name}.png", b"x", PNG)
    store.put("gone/old.png", b"x", PNG)
    for key in ("acme/old.png", "acme/older.png", "gone/old.png"):
        age(store.path(key), timedelta(hours=25))
    assert store.sweep(datetime.now(UTC) - timedelta(hours=24)) == 3
    assert files(store) == ["acme", "acme/young.png"]
    assert store.sweep(datetime.now(UTC) - timedelta(hours=24)) == 0


def test_the_sweep_deletes_abandoned_writes_but_not_running_ones(store: LocalObjects) -> None:
    store.put("acme/a.png", b"x", PNG)
    folder = store.path("acme/a.png").parent
    (folder / ".writing-dead").write_bytes(b"half")
    (folder / ".writing-live").write_bytes(b"half")
    age(folder / ".writing-dead", timedelta(hours=2))
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 1
    assert files(store) == ["acme", "acme/.writing-live"]


def test_the_sweep_needs_a_time_zone(store: LocalObjects) -> None:
    with pytest.raises(ValueError, match="time zone"):
        store.sweep(datetime(2026, 1, 1))


def test_a_folder_deleted_by_a_sweep_before_the_write_is_created_again(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.path("acme/a.png").parent
    opened = os.open
    swept: list[bool] = []

    def open_after_a_sweep(path: Path, flags: int, mode: int = 0o777) -> int:
        if not swept:
            swept.append(True)
            store.sweep(datetime.now(UTC))
            assert not folder.exists()
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", open_after_a_sweep)
    store.put("acme/a.png", b"x", PNG)
    assert store.get("acme/a.png") == b"x"


def test_writes_survive_sweeps_of_their_folder(store: LocalObjects) -> None:
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            store.sweep(datetime.now(UTC) - timedelta(hours=1))

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for n in range(100):
            store.put(f"team{n % 3}/{n}.png", b"x", PNG)
            assert store.get(f"team{n % 3}/{n}.png") == b"x"
            store.delete(f"team{n % 3}/{n}.png")
            assert not store.exists(f"team{n % 3}/{n}.png")
    finally:
        done.set()
        sweeper.join()


def test_an_open_file_can_be_read_after_its_removal(store: LocalObjects) -> None:
    store.put("acme/a.png", b"picture", PNG)
    with store.path("acme/a.png").open("rb") as served:
        store.delete("acme/a.png")
        assert served.read() == b"picture"
