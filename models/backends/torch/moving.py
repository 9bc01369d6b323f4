"""Moves the weights of torch modules between a device and main memory, each tensor once, as the same objects."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from models.backends.torch.graphs import drop_moving
from models.backends.torch.loading import LOADING

log = logging.getLogger("retouch.models")

_BLOCK = 256 * 2**20
"""Bytes of main memory that are allocated at once. torch rounds pinned memory up to a power of two: such blocks
waste little, and the next model that is evicted gets the same ones again."""
_ALIGNMENT = 256
"""Bytes; that of torch's own allocators is no larger."""

_Aliases = list[Tensor]
"""Tensors with the same elements at the same addresses, such as tied weights and those of views."""


def to_main_memory(
    networks: Iterable[nn.Module], staying: Iterable[nn.Module], *, pin: bool
) -> None:
    """Move the tensors of modules to main memory, but those that are also of modules that stay.

    pin: whether to lock the memory's pages, so that copies from it are fast and need not be waited for. If
    the system refuses, the memory is an ordinary one, and the log says so. CUDA graphs that read these
    tensors are dropped before. Raises RuntimeError, also if
    memory runs out; tensors are then on either side, and still usable by `to_device`.
    """
    with LOADING, torch.inference_mode(False):
        moving = _besides(networks, staying)
        drop_moving(aliases[0] for aliases in moving)
        for aliases, memory in _places(moving, pin):
            _copy(aliases, memory.view(aliases[0].dtype))
        if pin:
            torch.cuda.synchronize()


def to_device(networks: Iterable[nn.Module], staying: Iterable[nn.Module], device: str) -> None:
    """Move the tensors of modules to a device, but those that are also of modules that are there already.

    Returns before the copies from pinned memory are done: later work on the device waits for them. Raises
    RuntimeError, torch.OutOfMemoryError among them.
    """
    target = torch.device(device)
    with LOADING, torch.inference_mode(False):
        for aliases in _besides(networks, staying):
            first = aliases[0]
            if target.type == "cpu" or first.device.type != target.type:
                _copy(aliases, torch.empty(first.numel(), dtype=first.dtype, device=target))


def _besides(networks: Iterable[nn.Module], staying: Iterable[nn.Module]) -> list[_Aliases]:
    """Return the tensors of modules without those of others, the ones with the same elements together."""
    kept = {_elements(tensor) for tensor in _tensors(staying)}
    found: dict[Any, dict[int, Tensor]] = {}
    for tensor in _tensors(networks):
        if tensor.numel() and _elements(tensor) not in kept:
            found.setdefault(_elements(tensor), {})[id(tensor)] = tensor
    return [[*aliases.values()] for aliases in found.values()]


def _tensors(networks: Iterable[nn.Module]) -> Iterator[Tensor]:
    for network in networks:
        yield from chain(network.parameters(), network.buffers())


def _elements(tensor: Tensor) -> tuple[Any, ...]:
    """Return what is equal for tensors that have the same elements at the same addresses."""
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _copy(aliases: _Aliases, memory: Tensor) -> None:
    """Give tensors new memory with the same elements, in the same order. memory: flat, with as many elements."""
    first = aliases[0]
    # The order of a tensor without gaps stays, such as channels_last; others become contiguous.
    strides = torch.empty_like(first, device="meta").stride()
    new = memory.as_strided(first.shape, strides)
    new.copy_(first.detach(), non_blocking=True)
    for tensor in aliases:
        tensor.data = new


def _places(moving: Sequence[_Aliases], pin: bool) -> Iterator[tuple[_Aliases, Tensor]]:
    """Yield tensors with the memory for each, as bytes: pieces of few large blocks."""
    group: list[tuple[_Aliases, int]] = []
    end = 0
    for aliases in moving:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        size = aliases[0].numel() * aliases[0].element_size()
        if group and start + size > _BLOCK:
            yield from _pieces(group, end, pin)
            group, start = [], 0
        group.append((aliases, start))
        end = start + size
    if group:
        yield from _pieces(group, end, pin)


def _pieces(
    group: Sequence[tuple[_Aliases, int]], size: int, pin: bool
) -> Iterator[tuple[_Aliases, Tensor]]:
    block = _block(size, pin)
    for aliases, start in group:
        yield aliases, block[start : start + aliases[0].numel() * aliases[0].element_size()]


def _block(size: int, pin: bool) -> Tensor:
    """Return `size` bytes of main memory, pinned if the system allows it."""
    if pin:
        try:
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)
        except RuntimeError as error:
            log.warning(
                "main memory could not be pinned, so that copies from it are slower: %s", error
            )
    return torch.empty(size, dtype=torch.uint8)
