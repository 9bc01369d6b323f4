"""One network in several ways of running it: eager, as a CUDA graph, compiled, in float8."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scripts.gpu_benchmark import float8, rates
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.time_limit import limited

Call = Callable[[], Tensor]
WITHOUT_GPU = "needs a GPU (its code ran with the capture replaced)"
_WARM = 3
"""Calls before a capture, so that libraries have chosen their algorithms."""
_PREPARING_S = 120.0
"""The longest time for the first call of a row, in which blocks are compiled, or for a capture."""


@dataclass(frozen=True)
class Step:
    """A network and its calls. call: returns one for a batch; blocks: names of the classes that are compiled."""

    name: str
    module: nn.Module
    call: Callable[[int], Call]
    blocks: tuple[str, ...] = ()


def captured(work: Call) -> Call:
    """Return some work as a CUDA graph. Its result is the same tensor in every call."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def replaced(work: Call) -> Call:
    """Stand in for `captured` without a GPU: the work, done once before."""
    work()
    return work


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
            _graph(bench, section, f"{name}, CUDA graph", work, expected, batch, need)


def _graph(
    bench: Bench,
    section: str,
    name: str,
    work: Call,
    expected: torch.Size,
    batch: int,
    need: rates.Need | None,
) -> None:
    if bench.run.left <= 0:
        bench.run.skip(section, name, "no time left")
        return
    try:
        with limited(_PREPARING_S), torch.inference_mode():
            graph = captured(work) if bench.gpu else replaced(work)
            if graph().shape != expected:
                raise RuntimeError(f"the graph returns {graph().shape} and not {expected}")
    except Exception as error:
        bench.run.fail(section, name, error)
        return
    if bench.gpu:
        bench.run.row(section, name, _inferring(graph), pictures=batch, need=need)
    else:
        bench.run.skip(section, name, WITHOUT_GPU)


def _inferring(work: Call) -> Callable[[Any], Tensor]:
    def run(number: Any) -> Tensor:
        with torch.inference_mode():
            return work()

    return run
