"""Measures the memory and the processor time of each operation; `server.cost` has constants from it.

    python -m scripts.hardening.memory_of_requests [--pixels 1,12] [--kinds opaque,alpha] [NAME ...]

The models are those of profile `lite`, warmed up. Each case runs alone: the kernel's high-water mark of
resident memory (VmHWM of proc(5), set back by clear_refs) less what was resident before it. The pictures
are made before, so their files do not count, and results go to a folder.
"""

import argparse
import atexit
import ctypes
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2

from models.roles import Models
from models.runtime.allocator import bound_memory
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from scripts.hardening.common.sized_pictures import encoded
from server.cost import Cost, estimate
from server.durations import Durations
from server.jobs.executor import JobExecutor
from server.jobs.job import Job
from server.jobs.picture_files import result_extension
from server.operation import Operation
from server.operations import OPERATIONS
from server.visuals import Visuals
from storage.database import database_url
from storage.records import Records
from storage.stores import open_stores
from tests.helpers.storage_limits import unlimited

ORGANISATION = "measured"
BY_KEY = {operation.key: operation for operation in OPERATIONS}
_MEGA = 1_000_000


@dataclass(frozen=True)
class Case:
    """One request: an operation's key, its fields, and its pictures besides the image.

    pictures: by name, the kind and the share of the image's pixels; masks have names that begin with mask.
    """

    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    note: str = ""

    @property
    def name(self) -> str:
        """The operation and what is special in this case."""
        return f"{self.key} {self.note}".rstrip()


_MASK = {"mask": ("mask", 1.0)}
_BIG_MASK = {"mask": ("big mask", 1.0)}
_WORDS = {"prompt": "#1e90ff"}
_DRAWN = {"changes": [{"mask_url": "data:,"}] * 16}
CASES = (
    Case("/eraser", {}, _MASK),
    Case("/eraser", {}, _BIG_MASK, "big mask"),
    Case("/background/remove"),
    Case("/background/replace", {"bg_prompt": "#ff0000", "num_results": 4}),
    Case("/background/replace", {"bg_prompt": "#ff0000", "original_quality": True}, {}, "original"),
    Case("/erase_foreground"),
    Case("/background/blur"),
    Case("/image_expansion", {"aspect_ratio": "16:9"}),
    Case("/image/increase_resolution", {"desired_increase": 2}),
    Case("/image/increase_resolution", {"desired_increase": 4}, {}, "x 4"),
    Case("/enhance_image"),
    Case("/{visual_id}/image_to_psd"),
    Case("/crop"),
    Case("/product/lifestyle_shot_by_text", {"scene_description": "#ff0000"}),
    Case(
        "/product/lifestyle_shot_by_text",
        {"scene_description": "#ff0000", "placement_type": "automatic", "num_results": 8},
        {},
        "80 results",
    ),
    Case("/objects/mask_generator"),
    Case(
        "/{visual_id}/objects/remove", _DRAWN, {f"mask {n}": ("mask", 1.0) for n in range(16)}, "16"
    ),
    Case("/product/cutout"),
    Case("/product/packshot"),
    Case("/product/shadow"),
    Case("/product/shadow", {"type": "float"}, {}, "float"),
    Case("/{visual_id}/increase_resolution"),
    Case("/{visual_id}/blur_bg"),
    Case("/v2/image/edit/erase", {}, _MASK),
    Case("/v2/image/edit/remove_background"),
    Case("/v2/image/edit/replace_background", _WORDS),
    Case("/v2/image/edit/erase_foreground"),
    Case("/v2/image/edit/blur_background", {"scale": 3}),
    Case("/v2/image/edit/expand", {"aspect_ratio": "16:9"}),
    Case("/v2/image/edit/increase_resolution"),
    Case("/v2/image/edit/crop_foreground"),
    Case("/v2/image/edit/enhance"),
    Case("/v2/image/segment/all_masks"),
    Case("/v2/image/edit/product/cutout", {"sku": "SKU-1"}),
)


@dataclass(frozen=True)
class Measured:
    """What a request took: bytes at the peak and processor seconds, beside what was estimated."""

    name: str
    kind: str
    pixels: int
    memory: int
    seconds: float
    expected: Cost


