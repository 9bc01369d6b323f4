"""Which device torch computes on, how much memory it has free, and giving back what is cached."""

import psutil
import torch


def resolve(device: str) -> str:
    """Return the device meant: `auto` is the first GPU, or the processor where there is none.

    Raises ValueError for a device that torch does not know or that is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise ValueError(f"device {device!r} cannot be used: {error}") from error
    return device


def free_mb(device: str) -> int:
    """Return the memory that is free on a device, in MiB; for the processor, main memory."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) >> 20
    return int(psutil.virtual_memory().available) >> 20


def release_cached() -> None:
    """Give memory that torch holds for later back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
