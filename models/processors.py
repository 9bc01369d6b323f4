"""The number of processors that this process may use: its affinity, and the CPU quota of its cgroups."""

import math
import os
from pathlib import Path

from models.cgroups import group_folders


def usable_processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may use, 1 or more.

    That is the smallest of: the processors of the machine, those that the process may run on
    (affinity, cpusets), and the CPU quota of its cgroup and of every group above it, rounded up. A
    container with a limit of 1.5 processors has 2. root: of the file system, for tests.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quotas = (_quota(folder) for folder in group_folders("cpu", root))
    return max(1, min([processors, *(math.ceil(quota) for quota in quotas if quota is not None)]))


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
