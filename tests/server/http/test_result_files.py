"""The answer with a file: it is read in parts, and ends when its caller or its store does."""

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from server.errors import NotFoundError
from server.http.result_files import ResultFile, open_file, read_reference
from storage.errors import StoreUnavailableError
from storage.filesystem import LocalObjects

KEY = "a/b.png"
PART = 1 << 20
DATA = bytes(range(250)) * (3 * PART // 250)
FILE = ResultFile(KEY, len(DATA), {"Content-Location": "http://s/r", "Retouch-Seed": "7"})


class CountingStore(LocalObjects):
    """A store that notes what is read of it. fails_at: where it stops to answer."""

    def __init__(self, root: Path, fails_at: int = 1 << 40) -> None:
        super().__init__(root)
        self.read: list[tuple[int, int]] = []
        self.fails_at = fails_at

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """See ObjectStore."""
        if start >= self.fails_at:
            raise StoreUnavailableError("the store is away")
        self.read.append((start, end))
        return super().get_range(key, start, end)


def answered(
    store: LocalObjects, file: ResultFile = FILE, is_gone: Callable[[int], bool] = lambda _: False
) -> list[MutableMapping[str, Any]]:
    """Return the messages of an answer. is_gone: whether the caller hangs up after so many messages."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        if is_gone(len(sent)):
            return {"type": "http.disconnect"}
        await asyncio.sleep(3600)
        raise AssertionError

    async def run() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        await (await open_file(store, file))(scope, receive, send)

    asyncio.run(run())
    return sent


def test_it_is_read_in_parts_of_a_mebibyte(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    store.put(KEY, DATA, "image/png")
    start, *parts = answered(store)
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(DATA)).encode()
    assert headers[b"content-type"] == b"image/png"
    assert headers[b"retouch-seed"] == b"7"
    assert b"".join(part["body"] for part in parts) == DATA
    assert [part["more_body"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert max(end - begin for begin, end in store.read) == PART


def test_nothing_more_is_read_for_a_caller_who_has_gone(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    store.put(KEY, DATA, "image/png")
    sent = answered(store, is_gone=lambda count: count == 3)
    assert len(sent) == 3
    assert len(store.read) == 2


@pytest.mark.parametrize("fault", ["the store is away", "a/b.png"])
def test_an_answer_ends_early_if_the_store_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.WARNING)
    store = CountingStore(tmp_path, PART if fault.startswith("the") else 1 << 40)
    # Shorter than it was: the rest is missing.
    store.put(KEY, DATA if fault.startswith("the") else DATA[:PART], "image/png")
    _, part = answered(store)
    assert (len(part["body"]), part["more_body"]) == (PART, True)
    assert f"ends after {PART} of {len(DATA)} bytes" in caplog.text
    assert fault in caplog.text


def test_a_removed_file_is_not_found_before_the_answer_begins(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expired or was removed"):
        answered(LocalObjects(tmp_path))


def test_a_reference_is_read_as_it_was_made() -> None:
    assert read_reference(FILE.reference()) == FILE
    assert read_reference(b'{"result_url": "file:"}') is None
