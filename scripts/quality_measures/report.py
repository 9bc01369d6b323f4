"""The page's table: what a run found, beside the state before and beside others, the report half first."""

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.quality_measures.figures import Figures
from scripts.quality_measures.photographs import Half

LEAST_RANKED = 0.95
"""The score of holes is shown only if it ranks at least this share of the bad fills last."""


@dataclass(frozen=True)
class Row:
    """A row: the values of a name; peer: the prefix of the same value by others; goal: what is aimed at."""

    name: str
    form: str = ".0f"
    peer: str = ""
    goal: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of one measure."""

    measure: str
    title: str
    rows: tuple[Row, ...]


_SOURCES = ("reduced", "JPEG 60", "JPEG 45", "JPEG 30")
TABLES = (
    Table(
        "matting",
        "Cut-outs of composites, beside rembg with the same weights",
        (
            Row("composites"),
            Row("mean alpha error", ".4f", "rembg: ", "at most 0.018"),
            Row("median alpha error", ".4f", "rembg: "),
            Row("IoU, mean", ".3f", "rembg: ", "at least 0.95"),
            Row("IoU, worst", ".2f", "rembg: ", "at least 0.75"),
            Row("see-through inside", ".1%", "rembg: ", "at most 1.5 %"),
        ),
    ),
    Table(
        "faces",
        "Faces",
        (
            Row("faces"),
            Row("found", goal="28 of 31"),
            Row("invented", goal="0"),
            Row("faces under 32 px"),
            Row("of these found"),
        ),
    ),
    Table(
        "masks",
        "Masks of single people and animals",
        (
            Row("people and animals"),
            Row("picked at 0.5 IoU"),
            Row("picked at 0.7 IoU"),
            Row("photographs"),
            Row("masks"),
        ),
    ),
    Table(
        "holes",
        "Filled holes, beside OpenCV's Telea",
        (
            Row("holes"),
            Row("faces or logos cloned", goal="0"),
            Row("bad fills ranked last", ".0%", goal="at least 95 %"),
            Row("score", ".2f", "Telea: "),
        ),
    ),
    Table(
        "enlarging",
        "Enlarging twice, beside Lanczos; and enhanced, beside enlarged alone",
        (
            Row("photographs"),
            *(Row(f"PSNR, {source}", ".2f", "Lanczos: ") for source in _SOURCES),
            *(Row(f"SSIM, {source}", ".4f", "Lanczos: ") for source in _SOURCES),
            Row("SSIM, enhanced", ".4f", "plain: "),
            Row("detail, enhanced", ".0%", "plain: "),
        ),
    ),
)


def report(now: Figures, before: Figures) -> str:
    """Return the tables of all measures that were run, as Markdown."""
    return "\n\n".join(
        "\n".join(_lines(table, now, before)) for table in TABLES if table.measure in now.of
    )


def _lines(table: Table, now: Figures, before: Figures) -> Iterator[str]:
    yield f"### {table.title}\n"
    yield "| | report: before | report: now | others | tune: before | tune: now | goal |"
    yield "|---|---|---|---|---|---|---|"
    for row in table.rows:
        if row.name == "score" and not _is_score_used(now):
            continue
        cells = (
            _cell(before, table, "report", row.name, row.form),
            _cell(now, table, "report", row.name, row.form),
            _cell(now, table, "report", f"{row.peer}{row.name}", row.form) if row.peer else "",
            _cell(before, table, "tune", row.name, row.form),
            _cell(now, table, "tune", row.name, row.form),
            row.goal,
        )
        yield f"| {row.name} | {' | '.join(cells)} |"


def _cell(figures: Figures, table: Table, half: Half, name: str, form: str) -> str:
    value = figures.get(table.measure, half, name)
    return "" if value is None else format(value, form)


def _is_score_used(now: Figures) -> bool:
    """Whether the score ranks enough of the bad fills last, on both halves that were measured."""
    shares = [values["bad fills ranked last"] for values in now.of.get("holes", {}).values()]
    return bool(shares) and min(shares) >= LEAST_RANKED
