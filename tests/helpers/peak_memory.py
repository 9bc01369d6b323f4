"""Counts the memory that a network's buffers take at their peak, on torch's meta device, which has none."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Peak(TorchDispatchMode):
    """Adds up the storages that operations make, and keeps the largest sum. known: counted before, not here."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = dict.fromkeys(known, 0)
        self._held = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._sizes:
            self._sizes[storage._cdata] = storage.nbytes()
            self._held += storage.nbytes()
            self.peak = max(self.peak, self._held)
            weakref.finalize(storage, self._remove, storage._cdata)

    def _remove(self, key: int) -> None:
        self._held -= self._sizes.pop(key, 0)


def _flash(query: torch.Tensor, key: Any, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Return the result of attention without its matrix, as the kernels of GPUs do."""
    return query.new_empty(*query.shape[:-1], value.shape[-1])


def peak_mb(network: torch.nn.Module, call: Callable[[Any], object]) -> float:
    """Return the MiB that a call of a network on the meta device takes beside its weights."""
    kept = [*network.parameters(), *network.buffers()]
    whole = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = _flash
    try:
        with torch.no_grad(), _Peak({one.untyped_storage()._cdata for one in kept}) as counted:
            call(network)
    finally:
        torch.nn.functional.scaled_dot_product_attention = whole
    return float(counted.peak / 2**20)