class Measurer:
    """Runs cases one after another in this process, with the models of a pool.

    folder: for results and records.
    """

    def __init__(self, pool: Models, folder: Path) -> None:
        self._stores = open_stores(folder)
        records = Records(database_url(f"sqlite:///{folder}/records.db"))
        results, limits = self._stores.results, unlimited(records.engine)
        self._visuals = Visuals(records, self._stores.visuals, results, limits)
        self._executor = JobExecutor(
            pool, results, self._visuals, 0.8, "lite", Durations(), {}, limits
        )

    def run(self, case: Case, pixels: int, kind: str) -> Measured:
        """Return what a case takes with an image of about `pixels` pixels."""
        job = self._job(case, pixels, kind)
        release_memory()
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")
        started = time.process_time()
        self._executor.store(self._executor.perform(job))
        seconds = time.process_time() - started
        memory = resident("VmHWM") - before
        for key in job.keys:
            self._stores.results.delete(key)
        image = job.pictures["image"].probe
        expected = estimate(job.operation, job.body, job.pictures)
        held = sum(len(encoded.data) for encoded in job.pictures.values())
        size = image.width * image.height
        return Measured(case.name, kind, size, memory + held, seconds, expected)

    def _job(self, case: Case, pixels: int, kind: str) -> Job:
        operation = BY_KEY[case.key]
        pictures = {"image": encoded(kind, pixels)}
        for name, (other, share) in case.pictures.items():
            pictures[name] = encoded(other, round(pixels * share), name.startswith("mask"))
        fields = {name: "measured" for name in operation.in_path}
        body = operation.body.model_validate({**fields, **case.fields})
        visual_id = ""
        if operation.of_visual or operation.registers:
            visual_id, _ = self._visuals.register(ORGANISATION, pictures["image"])
        extension = result_extension(None, operation, body, pictures["image"])
        keys = [
            f"{ORGANISATION}/{time.time_ns()}-{n}.{extension}"
            for n in range(_count(operation, body))
        ]
        sid = self._visuals.new_sid() if operation.makes_sid else ""
        return Job(operation, ORGANISATION, body, pictures, keys, visual_id, sid)


def _count(operation: Operation[Any], body: Any) -> int:
    return operation.count(body)


def resident(name: str = "VmRSS") -> int:
    """Return a line of /proc/self/status in bytes."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found, name  # noqa: S101 - Linux always has it
    return int(found[1]) * 1024


def release_memory() -> None:
    """Return free memory of glibc's malloc to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def measure(
    names: Sequence[str], pixels: Sequence[int], kinds: Sequence[str], measurer: Measurer
) -> Iterator[Measured]:
    """Yield what each case takes whose name holds one of `names`; all without names."""
    for size in pixels:
        for kind in kinds:
            for case in CASES:
                if not names or any(name in case.name for name in names):
                    yield measurer.run(case, size, kind)
            encoded.cache_clear()


def measure_alone(name: str, pixels: int, kind: str, weights: Path) -> Measured:
    """Return what the case of a name takes once its models are loaded; call it in a process of its own.

    weights: the folder of the weights.
    """
    case = next(case for case in CASES if case.name == name)
    measurer = _measurer(weights)
    measurer.run(case, _MEGA // 20, kind)
    return measurer.run(case, pixels, kind)


@cache
def _measurer(weights: Path) -> Measurer:
    """Return the measurer of this process; its folder is removed when the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Measurer(_engine(weights), Path(folder.name))


def _engine(weights: Path) -> LocalEngine:
    bound_memory(1)
    cv2.setNumThreads(1)
    return LocalEngine(Pool.for_profile("lite", weights, threads=1))


def run(minutes: float) -> list[str]:
    """Measure the cases at 1 and 12 megapixels while the time lasts; an estimate below the peak is a finding."""
    until = time.monotonic() + 60 * minutes
    findings = []
    for one in _prepared((), [_MEGA, 12 * _MEGA], ["opaque", "alpha"]):
        _print(one)
        if one.expected.memory < one.memory:
            findings.append(
                f"{one.name} ({one.kind}, {one.pixels} pixels) takes more than estimated"
            )
        if time.monotonic() > until:
            print("the time is over before the last case", flush=True)
            break
    return findings


def main() -> None:
    """Print a table of the cases that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--pixels", default="1,12", help="megapixels of the image")
    parser.add_argument("--kinds", default="opaque")
    arguments = parser.parse_args()
    pixels = [round(float(size) * _MEGA) for size in arguments.pixels.split(",")]
    for one in _prepared(arguments.names, pixels, arguments.kinds.split(",")):
        _print(one)


def _prepared(
    names: Sequence[str], pixels: Sequence[int], kinds: Sequence[str]
) -> Iterator[Measured]:
    """Load the models of `lite`, run each case once on a small picture, and yield what the cases take."""
    engine = _engine(Path(os.environ.get("RETOUCH_DATA_DIR", "data")) / "weights")
    engine.warm_up()
    print(
        f"{'operation':58} {'kind':11} {'MP':>5} {'MiB':>6} {'estimate':>8} {'ratio':>5} {'s':>6} {'estimate':>8}"
    )
    with tempfile.TemporaryDirectory() as folder:
        measurer = Measurer(engine, Path(folder))
        for case in CASES:
            if not names or any(name in case.name for name in names):
                measurer.run(case, _MEGA // 10, "opaque")
        yield from measure(names, pixels, kinds, measurer)


def _print(one: Measured) -> None:
    memory, expected = one.memory / 2**20, one.expected.memory / 2**20
    print(
        f"{one.name:58} {one.kind:11} {one.pixels / _MEGA:5.1f} {memory:6.0f} {expected:8.0f}"
        f" {expected / memory:5.2f} {one.seconds:6.2f} {one.expected.seconds:8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
