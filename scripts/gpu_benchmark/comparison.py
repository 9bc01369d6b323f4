"""Compares the time of each torch backend with that of the original package, and its result with float32.

The weights are random: times are as with trained ones, pictures are noise, and SAM finds no mask to refine.
Both run in turns, so that other load of the machine affects both.
"""

import argparse
import gc
import math
import shutil
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

from models.device import DeviceConfig
from scripts.gpu_benchmark.cases import CASES, Case
from scripts.gpu_benchmark.rivals import Sample, Work
from scripts.gpu_benchmark.weights import PARTS
from scripts.pages import between_markers

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
NOT_A_MEASUREMENT = "tiny, CPU: not a measurement of the GPU"
_FAILED = "failed:"
_HEAD = (
    "| backend | work | ours, ms | as shipped, ms | ratio | against float32, largest / mean | GPU, MiB |\n"
    "|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen backends, print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="calls of each (default: 7)")
    parser.add_argument("--only", nargs="*", metavar="BACKEND", help="rows to measure, by name")
    parser.add_argument(
        "--into", type=Path, help="page to write into (default with a GPU: docs/performance.md)"
    )
    parser.add_argument("--folder", type=Path, help="folder for the weights: needs 30 GB")
    parser.add_argument(
        "--minutes", type=float, help="start no row after this time (default: no limit)"
    )
    chosen = parser.parse_args(arguments)
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    full = torch.cuda.is_available()
    if not full:
        print("No CUDA device here: tiny models on the processor, only to run the code.")
    cases = [case for case in CASES if not chosen.only or case.name in chosen.only]
    page = chosen.into or (PAGE if full else None)
    end = time.monotonic() + 60 * chosen.minutes if chosen.minutes else math.inf
    rows: list[str] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for row in _measure(cases, Path(folder), full, chosen.rounds, end):
            print(row, flush=True)
            rows.append(row)
            if page is not None:
                # After each row: a run that is cut off leaves what it has measured.
                text = "\n".join([_machine(full, chosen.rounds), "", _HEAD, *rows])
                page.write_text(between_markers(page.read_text(), text, BEGIN, END))
    if page is not None:
        print(f"written into {page}")
    return 1 if any(_FAILED in row for row in rows) else 0


def _machine(full: bool, rounds: int) -> str:
    if not full:
        return f"**{NOT_A_MEASUREMENT}.** Every row is of 64x64 pixels and random weights."
    return (
        f"Measured on {torch.cuda.get_device_name()}, torch {torch.__version__}, random weights of full"
        f" size, medians of {rounds} calls, both in turns; float32 in levels of 255."
    )


def _measure(
    cases: Sequence[Case], folder: Path, full: bool, rounds: int, end: float
) -> Iterator[str]:
    """Yield one row of the table for each case; weights exist from their first use to their last.

    end: the time, by `time.monotonic`, after which no row starts.
    """
    for number, case in enumerate(cases):
        why = next((PARTS[name].why for name in case.names() if PARTS[name].full is None), "")
        if not full:
            why = ""
        if time.monotonic() >= end:
            why = "no time left"
        if why:
            yield f"| {case.name} | {case.work} | not measured: {why} | | | | |"
            continue
        yield _row_or_failure(case, folder, full, rounds)
        later = {name for other in cases[number + 1 :] for name in other.names()}
        for name in case.names() - later:
            shutil.rmtree(folder / name, ignore_errors=True)


def _row_or_failure(case: Case, folder: Path, full: bool, rounds: int) -> str:
    """Return the row of a case, or one that names the error: the other rows are still worth their time."""
    try:
        for name in case.names():
            _make(name, folder / name, full)
        return _row(case, [folder / part for part in case.parts], full, rounds)
    except Exception as error:
        traceback.print_exc()
        text = (str(error).strip() or "no text").splitlines()[0].replace("|", "/")
        return f"| {case.name} | {case.work} | {_FAILED} {type(error).__name__}: {text} | | | | |"
    finally:
        _release()


def _make(name: str, folder: Path, full: bool) -> None:
    if folder.exists():
        return
    folder.mkdir()
    part = PARTS[name]
    try:
        if full and part.full is not None:
            part.full(folder, "cuda")
        else:
            part.tiny(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _release()


def _row(case: Case, paths: Sequence[Path], full: bool, rounds: int) -> str:
    device_config = DeviceConfig("cuda:0", case.dtype) if full else DeviceConfig()
    sample = _sample(case.side if full else 64)
    ours, theirs, memory = _times(case, paths, device_config, sample, rounds)
    _release()
    apart = _against_float32(case, paths, device_config, sample) if full else ""
    work = f"{case.side}x{case.side}, {case.work}" if full else NOT_A_MEASUREMENT
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


def _sample(side: int) -> Sample:
    with Image.open(ROOT / "docs" / "photos" / "astronaut.jpg") as photo:
        rgb = np.array(photo.convert("RGB").resize((side, side)), np.uint8)
    hole = np.zeros((side, side), np.bool_)
    hole[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = True
    return Sample(rgb, hole)


def _release() -> None:
    """Free the memory of unused models."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
