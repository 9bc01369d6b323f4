"""One run of the benchmark: its parts in the order of importance, until its time is over."""

import argparse
import faulthandler
import tempfile
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
import transformers

from scripts.gpu_benchmark import comparison, parts, rates, server, wheels
from scripts.gpu_benchmark.bench import ROOT, Bench
from scripts.gpu_benchmark.measure import Run
from scripts.gpu_benchmark.page import NOT_A_MEASUREMENT, Page
from scripts.gpu_benchmark.time_limit import limited

PAGE = ROOT / "docs" / "performance.md"
Part = Callable[[Bench], None]
PARTS: tuple[Part, ...] = (
    parts.sdxl,
    parts.matting,
    parts.masks,
    server.server,
    parts.unet,
    parts.transformer,
    parts.lora,
    parts.vae,
    parts.upscaler,
    parts.refiner,
    parts.kernels,
    comparison.backends,
)
"""The parts with targets first. Kernels are counted late: the profiler slows what follows."""
_GRACE_S = 30.0
"""A part that runs when the time is over is stopped after this, and the process after four times this."""


def run(chosen: argparse.Namespace) -> int:
    """Measure; chosen: the arguments of `scripts/benchmark_gpu`. Return the exit status: 1 if a row failed."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    gpu = torch.cuda.is_available()
    page = Page(chosen.into or (PAGE if gpu else None), gpu, _machine(gpu, chosen.rounds))
    print(page.head)
    device = "cuda:0" if gpu else "cpu"
    seconds = chosen.minutes * 60
    measured = Run(page, device, seconds, chosen.rounds, chosen.row_seconds)
    # The last resort, for a call of C that never ends: it prints where, and ends the process.
    faulthandler.dump_traceback_later(seconds + 4 * _GRACE_S, exit=True)
    try:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            bench = Bench(measured, Path(folder), gpu)
            measured.rates = _rates(page, device)
            for part in PARTS:
                if not chosen.parts or part.__name__ in chosen.parts:
                    _measure(part, bench)
    finally:
        faulthandler.cancel_dump_traceback_later()
    if page.path is not None:
        print(f"written into {page.path}")
    return 1 if measured.failed else 0


def _measure(part: Part, bench: Bench) -> None:
    """Measure one part, and say what stopped it."""
    name = part.__name__
    if bench.run.left <= 0 and part is not comparison.backends:
        bench.run.skip(f"Part `{name}`", "all", "no time left")
        return
    try:
        with limited(max(1.0, bench.run.left) + _GRACE_S):
            part(bench)
    except ModuleNotFoundError as error:
        bench.run.skip(f"Part `{name}`", "all", f"the package {error.name} is missing")
    except Exception as error:  # the other parts are still worth their time
        bench.run.fail(f"Part `{name}`", "the rest", error)
    bench.release()


def _rates(page: Page, device: str) -> rates.Rates:
    found = rates.measure(device)
    lines = [
        f"| matrix products, {str(dtype).removeprefix('torch.')} | {rate / 1e12:.3g} TFLOP/s |"
        for dtype, rate in found.matmul.items()
    ]
    lines.append(f"| copy, bytes read and written | {found.bandwidth / 1e12:.3g} TB/s |")
    for line in lines:
        page.add("Rates", "| what | rate |\n|---|---|", line)
    return found


def _machine(gpu: bool, rounds: int) -> str:
    if not gpu:
        return f"**{NOT_A_MEASUREMENT}.** {wheels.versions()}."
    total = torch.cuda.get_device_properties(0).total_memory >> 20
    return (
        f"Measured on {torch.cuda.get_device_name()} ({total:,} MiB), CUDA {torch.version.cuda},"
        f" {wheels.versions()}. Random weights of full size; medians of {rounds} calls at most. The floor of a"
        " row is its operations over the rate of matrix products, or its bytes over that of copies."
    )
