"""Checks of the machine: Python, processor, memory, disk, GPU and clock."""

import platform
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from models.catalog.profile import load_profile
from models.catalog.requirements import needs_gpu_extra
from models.memory import usable_memory
from models.processors import usable_processors
from retouch.checks.finding import Finding, ok, problem, warning

_GIB = 2**30
_LEAST_PYTHON = (3, 11)
_LEAST_MEMORY = 2 * _GIB
"""What profile `lite` needs for large pictures beside each other."""
_LEAST_DISK = _GIB
_TORCH_GPU_MB = {
    "sdxl": 16 * 1024 - 512,
    "open": 24 * 1024 - 512,
    "bria": 24 * 1024 - 512,
    "studio": 79 * 1024,
}
"""What the profiles with torch need of one GPU, in MiB; a card of 24 GiB has a little less."""
_CPU_MEMORY = 4 * _GIB
_TOOL_LIMIT_S = 15
_TORCH_LIMIT_S = 120
_TORCH = (
    "import torch; print(torch.__version__, torch.version.cuda or '-',"
    " torch.cuda.device_count() if torch.cuda.is_available() else 0)"
)
_LATEST_YEAR = 2100


def python() -> Finding:
    """Check the version of Python."""
    version = platform.python_version()
    text = f"{version} at {sys.executable}"
    if sys.version_info < _LEAST_PYTHON:
        return problem("python", f"{text}; Retouch needs 3.11 or newer", version=version)
    return ok("python", text, version=version)


def processor(root: Path = Path("/")) -> Finding:
    """Check how many processors this process may use, and what they can do. root: for tests."""
    count, kind = usable_processors(root), platform.machine()
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    wanted = ("avx", "avx2", "avx512f", "fma", "amx_tile", "asimd", "sve")
    flags = [flag for flag in wanted if found and flag in found[1].split()]
    details = {"architecture": kind, "usable": count, "flags": flags}
    shown = f"{count} usable, {kind} {' '.join(flags)}".rstrip()
    if found and kind == "x86_64" and "avx2" not in flags:
        return warning(
            "processor", f"{shown}; without avx2 models run several times slower", **details
        )
    return ok("processor", shown, **details)


def memory(root: Path = Path("/")) -> Finding:
    """Check the memory that this process may use, by the machine and its cgroups. root: for tests."""
    size = usable_memory(root)
    if size is None:
        return warning("memory", "this system does not tell how much there is")
    text = f"{size / _GIB:.1f} GiB for this process"
    if size < _LEAST_MEMORY:
        return warning("memory", f"{text}; large pictures need 2 GiB", bytes=size)
    return ok("memory", text, bytes=size)


def disk(folder: Path) -> Finding:
    """Check the free space where the data are, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / _GIB:.1f} GiB free for {folder.absolute()}"
    if free < _LEAST_DISK:
        return warning("disk", f"{text}; weights and results need more", bytes=free)
    return ok("disk", text, bytes=free)


def gpus() -> list[dict[str, str | int]]:
    """Return the NVIDIA GPUs: name, memory in MiB, driver; none where the driver's tool is missing or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = "--query-gpu=name,memory.total,driver_version"
    try:
        done = subprocess.run(  # noqa: S603 - the driver's own tool
            [tool, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TOOL_LIMIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [
        {"name": row[0], "memory_mb": int(row[1]), "driver": row[2]}
        for row in rows
        if len(row) == 3 and row[1].isdecimal()
    ]


def gpu(
    found: list[dict[str, str | int]], profile: str, device: str, engine: str = "local"
) -> Finding:
    """Check the GPUs, and whether torch sees them, and whether a server would use them all.

    found: of `gpus`. device, engine: the settings RETOUCH_DEVICE and RETOUCH_ENGINE.
    """
    models = load_profile(profile).values()
    needs_torch = any(map(needs_gpu_extra, models))
    cards = "; ".join(
        f"{one['name']}, {one['memory_mb']} MiB, driver {one['driver']}" for one in found
    )
    details = {"gpus": found}
    if find_spec("torch") is None:
        text = f"{cards or 'no NVIDIA GPU'}; torch is not installed"
        if needs_torch:
            return problem(
                "gpu", f"{text}, and profile {profile} needs it: ./scripts/serve", **details
            )
        return ok("gpu", f"{text}, and profile {profile} does not need it", **details)
    torch = _torch()
    if torch is None:
        return problem("gpu", f"{cards or 'no NVIDIA GPU'}; torch cannot be imported", **details)
    version, cuda, count = torch
    text = f"{cards or 'no NVIDIA GPU'}; torch {version}, CUDA {cuda}, sees {count}"
    if found and not count:
        state = problem if needs_torch else warning
        return state("gpu", f"{text}: its CUDA does not fit the driver", **details)
    if any(card.needs_gpu for card in models) and not count:
        if device == "auto":
            text = f"{text}: profile {profile} needs a GPU, and does not start without RETOUCH_DEVICE=cpu"
            return problem("gpu", text, **details)
        return warning("gpu", f"{text}: profile {profile} takes minutes for a picture", **details)
    if needs_torch and device != "cpu" and engine == "local" and count > 1:
        text = f"{text}: a server uses one of them; with RETOUCH_ENGINE=ray it uses all"
        return warning("gpu", text, **details)
    return ok("gpu", text, **details)


def _torch() -> tuple[str, str, int] | None:
    """Return torch's version, its CUDA and the GPUs that it sees; None if it cannot be imported in time."""
    try:
        done = subprocess.run(  # noqa: S603 - this Python
            [sys.executable, "-c", _TORCH],
            capture_output=True,
            text=True,
            timeout=_TORCH_LIMIT_S,
            check=True,
        )
        version, cuda, count = done.stdout.split()
        return version, cuda, int(count)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def fitting_profile(
    found: list[dict[str, str | int]], profile: str, root: Path = Path("/")
) -> Finding:
    """Say which profiles this machine has enough memory for. found: of `gpus`."""
    fits = ["lite"]
    if (usable_memory(root) or 0) >= _CPU_MEMORY:
        fits.append("cpu")
    largest = max((int(one["memory_mb"]) for one in found), default=0)
    fits += [name for name, needed in _TORCH_GPU_MB.items() if largest >= needed]
    text = f"{profile} is chosen; {', '.join(fits)} fit this machine"
    details = {"chosen": profile, "fitting": fits}
    if profile in ("cpu", *_TORCH_GPU_MB) and profile not in fits:
        return warning("profile", f"{text}, {profile} needs more memory", **details)
    return ok("profile", text, **details)


def clock(now: float | None = None) -> Finding:
    """Check that the clock does not stand before this program was installed, or far ahead. now: for tests."""
    seconds = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    installed = Path(__file__).stat().st_mtime
    if seconds < installed - 86_400 or time.gmtime(seconds).tm_year >= _LATEST_YEAR:
        return problem(
            "clock", f"{shown} cannot be right: links would expire at once, or never", time=shown
        )
    return ok("clock", shown, time=shown)
