"""The strip of the README shows the pictures that are in docs."""

import numpy as np
from PIL import Image

from scripts.before_and_after import STRIP, strip


def test_the_strip_is_made_of_the_pictures_that_are_there() -> None:
    with Image.open(STRIP) as saved:
        before = np.asarray(saved.convert("RGB"), np.int16)
    now = np.asarray(strip(), np.int16)
    assert before.shape == now.shape
    # What JPEG changes; another picture in one cell differs by more than ten on average.
    assert np.abs(before - now).mean() < 3, "run python -m scripts.before_and_after"
