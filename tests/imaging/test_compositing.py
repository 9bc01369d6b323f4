"""Compositing: exact blending, cut-outs without the old background, seams inside the hole."""

import numpy as np

from imaging.compositing import cut_out, flatten, over, paste, seam, visible_share
from imaging.picture import Picture
from tests.helpers.shapes import soft_disc


def test_blending_rounds_to_nearest_for_every_alpha_and_value() -> None:
    alpha = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
    front = np.dstack([alpha.T] * 3)
    for value in (0, 1, 127, 254, 255):
        back = np.full_like(front, value)
        a = alpha[..., None].astype(int)
        exact = (2 * (a * front + (255 - a) * back) + 255) // 510
        assert np.array_equal(over(front, alpha, back), exact)


def test_share_of_the_subject_in_the_visible_pixels() -> None:
    alpha = np.array([[0, 64, 128, 128, 0]], np.uint8)
    own = np.array([[255, 128, 128, 255, 0]], np.uint8)
    assert visible_share(alpha, own).tolist() == [[0, 128, 255, 128, 0]]
    assert visible_share(alpha, None) is alpha


def test_cut_out_by_alpha_has_the_visible_colours() -> None:
    alpha = soft_disc()
    rgb = np.random.default_rng(3).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    result = cut_out(Picture(rgb, alpha), alpha)
    assert np.array_equal(result.rgb[alpha > 0], rgb[alpha > 0])


def test_a_seam_is_inside_the_hole_and_not_at_the_border_of_the_picture() -> None:
    hole = np.zeros((200, 200), bool)
    hole[100:] = True
    weight = seam(hole)
    assert (weight[:100] == 0).all()
    assert (weight[105:] == 255).all()
    assert 0 < weight[100, 50] < 255


def test_blending_with_alpha_0_and_1_returns_the_inputs() -> None:
    rng = np.random.default_rng(2)
    old, new = rng.integers(0, 256, (2, 40, 50, 3), np.uint8)
    assert np.array_equal(over(new, np.zeros((40, 50), np.uint8), old), old)
    assert np.array_equal(over(new, np.full((40, 50), 255, np.uint8), old), new)


def test_a_hole_over_the_whole_picture_has_no_seam() -> None:
    assert (seam(np.ones((200, 300), bool)) == 255).all()


def test_a_picture_is_blended_over_one_colour() -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    alpha = soft_disc(30, 40)
    grey = flatten(rgb, alpha, 128)
    assert np.array_equal(grey, over(rgb, alpha, np.full_like(rgb, 128)))
    assert np.array_equal(
        flatten(rgb, alpha, (1, 2, 3)), over(rgb, alpha, np.full_like(rgb, (1, 2, 3)))
    )
    assert grey.flags.c_contiguous


def test_only_the_hole_gets_new_pixels_at_the_size_of_the_picture() -> None:
    rgb = np.random.default_rng(6).integers(0, 256, (300, 400, 3), np.uint8)
    before = rgb.copy()
    hole = np.zeros((300, 400), bool)
    hole[100:200, 100:250] = True
    result = paste(rgb, hole, np.s_[50:250, 80:300], np.full((64, 64, 3), 90, np.uint8))
    assert np.array_equal(rgb, before)
    assert np.array_equal(result[~hole], rgb[~hole])
    assert (result[105:195, 105:245] == 90).all()
