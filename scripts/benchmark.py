"""Compares this server with rembg's, IOPaint's and plain onnxruntime; writes docs/performance.md."""

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from scripts.benchmarking.contestants import (
    ROOT,
    Installation,
    ask_iopaint,
    ask_rembg,
    ask_retouch,
)
from scripts.benchmarking.load import Cost, Request, drive
from scripts.benchmarking.photographs import (
    SMALL_SUBJECT,
    UNSURE,
    Photograph,
    mask_for,
    own_photographs,
    sample_photographs,
    square,
)
from scripts.benchmarking.report import OURS, Findings, plot, report, slope_per_hour
from scripts.benchmarking.servers import MIB, Server
from scripts.pages import between_markers

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "benchmark.svg"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
SECTIONS = ("remove", "photographs", "eraser", "routes", "growth")
_LEAST_REQUESTS = {2: 8, 12: 6}
"""The least number of requests of one measurement, by megapixels; never fewer than callers."""
_OTHER_ROUTES = {
    "background/blur": {},
    "background/replace": {"bg_prompt": "#c8d8e8", "num_results": "1"},
    "crop": {},
    "eraser": {"mask_file": "mask"},
    "erase_foreground": {},
    "image_expansion": {"canvas_size": "wider"},
    "objects/mask_generator": {},
    "image/increase_resolution?desired_increase=2": {},
}
_SOAK_CALLERS = 16
_MIN_SAMPLES = 3
"""The least number of memory samples for a slope."""
_SMALL_ROUTES = {"image/increase_resolution?desired_increase=2": 0.25}
"""Routes that are measured with smaller pictures, in megapixels: with 2 they take minutes."""


@dataclass(frozen=True)
class Plan:
    """The extent of a run."""

    sizes: tuple[int, ...] = (2, 12)
    callers: tuple[int, ...] = (1, 4, 8, 16)
    rounds: int = 2
    growth: tuple[float, ...] = (0.5, 2, 5, 12, 25, 50)
    peers: bool = True


QUICK = Plan(sizes=(2,), callers=(1, 2), rounds=1, growth=(0.5,))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; writes only with --into")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, help="only these sections")
    parser.add_argument("--alone", action="store_true", help="measure only this server")
    parser.add_argument("--rounds", type=int, help="rounds of each server (default: 2)")
    parser.add_argument("--photos", type=Path, help="folder with your own photographs")
    parser.add_argument(
        "--soak", type=float, default=0, metavar="MINUTES", help="also measure memory under load"
    )
    parser.add_argument("--into", type=Path, help="page to write into")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs this server")
    parser.add_argument("--weights", type=Path, default=ROOT / "data" / "weights")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "benchmark")
    chosen = parser.parse_args(arguments)
    page = chosen.into or (None if chosen.quick or chosen.only is not None else PAGE)
    if page is not None:
        try:  # fail now, not after minutes of measuring
            between_markers(page.read_text(), "", BEGIN, END)
        except (OSError, ValueError) as error:
            parser.error(f"{page}: {error}")
    base = QUICK if chosen.quick else Plan()
    rounds = chosen.rounds or base.rounds
    plan = Plan(base.sizes, base.callers, rounds, base.growth, not chosen.alone)
    photos = (
        own_photographs(chosen.photos)
        if chosen.photos
        else sample_photographs(ROOT / "docs" / "photos")
    )
    installation = Installation(chosen.folder, chosen.python, chosen.weights.absolute())
    found = Findings()
    for section in SECTIONS if chosen.only is None else chosen.only:
        print(f"{section} ...", file=sys.stderr, flush=True)
        _MEASURES[section](found, plan, installation, photos)
    if chosen.soak:
        found.soak = soak(installation, photos, plan.sizes, chosen.soak * 60)
    text = report(found, rounds)
    print(text)
    if page is not None:
        page.write_text(between_markers(page.read_text(), text, BEGIN, END))
    if page == PAGE:
        plot(found, PLOT)
    return 0


def measure_remove(
    found: Findings, plan: Plan, installation: Installation, photos: Sequence[Photograph]
) -> None:
    """Measure background removal by ours and rembg in turns; both are restarted for each row.

    A photograph about which the network is unsure has rows of its own.
    """
    unsure = [photo for photo in photos if photo.name == UNSURE]
    ordinary = [photo for photo in photos if photo.name not in {SMALL_SUBJECT, UNSURE}]
    rows = (("", ordinary), (", unsure photograph", unsure))
    for size, (label, group) in product(plan.sizes, [row for row in rows if row[1]]):
        jpegs = [photo.jpeg(size) for photo in group]
        with contextlib.ExitStack() as stack:
            requests_to = {
                stack.enter_context(installation.retouch()): [
                    ask_retouch("background/remove", jpeg) for jpeg in jpegs
                ]
            }
            if plan.peers:
                requests_to[stack.enter_context(installation.rembg())] = [
                    ask_rembg(jpeg) for jpeg in jpegs
                ]
            _by_turns(found.remove, f"{size} MP{label}", requests_to, plan, _LEAST_REQUESTS[size])


def measure_photographs(
    found: Findings, plan: Plan, installation: Installation, photos: Sequence[Photograph]
) -> None:
    """Measure the processor time of each photograph, and of plain inference with decoding, in turns."""
    count = 1 if plan.rounds == 1 else 4
    with installation.retouch() as server, tempfile.TemporaryDirectory() as folder:
        for size in plan.sizes:
            for photo in photos:
                jpeg = photo.jpeg(size)
                file = Path(folder) / "photo.jpg"
                file.write_bytes(jpeg)
                request = ask_retouch("background/remove", jpeg)
                drive(server, [request], 1)
                cost, floor = Cost(), list[float]()
                for _ in range(plan.rounds):
                    cost.add(drive(server, [request] * count, 1))
                    floor.append(_bare(installation, file, count))
                found.photographs[photo.name, f"{size} MP"] = cost, floor


