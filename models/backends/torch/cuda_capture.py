"""The capture of a CUDA graph on one GPU."""

import threading
from collections.abc import Callable
from typing import Any

import torch

Work = Callable[[], Any]
Capture = Callable[[Work, bool], tuple[Callable[[], None], Any]]
"""Captures some work, whose tensors stay where they are. Returns what does it again, and its result, into
whose tensors each replay writes. The flag tells that no graph of earlier captures is left."""

_WARM = 3
"""Calls before a capture, so that libraries have chosen their algorithms and allocated what they keep."""
_CAPTURING = threading.Lock()
"""torch captures one graph at a time in a process."""


class CudaCapture:
    """Implements `Capture`. All its graphs share one pool of memory.

    They may: one call at a time runs on a device, and results are copied before the next.
    """

    def __init__(self, device: str) -> None:
        """Capture on a GPU, by torch's name. Nothing is allocated yet."""
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None

    def __call__(self, work: Work, first: bool) -> tuple[Callable[[], None], Any]:
        """Run `work` a few times beside the current stream, then capture it; raises RuntimeError.

        What other threads do meanwhile that a capture does not allow, such as allocations, does not end it.
        """
        with _CAPTURING, torch.cuda.device(self._device):
            # Always the same: torch keeps memory for matrix products for each stream.
            stream = self._stream = self._stream or torch.cuda.Stream()
            if first or self._pool is None:
                # A pool whose last graph is gone cannot be used again.
                self._pool = torch.cuda.graph_pool_handle()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM):
                    work()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
            ):
                result = work()
        return graph.replay, result
