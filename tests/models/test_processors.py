"""How many processors the process may use, with the files of cgroups as containers see them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.backends.onnx import u2net
from models.processors import usable_processors
from server.settings import Settings
from tests.helpers.places import ROOT

V2 = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw"
V1 = "31 23 0:27 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
OTHER = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 16 processors, all of which the process may run on."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def system(root: Path, mount: str, groups: str, files: dict[str, str]) -> Path:
    """Write the files of a system below `root`; `files` are those of the groups."""
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (proc / "mountinfo").write_text(f"{OTHER}\n{MEMORY}\n{mount}\n")
    (proc / "cgroup").write_text(f"{groups}\n")
    for name, content in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),  # 1.5 is rounded up
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("300000 50000", 6),
        ("max 100000", 16),
        ("6400000 100000", 16),  # more than the machine has
        ("", 16),
        ("nonsense", 16),
        ("0 100000", 16),
    ],
)
def test_the_quota_of_a_container_with_version_2_is_rounded_up(
    tmp_path: Path, content: str, expected: int
) -> None:
    root = system(tmp_path, V2.format(top="/"), "0::/", {"cpu.max": content})
    assert usable_processors(root) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("250000", "100000", 3), ("-1", "100000", 16), ("100000", "100000", 1), ("400000", "0", 16)],
)
def test_the_quota_of_version_1(tmp_path: Path, quota: str, period: str, expected: int) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": quota,
        "cpu,cpuacct/cpu.cfs_period_us": period,
    }
    root = system(tmp_path, V1.format(top="/"), "4:memory:/\n3:cpu,cpuacct:/", files)
    assert usable_processors(root) == expected


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        (("max 100000", "800000 100000", "300000 100000"), 3),
        (("max 100000", "200000 100000", "400000 100000"), 2),  # the group above has less
        (("100000 100000", "max 100000", "max 100000"), 1),
    ],
)
def test_a_group_has_no_more_than_the_groups_above_it(
    tmp_path: Path, quotas: tuple[str, str, str], expected: int
) -> None:
    names = ("cpu.max", "kubepods.slice/cpu.max", "kubepods.slice/pod 1/cpu.max")
    files = dict(zip(names, quotas, strict=True))
    root = system(tmp_path, V2.format(top="/"), "0::/kubepods.slice/pod 1", files)
    assert usable_processors(root) == expected


@pytest.mark.parametrize(
    ("mount", "group"),
    [
        (V1.format(top="/docker/abc"), "3:cpu,cpuacct:/docker/abc"),  # the host's path
        (V1.format(top="/"), "3:cpu,cpuacct:/../elsewhere"),  # outside the container's namespace
        (V1.format(top="/docker/abc"), "3:cpu,cpuacct:/system.slice"),
    ],
)
def test_the_mount_of_a_container_is_its_own_group(tmp_path: Path, mount: str, group: str) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    assert usable_processors(system(tmp_path, mount, group, files)) == 2


def test_a_mount_point_may_contain_a_space(tmp_path: Path) -> None:
    mount = "30 23 0:26 / /sys/fs/cgroup/my\\040groups rw - cgroup2 cgroup rw"
    root = system(tmp_path, mount, "0::/", {"my groups/cpu.max": "100000 100000"})
    assert usable_processors(root) == 1


def test_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    root = system(tmp_path, V2.format(top="/"), "0::/", {"cpu.max": "800000 100000"})
    assert usable_processors(root) == 3


def test_without_proc_and_affinity_the_machine_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_processors(tmp_path) == 16


def test_a_process_on_one_processor_has_one_worker() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from server.settings import Settings; print(Settings().workers)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "1"


def test_workers_and_sessions_follow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.delenv("RETOUCH_WORKERS", raising=False)
    expected = usable_processors()
    assert expected <= 3
    assert Settings(data_dir=tmp_path).workers == expected
    limits: list[int] = []
    monkeypatch.setattr(u2net, "rewritten_network", lambda _: b"")
    monkeypatch.setattr(u2net, "Sessions", lambda _, limit: limits.append(limit))
    u2net.U2Net(tmp_path)
    assert limits == [expected]


def test_nothing_counts_the_processors_of_the_machine() -> None:
    packages = ("imaging", "models", "pipelines", "retouch", "server", "storage")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    counting = [file.name for file in files if "cpu_count" in file.read_text()]
    assert counting == ["processors.py"]
