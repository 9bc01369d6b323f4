"""Compose: colours free of the old background, exact blending."""

import numpy as np

from imaging.compositing import cut_out, over, visible_share
from imaging.picture import Alpha8, Picture


def soft_disc(height: int = 300, width: int = 400, softness: float = 20) -> Alpha8:
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    return np.rint(255 * np.clip((90 - distance) / softness + 0.5, 0, 1)).astype(np.uint8)


def test_blending_is_rounded_to_nearest_for_every_alpha_and_value() -> None:
    alpha = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
    front = np.dstack([alpha.T] * 3)
    for value in (0, 1, 127, 254, 255):
        back = np.full_like(front, value)
        a = alpha[..., None].astype(int)
        exact = (2 * (a * front + (255 - a) * back) + 255) // 510
        assert np.array_equal(over(front, alpha, back), exact)


def test_share_of_a_subject_in_what_is_visible() -> None:
    alpha = np.array([[0, 64, 128, 128, 0]], np.uint8)
    own = np.array([[255, 128, 128, 255, 0]], np.uint8)
    assert visible_share(alpha, own).tolist() == [[0, 128, 255, 128, 0]]
    assert visible_share(alpha, None) is alpha


def test_cut_out_by_the_pictures_own_alpha_keeps_its_visible_colours() -> None:
    alpha = soft_disc()
    rgb = np.random.default_rng(3).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    result = cut_out(Picture(rgb, alpha), alpha)
    assert np.array_equal(result.rgb[alpha > 0], rgb[alpha > 0])
