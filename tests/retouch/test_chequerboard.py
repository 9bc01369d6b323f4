"""Pictures on a chequerboard."""

import numpy as np
import pytest
from PIL import Image

from retouch.chequerboard import on_chequerboard


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (40, 33)])
def test_what_is_transparent_shows_squares_of_both_colours(size: tuple[int, int]) -> None:
    shown = on_chequerboard(Image.new("RGBA", size, (255, 0, 0, 0)))
    pixels = np.asarray(shown)
    assert (shown.mode, shown.size) == ("RGB", size)
    rows, columns = np.indices(pixels.shape[:2]) // 16
    assert (pixels == np.where((rows + columns) % 2, 216, 255)[..., None]).all()


def test_an_opaque_picture_stays_as_it_is() -> None:
    sent = Image.new("RGB", (20, 30), (1, 2, 3))
    assert on_chequerboard(sent).tobytes() == sent.tobytes()
