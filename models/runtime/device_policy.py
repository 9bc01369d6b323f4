"""The device policy of a process: device, dtype and memory budget of its models, chosen once at start."""

import gc
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models.device import DeviceConfig
from models.errors import UnknownDeviceError

_SHARE_OF_GPU = 0.92
"""Share of a GPU's free memory that models may hold with one call. The rest is for what torch keeps beside
tensors; where it does not suffice, a call is retried with less (`models.runtime.oom_retry`)."""
_SHARE_OF_MAIN_MEMORY = 0.8
"""The same of main memory, where requests have their pictures."""
_SHARE_FOR_EVICTED = 0.5
"""Share of the main memory that is free at the start which models evicted from a GPU may take. The rest is for
requests, and for files that are read."""
GRAPHS_MB = 1536
"""What CUDA graphs take of a GPU beside models and their calls, at most: their inputs and results
(`models.backends.torch.graphs`), buffers, and the prompt refiner's cache. What the driver keeps is unknown."""


@dataclass(frozen=True)
class DevicePolicy:
    """The device that torch models run on, and how they run there.

    device: torch's name for it. dtype: one dtype for all models; or `auto`, which means each card's
    own on a GPU and float32 on the CPU. threads: CPU threads for one call. offload: weights stay in
    main memory, and each part moves to the device when it runs. memory_mb: memory that models may
    hold there, in MiB; None means no limit. preload: load at start. torch: whether any model needs
    torch. description: what the device is, for people. main_memory_mb: main memory for models that are
    evicted from the device, in MiB; 0: they are dropped. idle_gpus: number of further GPUs that this process
    sees, and does not use. graphs: whether models may replay CUDA graphs.
    """

    device: str = "cpu"
    dtype: str = "auto"
    threads: int = 1
    offload: bool = False
    memory_mb: int | None = None
    preload: bool = True
    torch: bool = False
    description: str = "cpu"
    main_memory_mb: int = 0
    idle_gpus: int = 0
    graphs: bool = False

    @classmethod
    def choose(
        cls,
        torch: bool,
        threads: int,
        device: str = "auto",
        dtype: str = "auto",
        offload: bool = False,
        memory_mb: int | None = None,
        preload: bool = True,
        needs_gpu: bool = False,
        main_memory_mb: int | None = None,
        graphs: bool = False,
    ) -> "DevicePolicy":
        """Return the policy for a profile.

        torch: whether any card needs torch; it is imported only then. memory_mb: if None, torch
        models get 92 % of the GPU's memory that is free now or, with `offload` and on the processor, 80 %
        of main memory. needs_gpu: whether to refuse the processor unless it is named, because a picture takes
        minutes on it. main_memory_mb: if None, half of the main memory that is free now; always 0 where
        models are in main memory anyway. graphs: whether to use CUDA graphs, where weights stay on a GPU
        by CUDA; their memory, `GRAPHS_MB`, is taken from that of the models. On a GPU, torch multiplies
        float32 by TF32 from then on. Raises UnknownDeviceError.
        """
        if not torch:
            return cls("cpu", dtype, threads, offload, memory_mb, preload)
        devices = _devices()
        chosen = device_for(device, needs_gpu)
        if chosen == "cpu":
            devices.bound_threads(threads)
        else:
            devices.allow_tf32()
        is_main = offload or not chosen.startswith("cuda")
        graphs = graphs and not is_main
        memory_mb = _for_models(memory_mb, "cpu" if is_main else chosen, graphs)
        if is_main:
            main_memory_mb = 0
        elif main_memory_mb is None:
            main_memory_mb = int(_SHARE_FOR_EVICTED * devices.free_mb("cpu"))
        return cls(
            chosen,
            dtype,
            threads,
            offload,
            memory_mb,
            preload,
            torch=True,
            description=devices.describe(chosen),
            main_memory_mb=main_memory_mb,
            idle_gpus=devices.idle_gpus(chosen),
            graphs=graphs,
        )

    @property
    def is_in_main_memory(self) -> bool:
        """Whether torch models are in main memory, as those without torch are, so that they share its limit."""
        return self.offload or not self.device.startswith("cuda")

    def device_config(self, torch: bool, own_dtype: str) -> DeviceConfig:
        """Return where and how a model runs. A model without torch runs on the CPU.

        own_dtype: the dtype of the model's weights on a GPU, from its card.
        """
        if not torch:
            return DeviceConfig(threads=self.threads)
        dtype = self.dtype
        if dtype == "auto":
            dtype = "float32" if self.device == "cpu" else own_dtype
        return DeviceConfig(self.device, dtype, self.threads, self.offload, self.graphs)

    def release(self, *, pinned: bool = False) -> None:
        """Free the memory of dropped models, also those in reference cycles, and torch's cached memory.

        pinned: whether to free the main memory too that torch keeps for the next eviction.
        """
        gc.collect()
        self.release_cached()
        if self.torch and pinned:
            _devices().release_pinned()

    def release_cached(self) -> None:
        """Free the memory of the device that torch has cached."""
        if self.torch:
            _devices().release_cached()

    def drop_graphs(self) -> None:
        """Drop the CUDA graphs of all models, so that their memory can be released."""
        if self.graphs:
            _devices().drop_graphs()

    def to_main_memory(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        """Move the tensors of torch modules from the device, but those of modules that stay.

        Raises RuntimeError.
        """
        _moving().to_main_memory(networks, staying, pin=self.device.startswith("cuda"))

    def to_device(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        """Move the tensors of torch modules to the device, but those of modules that are there.

        Raises RuntimeError.
        """
        _moving().to_device(networks, staying, self.device)


def device_for(device: str, needs_gpu: bool) -> str:
    """Return the device that a setting means, by torch's name; raises UnknownDeviceError.

    needs_gpu: whether to refuse the processor unless it is named. Only a GPU that is named gets memory used.
    """
    devices = _devices()
    try:
        chosen: str = devices.resolve(device)
    except ValueError as error:
        raise UnknownDeviceError(f"RETOUCH_DEVICE: {error}") from error
    if chosen == "cpu" and device == "auto" and needs_gpu:
        raise UnknownDeviceError(
            f"RETOUCH_DEVICE is auto, and this profile needs a GPU. {devices.why_no_gpu()}. With"
            " RETOUCH_DEVICE=cpu it runs on the processor, where one picture takes minutes"
        )
    return chosen


def _for_models(memory_mb: int | None, device: str, graphs: bool) -> int:
    """Return what models may hold of a device's memory in MiB: without a limit, a share of what is free now."""
    if memory_mb is None:
        share = _SHARE_OF_MAIN_MEMORY if device == "cpu" else _SHARE_OF_GPU
        memory_mb = int(share * _devices().free_mb(device))
    return max(1, memory_mb - GRAPHS_MB) if graphs else memory_mb


def _moving() -> Any:
    return importlib.import_module("models.backends.torch.moving")


def _devices() -> Any:
    # Not imported at the top of the module: torch is not installed for profiles without it.
    try:
        return importlib.import_module("models.backends.torch.devices")
    except ImportError as error:
        raise UnknownDeviceError(
            f"torch cannot be used: {error}; this profile needs the extra `gpu`: pip install '.[gpu]'"
        ) from error
