"""The reserve of free space: what is refused when, and the file that holds a part of it."""

import logging
import threading
from pathlib import Path

import pytest

from storage.disk_reserve import DiskReserve
from storage.errors import DiskFullError, StoreUnavailableError
from storage.filesystem import LocalObjects
from tests.helpers.disk import MIB, SmallDisk


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    """A disk of 100 MiB."""
    return SmallDisk(tmp_path, 100 * MIB, monkeypatch)


def test_new_things_are_refused_while_less_than_the_reserve_is_free(
    disk: SmallDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reserve = DiskReserve(tmp_path)
    assert reserve.space().reserve == 10 * MIB
    disk.fill(10 * MIB)
    reserve.check()
    disk.fill(10 * MIB - 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(DiskFullError, match="9 of 100 MiB free"):
                reserve.check()
        assert reserve.is_short
        disk.fill(50 * MIB)
        reserve.check()
    assert not reserve.is_short
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    ("limit", "total", "expected"),
    [
        (None, 24 * MIB, 2.4 * MIB),
        (None, 1 << 40, 256 * MIB),
        (5 * MIB, 1 << 40, 5 * MIB),
        (0, 9, 0),
    ],
)
def test_the_size_of_the_reserve(
    disk: SmallDisk, tmp_path: Path, limit: int | None, total: int, expected: float
) -> None:
    disk.total = total
    assert DiskReserve(tmp_path, limit).space().reserve == int(expected)


def test_without_a_reserve_a_full_disk_is_not_refused_early(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill(0)
    DiskReserve(tmp_path, 0).check()


def test_a_file_system_without_inodes_is_full(disk: SmallDisk, tmp_path: Path) -> None:
    disk.inodes, disk.free_inodes = 10_000, 100
    with pytest.raises(DiskFullError, match="no inodes"):
        DiskReserve(tmp_path).check()
    disk.free_inodes = 101
    DiskReserve(tmp_path).check()


def test_accepted_work_may_use_half_of_the_reserve(disk: SmallDisk, tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "results", DiskReserve(tmp_path))
    disk.fill(6 * MIB)
    store.put("a/fits.png", bytes(MIB), "image/png")
    with pytest.raises(StoreUnavailableError):
        store.put("a/large.png", bytes(MIB), "image/png")
    assert store.stat("a/large.png") is None
    disk.fill(1)
    store.put("a/error.json", bytes(100), "application/json")  # errors of jobs are small
    store.delete("a/fits.png")


def test_writes_at_the_same_time_share_what_is_left(disk: SmallDisk, tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path)
    disk.fill(8 * MIB)
    with reserve.writing(2 * MIB):
        with pytest.raises(DiskFullError), reserve.writing(2 * MIB):
            pass
        with reserve.writing(MIB):
            pass
    with reserve.writing(2 * MIB):
        pass


def test_the_file_is_given_up_for_a_removal_only(disk: SmallDisk, tmp_path: Path) -> None:
    reserve, file = DiskReserve(tmp_path), tmp_path / "disk-reserve"
    size = 5 * MIB
    reserve.watch()
    assert file.stat().st_size == size
    assert file.stat().st_blocks * 512 >= size  # no holes
    with reserve.room():
        assert file.exists()  # the disk is not full
    disk.fill(0)
    reserve.watch()
    assert file.exists()
    with reserve.room():
        assert disk.free == size
        with reserve.room():
            (tmp_path / "log").write_bytes(bytes(MIB))
        reserve.watch()
        assert not file.exists()
    assert file.stat().st_size == size - MIB
    assert disk.free == 0
    disk.fill(50 * MIB)
    reserve.watch()
    assert file.stat().st_size == size


def test_the_end_of_a_job_finds_room_for_a_moment(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, file = DiskReserve(tmp_path), tmp_path / "disk-reserve"
    reserve.watch()
    assert reserve.try_to_make_room()
    assert file.exists()
    disk.fill(0)
    assert reserve.try_to_make_room()
    reserve.watch()
    assert not file.exists()
    disk.fill(0)
    assert not reserve.try_to_make_room()
    disk.fill(MIB)
    monkeypatch.setattr("storage.disk_reserve._MOMENT_S", -1.0)
    reserve.try_to_make_room()
    reserve._open_until = 0.0
    reserve.watch()
    assert file.stat().st_size == MIB


def test_a_large_disk_holds_no_file(disk: SmallDisk, tmp_path: Path) -> None:
    disk.total = 1 << 40
    DiskReserve(tmp_path).watch()
    assert not (tmp_path / "disk-reserve").exists()


def test_threads_never_take_more_than_half_of_the_reserve(disk: SmallDisk, tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "results", DiskReserve(tmp_path))
    disk.fill(15 * MIB)

    def write(number: int) -> None:
        for part in range(4):
            try:
                store.put(f"a/{number}-{part}.png", bytes(MIB), "image/png")
            except StoreUnavailableError:
                return

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 5 * MIB <= disk.free < 15 * MIB
