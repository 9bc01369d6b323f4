"""The device that one model runs on, and the form in which it holds its weights there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceConfig:
    """The device and the form in which a backend holds its weights.

    device: as torch names it, `cpu` or `cuda:0`. dtype: `float32`, `float16` or `bfloat16`; a backend
    whose layers cannot take it holds float32 and says so. threads: processor threads for one call.
    offload: keep weights in main memory and bring each part to the device as it runs, for small GPUs.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    offload: bool = False
