"""One network in several ways of running it: eager, as a CUDA graph, compiled, in float8."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from models.backends.torch.cuda_capture import Work
from models.backends.torch.graphs import Graphs
from scripts.gpu_benchmark import float8, rates
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.time_limit import limited

Call = Callable[[], Tensor]
WITHOUT_GPU = "needs a GPU (its code ran with the capture replaced)"
_PREPARING_S = 120.0
"""The longest time for the first call of a row, in which blocks are compiled, or for a capture."""


@dataclass(frozen=True)
class Step:
    """A network and its calls. call: returns one of `module`, for a batch; blocks: names of classes to compile."""

    name: str
    module: nn.Module
    call: Callable[[int], Call]
    blocks: tuple[str, ...] = ()


def rerun(work: Work, first: bool) -> tuple[Callable[[], None], Any]:
    """Stand in for the capture without a GPU: each replay does the work again, and copies the result."""
    result = work()

    def replay() -> None:
        for own, new in zip(tree_leaves(result), tree_leaves(work()), strict=True):
            if isinstance(own, Tensor):
                own.copy_(new)

    return replay, result


def new_graphs(bench: Bench) -> Graphs:
    """Return the graphs that the server would use, without a GPU with the capture replaced."""
    return Graphs(bench.device, None if bench.gpu else rerun)


def compile_blocks(module: nn.Module, names: Sequence[str], backend: str) -> None:
    """Compile each block of some classes in place, which takes far less time than the whole network.

    Blocks of one class and one shape share what is compiled. backend: torch.compile's.
    """
    torch._dynamo.config.recompile_limit = 64
    for block in module.modules():
        if type(block).__name__ in names:
            block.compile(backend=backend, dynamic=False)


def measure(
    bench: Bench,
    section: str,
    step: Step,
    batches: Sequence[int],
    compiled: Sequence[int] = (),
    with_float8: bool = False,
) -> None:
    """Measure a step in batches: eager and as a graph; compiled, as a graph too, and in float8 in some of them."""
    for batch in batches:
        _one(bench, section, step, batch, "", ("eager", "graph"))
    if not (compiled and step.blocks):
        return
    compile_blocks(step.module, step.blocks, "inductor" if bench.gpu else "eager")
    for batch in compiled:
        _one(bench, section, step, batch, "compiled blocks", ("eager", "graph"))
    if not with_float8:
        return
    count = float8.convert(step.module, step.blocks, _multiply(bench))
    torch._dynamo.reset()
    compile_blocks(step.module, step.blocks, "inductor" if bench.gpu else "eager")
    for batch in compiled:
        _one(bench, section, step, batch, f"{count} layers in float8, compiled", ("graph",))


def _multiply(bench: Bench) -> float8.Multiply:
    return float8.scaled_multiply if bench.gpu else float8.plain_multiply


def _one(
    bench: Bench, section: str, step: Step, batch: int, kind: str, forms: Sequence[str]
) -> None:
    name = ", ".join(filter(None, [step.name, f"batch {batch}", kind]))
    if bench.run.left <= 0:
        bench.run.skip(section, name, "no time left")
        return
    try:
        with limited(_PREPARING_S), torch.inference_mode():
            work = step.call(batch)
            need = None if kind else rates.need(step.module, work)
            expected = work().shape
    except Exception as error:
        bench.run.fail(section, name, error)
        return
    for form in forms:
        if form == "eager":
            bench.run.row(section, name, _inferring(work), pictures=batch, need=need)
        else:
            _graph(bench, section, f"{name}, CUDA graph", step.module, work, expected, batch, need)


def _graph(
    bench: Bench,
    section: str,
    name: str,
    module: nn.Module,
    work: Call,
    expected: torch.Size,
    batch: int,
    need: rates.Need | None,
) -> None:
    if bench.run.left <= 0:
        bench.run.skip(section, name, "no time left")
        return
    graphs = new_graphs(bench)
    with graphs.replaying(module):
        try:
            with limited(_PREPARING_S), torch.inference_mode():
                found = work().shape
            if graphs.count != 1:
                raise RuntimeError(f"not captured: {graphs.failure}")
            if found != expected:
                raise RuntimeError(f"the graph returns {found} and not {expected}")
        except Exception as error:
            bench.run.fail(section, name, error)
            return
        if bench.gpu:
            bench.run.row(section, name, _inferring(work), pictures=batch, need=need)
        else:
            bench.run.skip(section, name, WITHOUT_GPU)


def _inferring(work: Call) -> Callable[[Any], Tensor]:
    def run(number: Any) -> Tensor:
        with torch.inference_mode():
            return work()

    return run
