"""JPEG blocks: strong compression is found in the pixels and undone in part; all else is untouched."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

import imaging.jpeg_blocks as jpeg_blocks
from imaging.files.decode import decode
from imaging.jpeg_blocks import remove_jpeg_blocks
from imaging.picture import Picture, Rgb

Photo = Callable[[str], Picture]


@pytest.fixture(params=["astronaut", "chelsea"])
def original(request: pytest.FixtureRequest, photo: Photo) -> Rgb:
    """A photograph at half its size, so that its own compression is gone."""
    rgb = photo(request.param).rgb
    return np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def compressed(rgb: Rgb, quality: int, subsampling: int = 0x221111) -> Rgb:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, subsampling]
    file = cv2.imencode(".jpg", rgb[..., ::-1], settings)[1]
    return decode(file.tobytes()).rgb


def psnr(rgb: Rgb, other: Rgb) -> float:
    return float(cv2.PSNR(np.ascontiguousarray(rgb), np.ascontiguousarray(other)))


@pytest.mark.parametrize("quality", [20, 30, 50, 70])
def test_a_strongly_compressed_picture_comes_nearer_to_its_original(
    original: Rgb, quality: int
) -> None:
    blocky = compressed(original, quality)
    assert psnr(remove_jpeg_blocks(blocky), original) > psnr(blocky, original) + 0.2


def test_colour_at_full_size_gains_too(original: Rgb) -> None:
    blocky = compressed(original, 40, 0x111111)
    assert psnr(remove_jpeg_blocks(blocky), original) > psnr(blocky, original) + 0.3


def test_steps_at_the_borders_of_blocks_shrink(original: Rgb) -> None:
    blocky = compressed(original, 20)
    before, after = (
        np.abs(np.diff(rgb.astype(int), axis=1))[:, 7::8].mean()
        / np.abs(np.diff(rgb.astype(int), axis=1))[:, 3::8].mean()
        for rgb in (blocky, remove_jpeg_blocks(blocky))
    )
    assert after - 1 < 0.6 * (before - 1)


@pytest.mark.parametrize("quality", [85, 90, 95])
def test_a_good_jpeg_stays_bit_for_bit(original: Rgb, quality: int) -> None:
    good = compressed(original, quality)
    assert remove_jpeg_blocks(good) is good


def test_what_was_never_a_jpeg_stays_bit_for_bit(original: Rgb) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    flat = np.full((200, 300, 3), 90, np.uint8)
    steps = np.repeat(np.repeat(noise[:25, :38], 8, axis=0), 8, axis=1)
    for rgb in (original, noise, flat, steps):
        assert remove_jpeg_blocks(rgb) is rgb


@pytest.mark.parametrize("factor", [0.7, 1.3, 2.0])
def test_a_jpeg_resized_since_stays_bit_for_bit(original: Rgb, factor: float) -> None:
    resized = cv2.resize(
        compressed(original, 30), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC
    )
    rgb = np.asarray(resized, np.uint8)
    assert remove_jpeg_blocks(rgb) is rgb


@pytest.mark.parametrize("cut", [(3, 5), (0, 1), (7, 0)])
def test_blocks_of_a_cut_picture_are_found_on_their_grid(
    original: Rgb, cut: tuple[int, int]
) -> None:
    rows, columns = slice(cut[0], None), slice(cut[1], None)
    blocky = np.ascontiguousarray(compressed(original, 25)[rows, columns])
    cleaned = remove_jpeg_blocks(blocky)
    assert psnr(cleaned, original[rows, columns]) > psnr(blocky, original[rows, columns]) + 0.2


def test_a_turned_picture_is_cleaned_as_much(original: Rgb) -> None:
    blocky = np.ascontiguousarray(np.rot90(compressed(original, 25)))
    turned = np.rot90(original)
    assert psnr(remove_jpeg_blocks(blocky), turned) > psnr(blocky, turned) + 0.2


def test_strips_leave_no_seam(original: Rgb, monkeypatch: pytest.MonkeyPatch) -> None:
    blocky = compressed(original, 30)
    whole = remove_jpeg_blocks(blocky)
    monkeypatch.setattr(jpeg_blocks, "_STRIP", 40)
    strips = remove_jpeg_blocks(blocky).astype(int)
    # Sums of float32 in another order may round to the next level.
    assert np.abs(strips - whole).max() <= 1
    assert (strips != whole).mean() < 1e-3


def test_no_coefficient_leaves_the_bounds_that_the_file_sets(original: Rgb) -> None:
    grey = np.repeat(cv2.cvtColor(original, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    height, width = (side // 8 * 8 for side in grey.shape[:2])
    blocky = compressed(np.ascontiguousarray(grey[:height, :width]), 50)
    change = remove_jpeg_blocks(blocky)[..., 0].astype(np.float32) - blocky[..., 0]
    table = np.full((8, 8), 16.0)  # the step of the mean at quality 50
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            mean = cv2.dct(change[top : top + 8, left : left + 8])[0, 0]
            assert abs(mean) <= table[0, 0] / 2


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (8, 8), (1, 400), (400, 1)])
def test_any_size_is_accepted(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)
    assert remove_jpeg_blocks(rgb) is rgb
