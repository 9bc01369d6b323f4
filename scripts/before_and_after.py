"""Draws the strip of the README: photographs above, what the server makes of them below.

`python -m scripts.before_and_after` reads docs/photos and docs/images, where the results of `scripts/smoke` are,
and writes docs/images/before-and-after.jpg.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

DOCS = Path(__file__).parents[1] / "docs"
STRIP = DOCS / "images" / "before-and-after.jpg"
CELL = (300, 240)
"""Width and height of a picture in the strip, in pixels."""
_GAP = 8
_TITLE = 30
_INK, _PAPER = "#24292f", "white"


@dataclass(frozen=True)
class Column:
    """A photograph and its result, as files below docs/, under a title.

    middle: which part of a high picture is shown, 0..1 from the top. is_whole: the result stands on white, so it
    is not cut.
    """

    title: str
    before: str
    after: str
    middle: float = 0.5
    is_whole: bool = False


COLUMNS = (
    Column("Remove the background", "photos/astronaut.jpg", "images/background_remove.jpg", 0.1),
    Column("Erase what a mask marks", "photos/astronaut.jpg", "images/eraser.jpg", 0.1),
    Column("Expand the canvas", "photos/coffee.jpg", "images/image_expansion.jpg"),
    Column("Make a packshot", "photos/coffee.jpg", "images/product_packshot.jpg", is_whole=True),
)


def strip() -> Image.Image:
    """Return the strip: one column for each edit, the photograph above its result."""
    width, height = CELL
    size = (len(COLUMNS) * (width + _GAP) - _GAP, _TITLE + 2 * height + _GAP)
    drawn = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(17)
    for index, column in enumerate(COLUMNS):
        left = index * (width + _GAP)
        draw.text((left + width / 2, _TITLE / 2), column.title, _INK, font, anchor="mm")
        drawn.paste(_filled(column.before, column.middle), (left, _TITLE))
        after = _padded(column.after) if column.is_whole else _filled(column.after, column.middle)
        drawn.paste(after, (left, _TITLE + height + _GAP))
    return drawn


def _filled(name: str, middle: float) -> Image.Image:
    """Return a picture that fills a cell; what is too high or too wide is cut."""
    with Image.open(DOCS / name) as image:
        return ImageOps.fit(image.convert("RGB"), CELL, centering=(0.5, middle))


def _padded(name: str) -> Image.Image:
    """Return a whole picture on the paper of a cell."""
    with Image.open(DOCS / name) as image:
        return ImageOps.pad(image.convert("RGB"), CELL, color=_PAPER)


if __name__ == "__main__":
    strip().save(STRIP, quality=88, optimize=True, progressive=True)
