"""The device policy of a process: device, dtype and memory budget of its models, chosen once at start."""

import gc
import importlib
from dataclasses import dataclass
from typing import Any

from models.device import DeviceConfig
from models.errors import UnknownDeviceError

_SHARE_OF_GPU = 0.92
"""Share of a GPU's free memory that models may hold with one call. The rest is for what torch keeps beside
tensors; where it does not suffice, a call is retried with less (`models.runtime.oom_retry`)."""
_SHARE_OF_MAIN_MEMORY = 0.8
"""The same of main memory, where requests have their pictures."""


@dataclass(frozen=True)
class DevicePolicy:
    """The device that torch models run on, and how they run there.

    device: torch's name for it. dtype: one dtype for all models; or `auto`, which means each card's
    own on a GPU and float32 on the CPU. threads: CPU threads for one call. offload: weights stay in
    main memory, and each part moves to the device when it runs. memory_mb: memory that models may
    hold, in MiB; None means no limit. preload: load at start. torch: whether any model needs
    torch. description: what the device is, for people.
    """

    device: str = "cpu"
    dtype: str = "auto"
    threads: int = 1
    offload: bool = False
    memory_mb: int | None = None
    preload: bool = True
    torch: bool = False
    description: str = "cpu"

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
    ) -> "DevicePolicy":
        """Return the policy for a profile.

        torch: whether any card needs torch; it is imported only then. memory_mb: if None, torch
        models get 92 % of the GPU's memory that is free now or, with `offload` and on the processor, 80 %
        of main memory. needs_gpu: whether to refuse the processor unless it is named, because a picture takes
        minutes on it. On a GPU, torch multiplies float32 by TF32 from then on. Raises UnknownDeviceError.
        """
        if not torch:
            return cls("cpu", dtype, threads, offload, memory_mb, preload)
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
        if chosen == "cpu":
            devices.bound_threads(threads)
        else:
            devices.allow_tf32()
        if memory_mb is None:
            is_main = offload or not chosen.startswith("cuda")
            share = _SHARE_OF_MAIN_MEMORY if is_main else _SHARE_OF_GPU
            memory_mb = int(share * devices.free_mb("cpu" if offload else chosen))
        return cls(
            chosen,
            dtype,
            threads,
            offload,
            memory_mb,
            preload,
            torch=True,
            description=devices.describe(chosen),
        )

    def device_config(self, torch: bool, own_dtype: str) -> DeviceConfig:
        """Return where and how a model runs. A model without torch runs on the CPU.

        own_dtype: the dtype of the model's weights on a GPU, from its card.
        """
        if not torch:
            return DeviceConfig(threads=self.threads)
        dtype = self.dtype
        if dtype == "auto":
            dtype = "float32" if self.device == "cpu" else own_dtype
        return DeviceConfig(self.device, dtype, self.threads, self.offload)

    def release(self) -> None:
        """Free the memory of evicted models, also those in reference cycles, and torch's cached memory."""
        gc.collect()
        if self.torch:
            _devices().release_cached()


def _devices() -> Any:
    # Not imported at the top of the module: torch is not installed for profiles without it.
    try:
        return importlib.import_module("models.backends.torch.devices")
    except ImportError as error:
        raise UnknownDeviceError(
            f"torch cannot be used: {error}; this profile needs the extra `gpu`: pip install '.[gpu]'"
        ) from error
