"""Compares the time of each torch backend with that of the original package, and its result with float32.

The weights are random: times are as with trained ones, pictures are noise, and SAM finds no mask to refine.
Both run in turns, so that other load of the machine affects both.
"""

import gc
import shutil
import statistics
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.device import DeviceConfig
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.cases import CASES, Case
from scripts.gpu_benchmark.measure import problem
from scripts.gpu_benchmark.rivals import Sample, Work
from scripts.gpu_benchmark.time_limit import limited
from scripts.gpu_benchmark.weights import PARTS

SECTION = "Each backend and the original package"
_LONGEST_S = 180.0
"""Of one case in seconds, with its weights."""
_HEAD = (
    "| backend | work | ours, ms | as shipped, ms | ratio | against float32, largest / mean | GPU, MiB |\n"
    "|---|---|---|---|---|---|---|"
)


def backends(bench: Bench) -> None:
    """Compare each backend with its package; weights exist from their first use to their last."""
    for number, case in enumerate(CASES):
        why = next((PARTS[name].why for name in case.names() if PARTS[name].full is None), "")
        if bench.run.left <= 0:
            why = "no time left"
        elif not bench.gpu:
            why = ""
        if why:
            _add(bench, case, f"not measured: {why}")
            continue
        try:
            with limited(_LONGEST_S):
                for name in case.names():
                    bench.weights(name)
                row = _row(case, [bench.folder / part for part in case.parts], bench)
                bench.run.page.add(SECTION, _HEAD, row)
        except Exception as error:  # the other rows are still worth their time
            traceback.print_exc()
            bench.run.failed = True
            _add(bench, case, f"failed: {problem(error)}")
        bench.release()
        later = {name for other in CASES[number + 1 :] for name in other.names()}
        for name in case.names() - later:
            shutil.rmtree(bench.folder / name, ignore_errors=True)
            bench.made.discard(name)


def _add(bench: Bench, case: Case, text: str) -> None:
    bench.run.page.add(SECTION, _HEAD, f"| {case.name} | {case.work} | {text} | | | | |")


def _row(case: Case, paths: Sequence[Path], bench: Bench) -> str:
    full = bench.gpu
    device_config = bench.config(case.dtype)
    side = case.side if full else bench.side
    sample = Sample(bench.photo(0, side), bench.hole(side))
    ours, theirs, memory = _times(case, paths, device_config, sample, bench.run.rounds)
    bench.release()
    apart = _against_float32(case, paths, device_config, sample) if full else ""
    work = f"{case.side}x{case.side}, {case.work}" if full else case.work
    shipped, ratio = (f"{theirs:.1f}", f"{ours / theirs:.2f}") if theirs else ("", "")
    return (
        f"| {case.name} | {work} | {ours:.1f} | {shipped} | {ratio} | {apart} "
        f"| {memory if full else ''} |"
    )


def _against_float32(
    case: Case, paths: Sequence[Path], device_config: DeviceConfig, sample: Sample
) -> str:
    """Return the difference to the same backend in float32, with one model in memory at a time."""
    answers = []
    for form in (device_config, replace(device_config, dtype="float32")):
        answers.append(case.call(case.build(paths, form), sample))
        _release()
    return difference(*answers)


def _times(
    case: Case, paths: Sequence[Path], device_config: DeviceConfig, sample: Sample, rounds: int
) -> tuple[float, float | None, int]:
    """Return the median of our calls and of the package's in ms, and the peak of ours in MiB."""
    gpu = device_config.device != "cpu"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    model = case.build(paths, device_config)
    ways: list[Work] = [lambda given: case.call(model, given)]
    ways[0](sample)
    memory = torch.cuda.max_memory_allocated() >> 20 if gpu else 0
    if case.rival is not None:
        ways.append(case.rival(paths, device_config))
        ways[1](sample)
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, spent, strict=True):
            times.append(_timed(way, sample, gpu))
    medians = [statistics.median(times) * 1000 for times in spent]
    return medians[0], medians[1] if len(medians) > 1 else None, memory


def _timed(way: Work, sample: Sample, gpu: bool) -> float:
    if gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    way(sample)
    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def difference(one: object, other: object) -> str:
    """Return the difference of two results: of arrays and scores by numbers, of others by equality."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return difference(np.array(list(one.values())), np.array(list(other.values())))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if (
            one.ndim == 2 and one.dtype == np.uint8
        ):  # label maps: differences of labels mean nothing
            return f"{np.mean(one != other):.2%} of pixels in another part"
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        return f"{apart.max():.3g} / {apart.mean():.3g}"
    return "the same" if one == other else "another answer"


def _release() -> None:
    """Free the memory of unused models."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
