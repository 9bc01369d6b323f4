"""Where a network's weights live between calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import nn

from models.device import DeviceConfig

Net = TypeVar("Net", bound=nn.Module)


class DeviceModule(Generic[Net]):
    """A network in evaluation mode, on its device or, with `offload`, there only while it runs.

    One call runs at a time, which is the scheduler's business: the working memory of two is what a small GPU
    has not got, and two would not be faster.
    """

    def __init__(self, network: Net, device_config: DeviceConfig, dtype: torch.dtype) -> None:
        """Hold `network` in `dtype`."""
        self.device = torch.device(device_config.device)
        self.dtype = dtype
        self._offload = device_config.offload and self.device.type != "cpu"
        self._network: Net = network.eval().to("cpu" if self._offload else self.device, dtype)
        self._network.requires_grad_(False)

    @contextmanager
    def on_device(self) -> Iterator[Net]:
        """Yield the network on its device, for inference."""
        with torch.inference_mode():
            if not self._offload:
                yield self._network
                return
            try:
                yield self._network.to(self.device)
            finally:
                self._network.to("cpu")
