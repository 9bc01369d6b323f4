"""The number of processors that this process may use: its affinity, and the CPU quota of its cgroups."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ESCAPED = re.compile(r"\\([0-7]{3})")


def usable_processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may use, 1 or more.

    That is the smallest of: the processors of the machine, those that the process may run on
    (affinity, cpusets), and the CPU quota of its cgroup and of every group above it, rounded up. A
    container with a limit of 1.5 processors has 2. root: of the file system, for tests.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quotas = (math.ceil(quota) for quota in _quotas(root))
    return max(1, min([processors, *quotas]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in processors, of each group of this process that has one."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return
    for mount in mounts:
        for controllers, group in (
            line.split(":", 2)[1:] for line in groups if line.count(":") > 1
        ):
            for folder in _group_folders(mount, controllers, PurePosixPath(group)):
                quota = _quota(root / folder.relative_to("/"))
                if quota is not None:
                    yield quota


def _group_folders(mount: str, controllers: str, group: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield the folder of a group and of each group above it, if `mount` is its hierarchy.

    mount: a line of /proc/self/mountinfo (proc_pid_mountinfo(5)). controllers: of the group, from
    /proc/self/cgroup (cgroups(7)); version 2 has none. In a container the mount may begin at the
    container's own group, and the group's path may be one that only the host knows.
    """
    before, dash, after = mount.partition(" - ")
    fields, kinds = before.split(" "), after.split(" ")
    if not dash or len(fields) < 5 or len(kinds) < 3:
        return
    is_version_2 = kinds[0] == "cgroup2" and not controllers
    is_version_1 = (
        kinds[0] == "cgroup" and "cpu" in controllers.split(",") and "cpu" in kinds[2].split(",")
    )
    if not is_version_1 and not is_version_2:
        return
    top, point = (PurePosixPath(_ESCAPED.sub(_unescape, field)) for field in fields[3:5])
    inside = group.relative_to(top) if group.is_relative_to(top) else PurePosixPath()
    if ".." in inside.parts:
        inside = PurePosixPath()
    folder = point / inside
    yield folder
    while folder != point:
        folder = folder.parent
        yield folder


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 8))


def _quota(folder: Path) -> float | None:
    """Return a group's quota in processors; None if it has none."""
    try:
        if (file := folder / "cpu.max").exists():
            quota, period = file.read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        if int(quota) <= 0 or int(period) <= 0:  # -1 means no quota
            return None
        return int(quota) / int(period)
    except (OSError, ValueError):  # ValueError: "max" means no quota
        return None
