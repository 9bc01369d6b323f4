"""The page and the JSON of `retouch parity`: every request, its differences, and the results side by side."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from retouch.parity.comparing import NONE, Comparison, ResultPair, described
from retouch.parity.observing import Observation
from retouch.parity.pictures import thumbnail

PAGE, DATA, PICTURES = "parity.html", "parity.json", "pictures"
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1rem }
td, th { border: 1px solid #cfcfcf; padding: .25rem .6rem; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere }
.breaks { color: #a30000; font-weight: 600 } .equal { color: #17601f }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 340px }
"""


@dataclass(frozen=True)
class Report:
    """All comparisons. bases: the addresses. began: the date and time, in UTC."""

    bases: tuple[str, str]
    began: str
    comparisons: Sequence[Comparison]

    @property
    def breaking(self) -> list[Comparison]:
        """Those with a difference of the contract."""
        return [one for one in self.comparisons if one.breaks_contract]

    @property
    def not_compared(self) -> list[Comparison]:
        """Those to which a server did not answer."""
        return [one for one in self.comparisons if not one.is_compared]

    def summary(self) -> str:
        """Return the outcome in one line."""
        equal = len(self.comparisons) - len(self.breaking) - len(self.not_compared)
        parts = [
            f"{len(self.comparisons)} requests to each: {equal} with the same contract",
            f"{len(self.breaking)} with another",
            f"{len(self.not_compared)} not compared",
        ]
        return ", ".join(parts)


def save_thumbnails(folder: Path, number: int, pairs: Sequence[ResultPair]) -> None:
    """Write small pictures of the results of a request into a folder."""
    for index, pair in enumerate(pairs):
        for side, found in zip("ab", pair.looks, strict=True):
            if found is not None and found.picture is not None:
                thumbnail(found.picture).save(folder / PICTURES / _name(number, index, side))


def write(folder: Path, report: Report, hide: Callable[[str], str]) -> None:
    """Write the page and the JSON. hide: replaces what must not be in them."""
    data = json.dumps(_data(report), indent=1, ensure_ascii=False)
    for name, text in ((PAGE, _page(report)), (DATA, f"{data}\n")):
        # Half a character, as a server that cuts a text within one sends it, has no form in UTF-8.
        (folder / name).write_text(hide(text), encoding="utf-8", errors="backslashreplace")


def _name(number: int, index: int, side: str) -> str:
    return f"{number:03}-{index + 1}-{side}.png"


def _data(report: Report) -> dict[str, Any]:
    return {
        "bases": list(report.bases),
        "began": report.began,
        "requests": len(report.comparisons),
        "breaking_the_contract": len(report.breaking),
        "not_compared": len(report.not_compared),
        "comparisons": [_comparison(one) for one in report.comparisons],
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    pairs = [
        {
            "results": [described(found) for found in pair.looks],
            "pixels": asdict(pair.pixels) if pair.pixels else None,
        }
        for pair in one.pairs
    ]
    answers = [
        {name: value for name, value in vars(seen).items() if name != "results"}
        for seen in one.observations
    ]
    return {
        "request": one.case.name,
        "operation": one.case.operation,
        "is_compared": one.is_compared,
        "breaks_contract": one.breaks_contract,
        "differences": [asdict(difference) for difference in one.differences],
        "answers": answers,
        "pairs": pairs,
    }


def _page(report: Report) -> str:
    first, second = map(escape, report.bases)
    rows = "\n".join(_row(number, one) for number, one in enumerate(report.comparisons))
    parts = "\n".join(_section(number, one) for number, one in enumerate(report.comparisons))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Comparison of two servers</title>
<style>{_STYLE}</style></head><body>
<h1>Comparison of two servers</h1>
<p>A: {first}<br>B: {second}<br>{escape(report.began)} UTC</p>
<p>{escape(report.summary())}.</p>
<table><tr><th>request</th><th>contract</th><th>A: status, seconds</th><th>B: status, seconds</th>
<th>mean pixel difference</th><th>alpha IoU</th></tr>
{rows}
</table>
{parts}
</body></html>
"""


def _row(number: int, one: Comparison) -> str:
    verdict, style = _verdict(one)
    pixels = [pair.pixels for pair in one.pairs if pair.pixels]
    means = ", ".join(f"{each.mean:.2f}" for each in pixels)
    ious = ", ".join(f"{each.alpha_iou:.3f}" for each in pixels if each.alpha_iou is not None)
    cells = [
        f'<a href="#r{number}">{escape(one.case.name)}</a>',
        f'<span class="{style}">{verdict}</span>',
        *(escape(_timed(seen)) for seen in one.observations),
        means,
        ious,
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _verdict(one: Comparison) -> tuple[str, str]:
    if not one.is_compared:
        return "not compared", "breaks"
    return ("differs", "breaks") if one.breaks_contract else ("the same", "equal")


def _timed(seen: Observation) -> str:
    times = [
        f"{word} {seconds:.2f}"
        for word, seconds in (("answer", seen.answered_s), ("result", seen.finished_s))
        if seconds is not None
    ]
    busy = [f"429 {seen.busy} times"] * bool(seen.busy)
    return ", ".join([str(seen.status or NONE), *times, *busy])


def _section(number: int, one: Comparison) -> str:
    told = "\n".join(_difference(each) for each in one.differences) if one.differences else ""
    table = f"<table><tr><th></th><th>A</th><th>B</th></tr>{told}</table>" if told else ""
    return "\n".join(
        [
            f'<h2 id="r{number}">{escape(one.case.name)}</h2>',
            table or "<p>No difference but pixels and times.</p>",
            *_figures(number, one.pairs),
        ]
    )


def _difference(each: Any) -> str:
    style = ' class="breaks"' if each.is_contract else ""
    cells = "".join(f"<td>{escape(text)}</td>" for text in each.texts)
    return f"<tr><th{style}>{escape(each.what)}</th>{cells}</tr>"


def _figures(number: int, pairs: Sequence[ResultPair]) -> Iterator[str]:
    for index, pair in enumerate(pairs):
        for side, found in zip("ab", pair.looks, strict=True):
            if found is None:
                continue
            caption = f"<figcaption>{side.upper()}: {escape(described(found))}</figcaption>"
            name = f"{PICTURES}/{_name(number, index, side)}"
            picture = f'<img src="{name}" alt="Result {index + 1} of {side.upper()}">'
            yield f"<figure>{picture if found.is_decoded else ''}{caption}</figure>"
