"""Shows pictures with transparent parts: on squares of white and light grey, as editors do."""

from PIL import Image

_SQUARE = 16
"""Side of a square in pixels."""
_GREY = 216


def on_chequerboard(image: Image.Image) -> Image.Image:
    """Return a picture in RGB; where it is transparent, squares of white and grey show."""
    shown = image.convert("RGBA")
    columns, rows = (-(-side // _SQUARE) for side in shown.size)
    squares = Image.new("L", (columns, rows))
    squares.putdata([_GREY if (x + y) % 2 else 255 for y in range(rows) for x in range(columns)])
    board = squares.resize((columns * _SQUARE, rows * _SQUARE), Image.Resampling.NEAREST)
    ground = board.crop((0, 0, *shown.size)).convert("RGBA")
    return Image.alpha_composite(ground, shown).convert("RGB")
