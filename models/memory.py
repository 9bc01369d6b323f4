"""The memory that this process may use, and what it has: the machine's, and the limits of its cgroups."""

import re
from pathlib import Path

from models.cgroups import group_folders


def usable_memory(root: Path = Path("/")) -> int | None:
    """Return how many bytes of memory this process may use; None where the system does not tell.

    That is the smallest of: the memory of the machine, and the limit of its cgroup and of every group
    above it (`memory.max` and `memory.high` of version 2, `memory.limit_in_bytes` of version 1). root: of
    the file system, for tests.
    """
    limits = [_machine_memory(root)]
    for folder in group_folders("memory", root):
        limits += [_limit(folder / name) for name in _LIMITS]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def resident_memory(root: Path = Path("/")) -> int:
    """Return how many bytes of memory this process has now; 0 where the system does not tell."""
    return _kilobytes(root / "proc/self/status", "VmRSS") or 0


def free_memory(root: Path = Path("/")) -> int | None:
    """Return what its limits leave this process, in bytes; None where the system does not tell.

    Another process may have some of it.
    """
    limit = usable_memory(root)
    return None if limit is None else max(0, limit - resident_memory(root))


_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")


def _machine_memory(root: Path) -> int | None:
    return _kilobytes(root / "proc/meminfo", "MemTotal")


def _kilobytes(file: Path, name: str) -> int | None:
    """Return a line of a file of /proc in bytes; it is there in kB."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    except OSError:  # not Linux, or /proc is hidden
        return None
    return int(found[1]) * 1024 if found else None


def _limit(file: Path) -> int | None:
    """Return a group's limit in bytes; None if it has none. Version 1 has a huge number then."""
    try:
        limit = int(file.read_text())
    except (OSError, ValueError):  # ValueError: "max" means no limit
        return None
    return limit if limit > 0 else None
