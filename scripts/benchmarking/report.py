"""The tables and the plot of the benchmark."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarking.load import Cost, quantile
from scripts.benchmarking.servers import MIB

OURS = "Retouch"
Row = tuple[str, int]
"""Picture, number of callers."""


@dataclass
class Findings:
    """All measurements.

    remove: by picture and callers, then by server. photographs: by photograph and size, of ours and
    of plain inference. eraser: as remove. routes: of ours. growth: of ours by megapixels. soak: the text
    of `--soak`.
    """

    remove: dict[Row, dict[str, Cost]] = field(default_factory=dict)
    photographs: dict[tuple[str, str], tuple[Cost, list[float]]] = field(default_factory=dict)
    eraser: dict[Row, dict[str, Cost]] = field(default_factory=dict)
    routes: dict[str, Cost] = field(default_factory=dict)
    growth: dict[float, Cost] = field(default_factory=dict)
    soak: str = ""


def report(found: Findings, rounds: int) -> str:
    """Return everything as Markdown."""
    parts = [_machine(rounds)]
    if found.remove:
        parts += [
            "### background/remove compared with rembg, the same u2netp file",
            _versus(found.remove),
        ]
        parts += _health(found.remove)
    if found.photographs:
        parts += [
            "### Processor time compared with bare inference",
            _photographs(found.photographs),
        ]
    if found.eraser:
        parts += ["### eraser compared with IOPaint, an equal fill", _versus(found.eraser)]
    if found.routes:
        parts += ["### Every other route, one caller", _routes(found.routes)]
    if found.growth:
        parts += ["### background/remove by picture size, one caller", _growth(found.growth)]
    if found.soak:
        parts += ["### Memory under load", found.soak]
    return "\n\n".join(parts)


def _machine(rounds: int) -> str:
    return (
        f"Measured on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()};"
        f" servers in turn, {rounds} rounds. Requests as JPEG (quality 92) or PNG over HTTP on loopback;"
        " ours with a token; its result is stored on disk and fetched by its signed link, and the time"
        " includes that. CPU and memory are those of the server's whole process tree."
    )


def _versus(cells: Mapping[Row, Mapping[str, Cost]]) -> str:
    lines = [
        "| picture | callers | server | requests/s | p50, s | p95, s | CPU, s/request | peak, MiB"
        " | requests/s, ours to theirs | p50, ours to theirs | CPU, ours to theirs |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (picture, callers), by_server in cells.items():
        ours = by_server[OURS]
        for name, cost in by_server.items():
            line = f"| {picture} | {callers} | {name} | {cost.rate:.2f} | {_times(cost)} |"
            if name == OURS:
                lines.append(f"{line} | | |")
                continue
            halved = quantile(ours.seconds, 0.5) / quantile(cost.seconds, 0.5)
            cheaper = ours.cpu_each / cost.cpu_each
            lines.append(f"{line} {ours.rate / cost.rate:.2f} | {halved:.2f} | {cheaper:.2f} |")
    return "\n".join(lines)


def _times(cost: Cost) -> str:
    p50, p95 = (quantile(cost.seconds, share) for share in (0.5, 0.95))
    return f"{p50:.2f} | {p95:.2f} | {cost.cpu_each:.3f} | {cost.peak / MIB:.0f}"


def _health(cells: Mapping[Row, Mapping[str, Cost]]) -> list[str]:
    """Return the times of /healthz under the largest number of callers."""
    lines = []
    for (picture, callers), by_server in cells.items():
        if health := by_server[OURS].health:
            p99 = quantile(health, 0.99) * 1000
            lines.append(
                f"/healthz during this, {picture}, {callers} callers: p99 {p99:.0f} ms"
                f" ({len(health)} calls)."
            )
    return ["\n".join(lines)] if lines else []


def _photographs(cells: Mapping[tuple[str, str], tuple[Cost, list[float]]]) -> str:
    lines = [
        "| photograph | picture | ours, CPU s | decode and bare inference, CPU s | ratio |",
        "|---|---|---|---|---|",
    ]
    for (name, picture), (cost, floor) in cells.items():
        bare = quantile(floor, 0.5)
        lines.append(
            f"| {name} | {picture} | {cost.cpu_each:.3f} | {bare:.3f} | {cost.cpu_each / bare:.2f} |"
        )
    return "\n".join(lines)


def _routes(cells: Mapping[str, Cost]) -> str:
    lines = ["| route | p50, s | CPU, s | peak, MiB |", "|---|---|---|---|"]
    for route, cost in cells.items():
        p50 = quantile(cost.seconds, 0.5)
        lines.append(f"| {route} | {p50:.2f} | {cost.cpu_each:.2f} | {cost.peak / MIB:.0f} |")
    return "\n".join(lines)


def _growth(cells: Mapping[float, Cost]) -> str:
    lines = ["| megapixels | p50, s | CPU, s | peak, MiB |", "|---|---|---|---|"]
    for megapixels, cost in cells.items():
        p50 = quantile(cost.seconds, 0.5)
        lines.append(
            f"| {megapixels:g} | {p50:.2f} | {cost.cpu_each:.2f} | {cost.peak / MIB:.0f} |"
        )
    return "\n".join(lines)


def plot(found: Findings, file: Path) -> None:
    """Draw requests per second and p50 over the callers, for each picture and server."""
    from matplotlib.figure import Figure

    pictures = list(dict.fromkeys(picture for picture, _ in found.remove))
    figure = Figure(figsize=(9, 3.4 * len(pictures)), layout="constrained")
    axes = figure.subplots(len(pictures), 2, squeeze=False)
    for line, picture in zip(axes, pictures, strict=True):
        callers = [count for name, count in found.remove if name == picture]
        for server in found.remove[picture, callers[0]]:
            costs = [found.remove[picture, count][server] for count in callers]
            line[0].plot(callers, [cost.rate for cost in costs], "o-", label=server)
            line[1].plot(callers, [quantile(c.seconds, 0.5) for c in costs], "o-", label=server)
        for axis, what in zip(line, ("requests per second", "p50, seconds"), strict=True):
            axis.set(title=f"background/remove, {picture}", xlabel="callers at once", ylabel=what)
            axis.set_ylim(bottom=0)
            axis.legend()
    figure.savefig(file, format="svg", metadata={"Date": None})


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of (seconds, bytes), as a share of the mean per hour."""
    count = len(samples)
    mean_t = sum(t for t, _ in samples) / count
    mean_m = sum(m for _, m in samples) / count
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    slope = sum((t - mean_t) * (m - mean_m) for t, m in samples) / spread
    return slope * 3600 / mean_m
