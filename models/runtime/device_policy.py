"""Where the models of a process run: device, form of the weights, memory budget, chosen once at start."""

import gc
import importlib
from dataclasses import dataclass
from typing import Any

from models.device import DeviceConfig
from models.errors import UnknownDeviceError

_SHARE = 0.8
"""Of the free memory: the rest is for what a call needs beyond its card's figure."""


@dataclass(frozen=True)
class DevicePolicy:
    """The device that torch models run on, and the rules for it.

    device: as torch names it. dtype: `auto`, each card's own on a GPU and float32 on the processor,
    or the one that all models take. offload: weights stay in main memory between the parts of a
    call. memory_mb: what models may hold, in MiB; None: no limit. preload: load at start.
    """

    device: str = "cpu"
    dtype: str = "auto"
    threads: int = 1
    offload: bool = False
    memory_mb: int | None = None
    preload: bool = True
    torch: bool = False

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
    ) -> "DevicePolicy":
        """Make the policy for a profile; torch: whether any card needs it, else it is not imported.

        Without a `memory_mb` torch models get 80 % of what is free now: on the device, or in main
        memory when weights are kept there. Raises UnknownDeviceError.
        """
        if not torch:
            return cls("cpu", dtype, threads, offload, memory_mb, preload)
        devices = _devices()
        try:
            chosen: str = devices.resolve(device)
        except ValueError as error:
            raise UnknownDeviceError(str(error)) from error
        if memory_mb is None:
            memory_mb = int(_SHARE * devices.free_mb("cpu" if offload else chosen))
        return cls(chosen, dtype, threads, offload, memory_mb, preload, torch=True)

    def device_config(self, torch: bool, own_dtype: str) -> DeviceConfig:
        """Return where and how a model is to run; what needs no torch runs on the processor.

        own_dtype: how its card says that it holds its weights on a GPU.
        """
        if not torch:
            return DeviceConfig(threads=self.threads)
        dtype = self.dtype
        if dtype == "auto":
            dtype = "float32" if self.device == "cpu" else own_dtype
        return DeviceConfig(self.device, dtype, self.threads, self.offload)

    def release(self) -> None:
        """Free dropped models, also those held by cycles, and what torch keeps for later."""
        gc.collect()
        if self.torch:
            _devices().release_cached()


def _devices() -> Any:
    # Not imported above: the profiles without torch have none.
    try:
        return importlib.import_module("models.backends.torch.devices")
    except ImportError as error:
        raise UnknownDeviceError(
            f"cannot be used: {error}; this profile needs the extra `gpu`: pip install '.[gpu]'"
        ) from error
