"""The budget of memory: what fits runs, what does not waits, and neither waits for ever."""

from pathlib import Path

import pytest

from models.memory import usable_memory
from server.errors import TooLargeError
from server.memory_budget import MemoryBudget

MIB = 2**20


class Work:
    """Work in a queue."""


def test_work_that_fits_beside_what_runs_is_admitted() -> None:
    budget = MemoryBudget(100)
    assert budget.try_acquire(60 * MIB)
    assert not budget.try_acquire(60 * MIB)
    assert budget.try_acquire(40 * MIB)
    budget.release(60 * MIB)
    assert budget.try_acquire(60 * MIB)
    assert budget.used == budget.total


def test_a_listener_learns_that_there_is_room() -> None:
    budget, told = MemoryBudget(100), []
    budget.on_room(lambda: told.append(budget.used))
    assert budget.try_acquire(60 * MIB)
    budget.release(60 * MIB)
    assert told == [0]


def test_work_that_would_not_fit_alone_is_refused_with_the_setting() -> None:
    budget = MemoryBudget(100)
    budget.check(100 * MIB)
    with pytest.raises(TooLargeError, match=r"about 2100 MiB .* 100 MiB .* RETOUCH_REQUEST_MEMORY"):
        budget.check(2100 * MIB)


def test_work_larger_than_the_budget_runs_alone() -> None:
    budget = MemoryBudget(100)
    assert budget.try_acquire(30 * MIB)
    assert not budget.try_acquire(200 * MIB)
    budget.release(30 * MIB)
    assert budget.try_acquire(200 * MIB)
    assert not budget.try_acquire(1)


def test_a_flood_of_small_work_does_not_keep_large_work_waiting() -> None:
    budget, large = MemoryBudget(100), Work()
    running = 5
    for _ in range(running):
        assert budget.try_acquire(20 * MIB)
    passed = 0
    while not budget.try_acquire(90 * MIB, large):
        budget.release(20 * MIB)
        running -= 1
        if budget.try_acquire(20 * MIB, Work()):
            running += 1
            passed += 1
        assert passed < 50, "small work starts for ever"
    assert passed > 0, "small work need not wait behind large work at once"
    assert running == 0


def test_small_work_starts_again_after_large_work_and_after_its_withdrawal() -> None:
    budget, large = MemoryBudget(100), Work()
    assert budget.try_acquire(50 * MIB)
    assert not budget.try_acquire(90 * MIB, large)
    while budget.try_acquire(1 * MIB, Work()):
        budget.release(1 * MIB)
    told = []
    budget.on_room(lambda: told.append(True))
    budget.withdraw(large)
    assert told
    assert budget.try_acquire(1 * MIB, Work())


def test_large_work_that_is_gone_does_not_keep_others_waiting() -> None:
    budget, large = MemoryBudget(100), Work()
    assert budget.try_acquire(50 * MIB)
    assert not budget.try_acquire(90 * MIB, large)
    while budget.try_acquire(1 * MIB, Work()):
        budget.release(1 * MIB)
    del large
    assert budget.try_acquire(1 * MIB, Work())


def machine(root: Path, group: dict[str, str], mount: str, line: str) -> Path:
    """Write the files of a machine with 16 GiB, and those of its group."""
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal:       16777216 kB\nMemFree: 100 kB\n")
    (proc / "mountinfo").write_text(f"{mount}\n")
    (proc / "cgroup").write_text(f"{line}\n")
    for name, content in group.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


V2 = ("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw", "0::/pod/api")
V1 = ("32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", "9:memory:/docker/a")


@pytest.mark.parametrize(
    ("group", "mount", "expected"),
    [
        ({"pod/api/memory.max": "536870912"}, V2, 512 * MIB),
        ({"pod/api/memory.max": "max", "pod/memory.max": "1073741824"}, V2, 1024 * MIB),
        ({"pod/api/memory.max": "1073741824", "pod/api/memory.high": "536870912"}, V2, 512 * MIB),
        ({"pod/api/memory.max": "max"}, V2, 16384 * MIB),
        ({"pod/api/memory.max": "nonsense"}, V2, 16384 * MIB),
        ({"memory/docker/a/memory.limit_in_bytes": "536870912"}, V1, 512 * MIB),
        ({"memory/docker/a/memory.limit_in_bytes": "9223372036854771712"}, V1, 16384 * MIB),
    ],
)
def test_the_limit_is_that_of_the_nearest_group(
    tmp_path: Path, group: dict[str, str], mount: tuple[str, str], expected: int
) -> None:
    assert usable_memory(machine(tmp_path, group, *mount)) == expected


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    assert usable_memory(tmp_path) is None


def test_what_runs_together_gets_less_when_the_process_keeps_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resident, now = 500 * MIB, [0.0]
    monkeypatch.setattr("server.memory_budget.usable_memory", lambda: 1000 * MIB)
    monkeypatch.setattr("server.memory_budget.resident_memory", lambda: resident)
    budget = MemoryBudget(clock=lambda: now[0])
    assert budget.total == 400 * MIB
    for _ in range(2):
        assert budget.try_acquire(100 * MIB)
    resident = 900 * MIB  # 200 of them are of the work that runs
    budget.release(100 * MIB)
    assert budget.try_acquire(100 * MIB)
    assert not budget.try_acquire(100 * MIB)
    resident, now[0] = 500 * MIB, 1.0
    budget.release(100 * MIB)
    budget.release(100 * MIB)
    for _ in range(4):
        assert budget.try_acquire(100 * MIB)
    budget.check(400 * MIB)


def test_work_that_would_have_fitted_at_the_start_runs_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resident = 500 * MIB
    monkeypatch.setattr("server.memory_budget.usable_memory", lambda: 1000 * MIB)
    monkeypatch.setattr("server.memory_budget.resident_memory", lambda: resident)
    budget = MemoryBudget()
    assert budget.try_acquire(1 * MIB)
    resident = 900 * MIB
    budget.release(1 * MIB)
    budget.check(400 * MIB)
    assert budget.try_acquire(400 * MIB)
    assert not budget.try_acquire(1 * MIB)


def test_the_budget_follows_the_process() -> None:
    budget = MemoryBudget()
    budget.follow_process()
    assert 128 * MIB <= budget.total < (usable_memory() or 2**64)
    fixed = MemoryBudget(700)
    fixed.follow_process()
    assert fixed.total == 700 * MIB
