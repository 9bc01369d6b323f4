"""The control groups of this process: the folders in which Linux keeps its limits of processors and memory."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ESCAPED = re.compile(r"\\([0-7]{3})")


def group_folders(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yield the folder of each group of this process, and of every group above it, for one controller.

    controller: its name in version 1, `cpu` or `memory`; version 2 has one hierarchy for all. root: of the
    file system, for tests. Yields nothing where there are no groups, as on other systems than Linux.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return
    for mount in mounts:
        for controllers, group in (
            line.split(":", 2)[1:] for line in groups if line.count(":") > 1
        ):
            for folder in _folders(mount, controllers, PurePosixPath(group), controller):
                yield root / folder.relative_to("/")


def _folders(
    mount: str, controllers: str, group: PurePosixPath, controller: str
) -> Iterator[PurePosixPath]:
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
        kinds[0] == "cgroup"
        and controller in controllers.split(",")
        and controller in kinds[2].split(",")
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