def measure_eraser(
    found: Findings, plan: Plan, installation: Installation, photos: Sequence[Photograph]
) -> None:
    """Measure the eraser at 1024 x 1024 as PNG, with OpenCV's fill in both servers."""
    pictures = [square(photo, 1024) for photo in photos[:3]]
    with contextlib.ExitStack() as stack:
        requests_to = {
            stack.enter_context(installation.retouch(equal_fill=True)): [
                ask_retouch("eraser", picture, mask_file=mask) for picture, mask in pictures
            ]
        }
        if plan.peers:
            requests_to[stack.enter_context(installation.iopaint())] = [
                ask_iopaint(picture, mask) for picture, mask in pictures
            ]
        _by_turns(found.eraser, "1024x1024 PNG", requests_to, plan, 12, plan.callers[:2])


def measure_routes(
    found: Findings, plan: Plan, installation: Installation, photos: Sequence[Photograph]
) -> None:
    """Measure every other route of profile `lite` with one caller."""
    with installation.retouch() as server:
        for route, fields in _OTHER_ROUTES.items():
            size = _SMALL_ROUTES.get(route, 0.25 if plan.rounds == 1 else 2)
            requests = [_filled(route, photo.jpeg(size), fields) for photo in photos[:3]]
            name = f"{route.partition('?')[0]}, {size:g} MP"
            found.routes[name] = drive(server, requests[: 3 if plan.rounds > 1 else 1], 1)


def measure_growth(
    found: Findings, plan: Plan, installation: Installation, photos: Sequence[Photograph]
) -> None:
    """Measure background removal with small to large pictures."""
    for megapixels in plan.growth:
        request = ask_retouch("background/remove", photos[0].jpeg(megapixels))
        with installation.retouch() as server:
            drive(server, [request], 1)
            found.growth[megapixels] = drive(server, [request] * 3, 1)


_MEASURES = {
    "remove": measure_remove,
    "photographs": measure_photographs,
    "eraser": measure_eraser,
    "routes": measure_routes,
    "growth": measure_growth,
}


def soak(
    installation: Installation, photos: Sequence[Photograph], sizes: Sequence[int], seconds: float
) -> str:
    """Measure memory under 16 callers; return peak and slope, the first quarter of the time excluded."""
    requests = [
        ask_retouch("background/remove", photo.jpeg(size)) for photo in photos for size in sizes
    ]
    batch = requests * math.ceil(_SOAK_CALLERS / len(requests))
    warm: list[tuple[float, float]] = []
    peak = 0
    with installation.retouch() as server:
        start = time.monotonic()
        at = 0.0
        while at < seconds or len(warm) < _MIN_SAMPLES:
            peak = max(peak, drive(server, batch, _SOAK_CALLERS).peak)
            at = time.monotonic() - start
            if at > seconds / 4:
                warm.append((at, float(server.memory())))
    pictures = " and ".join(f"{size} MP" for size in sizes)
    return (
        f"{_SOAK_CALLERS} callers, {pictures}, for {seconds / 60:.0f} minutes: peak {peak / MIB:.0f} MiB;"
        f" between requests {slope_per_hour(warm):+.2%} an hour after the first quarter"
        f" ({len(warm)} samples)."
    )


def _by_turns(
    cells: dict[tuple[str, int], dict[str, Cost]],
    picture: str,
    requests_to: dict[Server, list[Request]],
    plan: Plan,
    least: int,
    callers: Sequence[int] = (),
) -> None:
    """Measure all servers on the same requests: one round each, then the next."""
    callers = callers or plan.callers
    for server, requests in requests_to.items():
        drive(server, requests, 1)  # loads models and buffers
        print(f"  {picture}: {server.name} is warm", file=sys.stderr, flush=True)
    for _ in range(plan.rounds):
        for count in callers:
            row = cells.setdefault((picture, count), {})
            number = max(least if plan.rounds > 1 else 1, count)
            for server, requests in requests_to.items():
                sent = [requests[index % len(requests)] for index in range(number)]
                probe = server.name == OURS and count == max(plan.callers)
                cost = drive(server, sent, count, probe=probe)
                row.setdefault(server.name, Cost()).add(cost)


def _bare(installation: Installation, file: Path, count: int) -> float:
    """Return processor seconds of decoding and plain inference."""
    module = "scripts.benchmarking.bare"
    command = [sys.executable, "-m", module, str(installation.weights / "u2netp.onnx"), str(count)]
    out = subprocess.run(  # noqa: S603 - this interpreter
        [*command, str(file)], cwd=ROOT, check=True, capture_output=True
    )
    return float(json.loads(out.stdout)[0])


def _filled(route: str, jpeg: bytes, fields: dict[str, str]) -> Request:
    """Return a request, with the fields that depend on the picture."""
    given: dict[str, bytes | str] = {"sync": "true", **fields}
    if "mask_file" in fields:
        given["mask_file"] = mask_for(jpeg)
    if "canvas_size" in fields:
        given["canvas_size"] = "[2000,1500]"
    return ask_retouch(route, jpeg, **given)


if __name__ == "__main__":
    sys.exit(main())
