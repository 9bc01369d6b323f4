"""Torch's devices: choosing one, its free memory, and releasing torch's memory cache."""

import psutil
import torch


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


def bound_threads(threads: int) -> None:
    """Set how many CPU threads an operation of torch uses.

    By default torch counts the machine's cores, whatever the quota of the container is.
    """
    torch.set_num_threads(threads)


def free_mb(device: str) -> int:
    """Return the free memory of a device in MiB; for the CPU, of main memory."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) >> 20
    return int(psutil.virtual_memory().available) >> 20


def release_cached() -> None:
    """Release the GPU memory that torch has cached."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
