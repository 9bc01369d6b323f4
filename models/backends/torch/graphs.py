"""CUDA graphs: a network's call is captured once for each signature, and replayed with other inputs.

An eager call starts thousands of kernels one by one; the replay of a graph starts them all at once, which is
quicker where a network is small for its GPU (docs/decisions/0037-cuda-graphs.md). A graph holds addresses: of
the weights, and of buffers for its inputs and results.
"""

import functools
import logging
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from models.backends.torch.cuda_capture import Capture, CudaCapture
from models.device import DeviceConfig

log = logging.getLogger("retouch.models")

MOST_PASSES = 2
"""Largest batch that is captured: with four pictures SDXL's UNet is as quick without (docs/performance.md)."""
_MOST = 24
"""Graphs of one device. Each holds a few thousand kernels."""
_MOST_BYTES = 768 * 2**20
"""What the inputs and results of the graphs of one device take together, but for the newest graph's."""
_WORTH = 50
"""Eager calls of a signature after which it takes the place of another one. A capture costs about four."""
_REMEMBERED = 256
"""Signatures whose calls are counted, or that failed."""
_PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device)
"""Arguments besides tensors that a graph can have; they are part of its signature."""

_Owner = weakref.ref[nn.Module]
_Key = tuple[_Owner, Hashable]
"""The network whose weights a graph reads, and the signature of the call."""

_ALL: "weakref.WeakSet[Graphs]" = weakref.WeakSet()
_ON: dict[str, "Graphs"] = {}
_ON_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Graph:
    """One captured call. keep: what must live as long, such as a cache that it writes into."""

    inputs: Sequence[Tensor]
    replay: Callable[[], None]
    results: Sequence[Any]
    form: TreeSpec
    addresses: frozenset[int]
    keep: Any

    def __call__(self, leaves: Iterable[Any]) -> Any:
        for own, given in zip(self.inputs, _tensors(leaves), strict=True):
            own.copy_(given)
        self.replay()
        # The next replay, also of another graph, overwrites the tensors themselves.
        copies = [one.clone() if isinstance(one, Tensor) else one for one in self.results]
        return tree_unflatten(copies, self.form)

    @functools.cached_property
    def size(self) -> int:
        """Bytes of the inputs and results."""
        return sum(
            one.numel() * one.element_size() for one in (*self.inputs, *_tensors(self.results))
        )


