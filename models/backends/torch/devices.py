"""Torch's devices: choosing one, what it is, its free memory, and releasing torch's memory cache."""

import re
from pathlib import Path

import psutil
import torch

from models.backends.torch import graphs
from models.memory import free_memory

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
"""Where the kernel module of NVIDIA's driver tells its version, on Linux."""
_LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
"""By the major version of CUDA: the first branch of the driver for it, on Linux. Source: NVIDIA, CUDA
Compatibility, table 1 (minor version compatibility)."""


def resolve(device: str) -> str:
    """Return the device for a setting. `auto` is the first GPU, or the CPU if there is no GPU.

    Raises ValueError for a device that torch does not know or cannot use.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        raise ValueError(f"device {device!r} cannot be used: {error}") from error
    return device


def idle_gpus(device: str) -> int:
    """Return how many GPUs this process sees and does not use. device: the one that it uses."""
    return max(0, torch.cuda.device_count() - 1) if device.startswith("cuda") else 0


def driver() -> str | None:
    """Return the version of the loaded NVIDIA driver, such as 580.65.06; None if there is none."""
    try:
        found = re.search(r"\s(\d+(?:\.\d+)+)\s", _DRIVER_FILE.read_text())
    except OSError:
        return None
    return found and found[1]


def why_no_gpu() -> str:
    """Return why torch sees no GPU: the driver, torch's build, and what to do."""
    cuda, installed = torch.version.cuda, driver()
    build = f"torch {torch.__version__}"
    if cuda is None:
        return f"{build} was built without CUDA: install a build of torch for CUDA"
    least = _LEAST_DRIVER.get(int(cuda.partition(".")[0]))
    needs = f"{build} was built for CUDA {cuda}" + (
        f", which needs a driver of version {least} or later" if least else ""
    )
    if installed is None:
        return (
            f"{needs}, and no NVIDIA driver is loaded: install one; in a container, start it with the GPU"
            " (docker run --gpus all)"
        )
    if least and int(installed.partition(".")[0]) < least:
        return f"{needs}, and the driver is {installed}: update it, or install a torch for an older CUDA"
    return (
        f"{needs}; the driver is {installed}, but there is no GPU that this process may use: look at"
        " nvidia-smi and at CUDA_VISIBLE_DEVICES, and start a container with --gpus all"
    )


def describe(device: str) -> str:
    """Return what a device is, for the log: a GPU's name, memory in MiB and driver, and torch's version."""
    parts = [device]
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        parts += [properties.name, f"{properties.total_memory >> 20} MiB", f"driver {driver()}"]
    return ", ".join([*parts, f"torch {torch.__version__}"])


def bound_threads(threads: int) -> None:
    """Set how many CPU threads an operation of torch uses.

    By default torch counts the machine's cores, whatever the quota of the container is.
    """
    torch.set_num_threads(threads)


def allow_tf32() -> None:
    """Let GPUs make matrix products of float32 by TF32, as torch lets them make convolutions anyway.

    Factors are then rounded to 10 bits of mantissa, as many as float16 has; they are summed, and all
    else is computed, in float32.
    """
    torch.set_float32_matmul_precision("high")


def free_mb(device: str) -> int:
    """Return the free memory of a device in MiB; for the CPU, of main memory as far as cgroups allow."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) >> 20
    available = int(psutil.virtual_memory().available)
    allowed = free_memory()
    return (available if allowed is None else min(available, allowed)) >> 20


def release_cached() -> None:
    """Release the GPU memory that torch has cached, and that of the CUDA graphs of networks that are gone."""
    graphs.drop_moving(())
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def drop_graphs() -> None:
    """Drop all CUDA graphs. Their memory is cached then; calls that follow capture what they need again."""
    graphs.drop_all()


def release_pinned() -> None:
    """Release the pinned main memory that torch has cached."""
    # Not in every version of torch that is allowed; without it the memory waits for the next eviction.
    empty = getattr(torch.accelerator, "empty_host_cache", None)
    if torch.cuda.is_available() and empty is not None:
        empty()
