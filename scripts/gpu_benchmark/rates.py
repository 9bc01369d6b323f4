"""What the device can do at best, measured, and the least time that some work takes there."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

_ROUNDS = 10


@dataclass(frozen=True)
class Need:
    """What some work must do at least. flop: operations; moved: bytes; dtype: of the matrix products."""

    flop: float
    moved: float
    dtype: torch.dtype

    def __add__(self, other: "Need") -> "Need":
        return Need(self.flop + other.flop, self.moved + other.moved, self.dtype)

    def __mul__(self, times: float) -> "Need":
        return Need(self.flop * times, self.moved * times, self.dtype)


@dataclass(frozen=True)
class Rates:
    """Measured rates. matmul: FLOP a second by dtype. bandwidth: bytes a second, read and written."""

    matmul: dict[torch.dtype, float]
    bandwidth: float

    def floor_ms(self, need: Need) -> float:
        """Return the least time of some work in ms: of its products, or of its bytes if that is longer."""
        return max(need.flop / self.matmul[need.dtype], need.moved / self.bandwidth) * 1000


def measure(device: str) -> Rates:
    """Measure a device: products of large matrices with random numbers, and a copy that fits no cache."""
    gpu = device != "cpu"
    side = 8192 if gpu else 128
    dtypes = [torch.float32, torch.bfloat16, torch.float16]
    matmul = {dtype: _matmul(device, dtype, side) for dtype in dtypes}
    return Rates(matmul, _bandwidth(device, 1 << 31 if gpu else 1 << 20))


def _matmul(device: str, dtype: torch.dtype, side: int) -> float:
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _seconds(lambda: one @ other, device)


def _bandwidth(device: str, size: int) -> float:
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _seconds(lambda: target.copy_(source), device)


def _seconds(work: Callable[[], object], device: str) -> float:
    for _ in range(3):
        work()
    times = []
    for _ in range(_ROUNDS):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def wait(device: str) -> None:
    """Wait until a device has done what was started."""
    if device != "cpu":
        torch.cuda.synchronize()


def need(module: Any, work: Callable[[], Any]) -> Need:
    """Count what one call of a network needs: its operations, its weights, and what it returns."""
    with (
        FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter,
        torch.inference_mode(),
    ):
        result = work()
    weights = list(module.parameters())
    moved = sum(weight.numel() * weight.element_size() for weight in weights)
    moved += result.numel() * result.element_size()
    return Need(counter.get_total_flops(), moved, weights[0].dtype)


def _deformable(
    pixels: Any, weight: Any, offset: Any, *rest: Any, out_shape: Any = None, **options: Any
) -> int:
    """Return the operations of the products of a deformable convolution."""
    return int(
        2
        * weight[0]
        * weight[1]
        * weight[2]
        * weight[3]
        * out_shape[0]
        * out_shape[2]
        * out_shape[3]
    )


def _formulas() -> dict[Any, Any]:
    import torchvision  # noqa: F401 - registers the operation

    return {torch.ops.torchvision.deform_conv2d: _deformable}


_FORMULAS = _formulas()


def launched(work: Callable[[], Any], device: str) -> int:
    """Return the number of kernels that a call launches; 0 without a GPU."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device != "cpu":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.inference_mode():
        work()
        wait(device)
        with torch.profiler.profile(activities=activities) as profile:
            work()
            wait(device)
    return kernels(profile.events())


def kernels(events: Any) -> int:
    """Count the kernels among a profiler's events: what ran on the device, without copies and fills of memory."""
    on_device = (one for one in events if one.device_type == torch.autograd.DeviceType.CUDA)
    return sum(not one.name.startswith(("Memcpy", "Memset")) for one in on_device)
