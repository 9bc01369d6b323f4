"""Runs rembg on a folder of PNG files; runs in rembg's own environment and imports nothing of this project.

`python rembg_masks.py FROM TO` writes the alpha of each FROM/*.png to TO, by u2netp as rembg runs it by default.
"""

import sys
from pathlib import Path

from PIL import Image
from rembg import new_session, remove  # type: ignore[import-not-found]


def main() -> None:
    """Run every file of the folder."""
    source, target = map(Path, sys.argv[1:])
    session = new_session("u2netp")
    for file in sorted(source.glob("*.png")):
        with Image.open(file) as image:
            remove(image, session=session, only_mask=True).save(target / file.name)


if __name__ == "__main__":
    main()
