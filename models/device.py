"""The configuration of one model's device: where it runs, and in which dtype it holds its weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceConfig:
    """Where a backend runs, and how it holds its weights.

    device: torch's name, such as `cpu` or `cuda:0`. dtype: `float32`, `float16` or `bfloat16`; a
    backend that cannot use it holds float32, and its docstring says so. threads: CPU threads for
    one call. offload: keep the weights in main memory and move each part to the device when it
    runs, for small GPUs. graphs: replay calls of networks as CUDA graphs, where a backend can.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    offload: bool = False
    graphs: bool = False