class Graphs:
    """The graphs of the networks on one device. Threads may share it; their calls run one after the other.

    As long as there is room, a call is captured when its signature comes first: shapes, strides and types of
    its tensors, and all other arguments. A graph is dropped with its network, when the network's weights are
    no longer where they were, and for one of another signature that comes often, the least recently used
    foremost. Calls without a graph are eager ones. What a network remembers besides tensors must not change.
    """

    def __init__(self, device: str, capture: Capture | None = None, most: int = _MOST) -> None:
        """Make an empty collection. capture: by default that of CUDA. most: number of graphs, 1 or more."""
        self._device = torch.device(device)
        self._capture: Capture = capture or CudaCapture(device)
        self._most = most
        self._graphs: OrderedDict[_Key, _Graph] = OrderedDict()
        self._eager: Counter[Hashable] = Counter()
        self._failed: set[Hashable] = set()
        self._told: set[str] = set()
        self.failure: Exception | None = None
        """The error of the last capture that failed."""
        self._running = threading.RLock()
        """Held while networks run: their `forward` and the buffers of the graphs are used by one thread."""
        self._changing = threading.RLock()
        """Guards the collections, for moments."""
        _ALL.add(self)

    @property
    def count(self) -> int:
        """The number of graphs."""
        return len(self._graphs)

    @contextmanager
    def replaying(self, *modules: nn.Module) -> Iterator[None]:
        """Let the calls of some networks be replayed, or captured, in this context."""
        with self.running(*modules):
            eager = {module: module.forward for module in modules}
            try:
                for module, forward in eager.items():
                    module.forward = self._replacement(module, forward)
                yield
            finally:
                for module in modules:
                    vars(module).pop("forward", None)

    @contextmanager
    def running(self, *modules: nn.Module) -> Iterator[None]:
        """Hold other threads up, and drop graphs whose weights have moved, before `call` is used."""
        with self._running:
            for module in modules:
                self._drop_stale(module)
            yield

    def call(
        self,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        keep: Any = None,
    ) -> Any:
        """Return `forward(*args, **kwargs)`, which reads the weights of `module`, by a graph if possible.

        A first call runs it several times, so it must not depend on how often it ran. keep: what lives as
        long as the graph.
        """
        leaves, form = tree_flatten((args, dict(kwargs)))
        signature = self._signature(leaves, form)
        if signature is None:
            return forward(*args, **kwargs)
        key = (weakref.ref(module), signature)
        with self._running:
            graph = self._known(key)
            if graph is None and self._admits(key):
                graph = self._captured(key, forward, leaves, form, keep)
            return forward(*args, **kwargs) if graph is None else graph(leaves)

    def drop_all(self) -> None:
        """Drop every graph."""
        self._drop(lambda owner, graph: True)

    def drop_those_at(self, addresses: Collection[int]) -> None:
        """Drop the graphs that read weights at some addresses, and those of networks that are gone."""
        self._drop(
            lambda owner, graph: owner() is None or not graph.addresses.isdisjoint(addresses)
        )

    def _drop_stale(self, module: nn.Module) -> None:
        with self._changing:
            has_any = any(owner() is module for owner, _ in self._graphs)
        if has_any:
            now = _addresses(module)
            self._drop(lambda owner, graph: owner() is module and graph.addresses != now)

    def _drop(self, condition: Callable[[_Owner, _Graph], bool]) -> None:
        with self._changing:
            self._remove([key for key, graph in self._graphs.items() if condition(key[0], graph)])

    def _remove(self, keys: Collection[_Key]) -> None:
        if keys and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # a replay may still run
        for key in keys:
            del self._graphs[key]

    def _replacement(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return self.call(module, forward, args, kwargs)

        return replacement

    def _signature(self, leaves: Iterable[Any], form: TreeSpec) -> Hashable | None:
        """Return what calls of one graph have in common; None for a call that cannot be captured."""
        if torch.is_grad_enabled():
            return None
        found: list[Hashable] = [repr(form), torch.is_inference_mode_enabled()]
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                # A graph cannot wait for a copy from main memory, nor repeat what the processor does.
                if leaf.device.type != self._device.type:
                    return None
                found.append((leaf.shape, leaf.stride(), leaf.dtype))
            elif isinstance(leaf, _PLAIN):
                found.append((type(leaf), leaf))
            else:
                return None
        return tuple(found)

    def _known(self, key: _Key) -> _Graph | None:
        with self._changing:
            if key in self._graphs:
                self._graphs.move_to_end(key)
            return self._graphs.get(key)

    def _captured(
        self,
        key: _Key,
        forward: Callable[..., Any],
        leaves: Sequence[Any],
        form: TreeSpec,
        keep: Any,
    ) -> _Graph | None:
        """Return the graph of a call that has none yet; None if that fails."""
        module = key[0]()
        own = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]

        def work() -> Any:
            args, kwargs = tree_unflatten(own, form)
            return forward(*args, **kwargs)

        try:
            replay, result = self._capture(work, not self._graphs)
            results, form_of_results = tree_flatten(result)
            if next(_tensors(results), None) is None:
                raise TypeError(f"its result is a {type(result).__name__}")
        except Exception as error:
            # Libraries let errors of many classes through; what the call itself raises comes again.
            self._fail(key, type(module).__name__, error)
            return None
        graph = _Graph(
            list(_tensors(own)), replay, results, form_of_results, _addresses(module), keep
        )
        self._add(key, graph)
        return graph

    def _admits(self, key: _Key) -> bool:
        """Whether to capture a signature: there is room, or it came often enough to make room for it."""
        with self._changing:
            if key in self._failed:
                return False
            if self._has_room():
                return True
            if len(self._eager) >= _REMEMBERED:
                self._eager.clear()
            self._eager[key] += 1
            return self._eager[key] >= _WORTH

    def _add(self, key: _Key, graph: _Graph) -> None:
        with self._changing:
            del self._eager[key]
            while self._graphs and not self._has_room():
                self._remove([next(iter(self._graphs))])
            self._graphs[key] = graph

    def _has_room(self) -> bool:
        size = sum(graph.size for graph in self._graphs.values())
        return len(self._graphs) < self._most and size < _MOST_BYTES

    def _fail(self, key: _Key, name: str, error: Exception) -> None:
        self.failure = error.with_traceback(None)  # whose frames would keep tensors
        if isinstance(error, torch.OutOfMemoryError):
            self.drop_all()
        with self._changing:
            if len(self._failed) >= _REMEMBERED:
                self._failed.clear()
            self._failed.add(key)
            told = name in self._told
            self._told.add(name)
        if not told:
            log.warning("%s: a call could not be captured as a CUDA graph: %s", name, error)


def graphs_for(device_config: DeviceConfig) -> Graphs | None:
    """Return the graphs of a device; None if networks run without, as with offload and on a processor."""
    device = device_config.device
    if not device_config.graphs or device_config.offload or not device.startswith("cuda"):
        return None
    with _ON_LOCK:
        if device not in _ON:
            _ON[device] = Graphs(device)
        return _ON[device]


@contextmanager
def replaying(graphs: Graphs | None, passes: int, *modules: nn.Module) -> Iterator[None]:
    """Let the calls of some networks be replayed in this context, if there are graphs. passes: their batch."""
    if graphs is None or passes > MOST_PASSES:
        yield
        return
    with graphs.replaying(*modules):
        yield


def drop_moving(tensors: Iterable[Tensor]) -> None:
    """Drop the graphs that read some weights, which are about to move, and those of networks that are gone."""
    addresses = {one.data_ptr() for one in tensors}
    for graphs in list(_ALL):
        graphs.drop_those_at(addresses)


def drop_all() -> None:
    """Drop every graph of every device, so that its memory can be released."""
    for graphs in list(_ALL):
        graphs.drop_all()


def _addresses(module: nn.Module) -> frozenset[int]:
    """Return where a network's weights are."""
    return frozenset(
        one.data_ptr() for one in chain(module.parameters(), module.buffers()) if one.numel()
    )


def _tensors(leaves: Iterable[Any]) -> Iterator[Tensor]:
    return (leaf for leaf in leaves if isinstance(leaf, Tensor))
