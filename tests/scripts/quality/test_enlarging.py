"""PSNR and SSIM rank enlarged pictures rightly."""

import cv2
import numpy as np
import pytest

from scripts.quality_measures.enlarging import (
    detail_strength,
    lanczos,
    middle,
    psnr,
    reduced,
    ssim,
)
from tests.scripts.quality.made_pictures import texture


def test_psnr_is_that_of_the_mean_squared_error() -> None:
    flat = np.full((20, 20, 3), 100, np.uint8)
    assert psnr(flat, flat) == float("inf")
    assert psnr(flat + np.uint8(5), flat) == pytest.approx(20 * np.log10(255 / 5))


def test_equal_pictures_are_alike_and_others_less() -> None:
    rgb = texture()
    assert ssim(rgb, rgb) == pytest.approx(1)
    assert ssim(cv2.GaussianBlur(rgb, (0, 0), 1), rgb) > ssim(cv2.GaussianBlur(rgb, (0, 0), 3), rgb)


def test_sharper_enlarging_ranks_before_blocks_and_blur() -> None:
    original = middle(texture(400, 500))
    small = reduced(original, None)
    blocks = np.kron(small, np.ones((2, 2, 1), np.uint8))
    blurred = cv2.GaussianBlur(lanczos(small), (0, 0), 3)
    assert lanczos(small).shape == original.shape
    assert psnr(lanczos(small), original) > psnr(blocks, original) > psnr(blurred, original)
    assert ssim(lanczos(small), original) > ssim(blurred, original)


def test_lower_qualities_are_further_from_the_original() -> None:
    original = middle(texture(400, 500))
    exact = reduced(original, None)
    found = [psnr(reduced(original, quality), exact) for quality in (90, 60, 30)]
    assert found == sorted(found, reverse=True)
    assert reduced(original, 30).shape == exact.shape


def test_a_blur_weakens_detail() -> None:
    rgb = texture()
    blurred = [cv2.GaussianBlur(rgb, (0, 0), sigma) for sigma in (1, 2)]
    strengths = [detail_strength(each) for each in (rgb, *blurred)]
    assert strengths == sorted(strengths, reverse=True)
    assert detail_strength(np.full((20, 20, 3), 9, np.uint8)) < 1e-5
