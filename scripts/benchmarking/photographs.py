"""The photographs of the benchmark: the samples at a given size, or the user's own."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SMALL_SUBJECT = "small subject"
UNSURE = "chelsea"
"""The sample about which u2netp is unsure, so that `lite` asks it twice: the cat's face fills the frame."""
_QUALITY = 92
_SMALL = 0.3
"""Side of the subject of `small_subject`, as a share of the side of the picture."""
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Photograph:
    """A photograph; `jpeg` returns it at any size."""

    name: str
    image: Image.Image

    def at(self, megapixels: float) -> Image.Image:
        """Return it at a size, with the grain of the original, which enlarging would remove."""
        width = round((megapixels * 1e6 * self.image.width / self.image.height) ** 0.5)
        height = round(megapixels * 1e6 / width)
        large = self.image.resize((width, height), Image.Resampling.LANCZOS)
        if width <= self.image.width:
            return large
        return _grained(large, _grain(self.image))

    def jpeg(self, megapixels: float) -> bytes:
        """Return it as JPEG."""
        return encoded(self.at(megapixels), "JPEG", quality=_QUALITY)


def sample_photographs(folder: Path) -> list[Photograph]:
    """Return those in `docs/photos`, and one more with a small subject."""
    photos = [_read(folder / f"{name}.jpg") for name in ("astronaut", "chelsea", "coffee")]
    return [*photos, small_subject(photos[0], photos[1])]


def own_photographs(folder: Path) -> list[Photograph]:
    """Return every picture of a folder; raises ValueError if there is none."""
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}
    ]
    if not files:
        raise ValueError(f"{folder} holds no photograph")
    return [_read(file) for file in files]


def small_subject(subject: Photograph, surroundings: Photograph) -> Photograph:
    """Return one photograph, small, on the blurred other one."""
    canvas = surroundings.image.resize((900, 600)).filter(ImageFilter.GaussianBlur(40))
    side = round(_SMALL * canvas.height)
    canvas.paste(subject.image.resize((side, side)), (canvas.width // 2, canvas.height // 2))
    return Photograph(SMALL_SUBJECT, canvas)


def square(photo: Photograph, side: int) -> tuple[bytes, bytes]:
    """Return a square PNG and the PNG of a mask with a hole in its middle, 4 % of the area."""
    picture = photo.at(2 * side * side / 1e6).resize((side, side))
    mask = Image.new("L", (side, side))
    hole = side // 5
    mask.paste(255, (2 * hole, 2 * hole, 3 * hole, 3 * hole))
    return encoded(picture, "PNG"), encoded(mask, "PNG")


def mask_for(jpeg: bytes) -> bytes:
    """Return a mask of a picture's size with a hole in its middle, 4 % of the area."""
    with Image.open(BytesIO(jpeg)) as image:
        width, height = image.size
    mask = Image.new("L", (width, height))
    mask.paste(255, (2 * width // 5, 2 * height // 5, 3 * width // 5, 3 * height // 5))
    return encoded(mask, "PNG")


def encoded(image: Image.Image, format: str, **options: int) -> bytes:
    """Encode with Pillow."""
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def _read(file: Path) -> Photograph:
    with Image.open(file) as image:
        return Photograph(file.stem, image.convert("RGB"))


def _grain(image: Image.Image) -> NDArray[np.int16]:
    """Return the detail that a blur removes, -255..255, mirrored so that it can be tiled."""
    soft = image.filter(ImageFilter.GaussianBlur(2))
    grain = np.asarray(image, np.int16) - np.asarray(soft, np.int16)
    grain = np.concatenate([grain, grain[::-1]])
    return np.concatenate([grain, grain[:, ::-1]], 1)


def _grained(image: Image.Image, grain: NDArray[np.int16]) -> Image.Image:
    rows = -(-image.height // grain.shape[0])
    columns = -(-image.width // grain.shape[1])
    tiled = np.tile(grain // 2, (rows, columns, 1))[: image.height, : image.width]
    return Image.fromarray((np.asarray(image, np.int16) + tiled).clip(0, 255).astype(np.uint8))
