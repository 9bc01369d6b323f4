"""A network on its device, with or without offload to main memory between calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import nn

from models.device import DeviceConfig

Net = TypeVar("Net", bound=nn.Module)


class DeviceModule(Generic[Net]):
    """A network in evaluation mode. It is on its device, or with `offload` only while it runs.

    The scheduler makes one call at a time: two would not be faster, and a small GPU has no memory
    for them.
    """

    def __init__(self, network: Net, device_config: DeviceConfig, dtype: torch.dtype) -> None:
        """Move `network` to its device in `dtype`; with `offload`, to main memory."""
        self.device = torch.device(device_config.device)
        self.dtype = dtype
        self._offload = device_config.offload and self.device.type != "cpu"
        self._network: Net = network.eval().to("cpu" if self._offload else self.device, dtype)
        self._network.requires_grad_(False)

    def networks(self) -> list[nn.Module]:
        """Return the network, which may move between calls; none with `offload`, where it moves by itself."""
        return [] if self._offload else [self._network]

    @contextmanager
    def on_device(self) -> Iterator[Net]:
        """Yield the network on its device, in inference mode."""
        with torch.inference_mode():
            if not self._offload:
                yield self._network
                return
            try:
                yield self._network.to(self.device)
            finally:
                self._network.to("cpu")
