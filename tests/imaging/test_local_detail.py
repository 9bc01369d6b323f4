"""Local detail: texture becomes clearer; noise, edges and colours stay."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

import imaging.local_detail as local_detail
from imaging.local_detail import clearer_detail
from imaging.picture import Picture, Rgb
from scripts.quality_measures.enlarging import detail_strength, ssim

Photo = Callable[[str], Picture]


def enlarged(rgb: Rgb) -> Rgb:
    """Return a picture reduced to half and enlarged again, which loses its finest detail."""
    small = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_lost_detail_comes_back_in_part_and_the_structure_is_no_less_alike(
    photo: Photo, name: str
) -> None:
    original = photo(name).rgb[:300, :400]
    soft = enlarged(original)
    clear = clearer_detail(soft)
    assert 1.08 * detail_strength(soft) < detail_strength(clear) < detail_strength(original)
    assert ssim(clear, original) > ssim(soft, original) - 0.002


@pytest.mark.parametrize("deviation", [0, 1, 3, 8])
def test_noise_in_a_sky_is_not_amplified(deviation: float) -> None:
    shade = np.linspace(110, 170, 400)[:, None, None] * np.array([0.6, 0.8, 1.2])
    noise = np.random.default_rng(5).normal(0, deviation, (400, 300, 1))
    sky = np.clip(np.rint(shade + noise), 0, 255).astype(np.uint8)
    assert np.abs(clearer_detail(sky).astype(int) - sky).mean() <= 0.01


@pytest.mark.parametrize("blur", [0.5, 1.0, 2.0])
def test_an_edge_gets_no_halo(blur: float) -> None:
    edge = np.full((60, 80, 3), 60, np.uint8)
    edge[:, 40:] = 200
    soft = cv2.GaussianBlur(edge, (0, 0), blur).astype(np.uint8)
    row = clearer_detail(soft)[30, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert np.abs(row - soft[30, :, 0]).max() <= 4


def test_all_channels_change_by_the_same_amount(photo: Photo) -> None:
    rgb = photo("coffee").rgb
    change = clearer_detail(rgb).astype(int) - rgb
    assert np.abs(change).max() > 3
    assert (change == change[..., :1]).all()


def test_strips_leave_no_seam(photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = photo("chelsea").rgb
    whole = clearer_detail(rgb)
    monkeypatch.setattr(local_detail, "_STRIP", 64)
    assert np.array_equal(clearer_detail(rgb), whole)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (3, 2), (300, 1)])
def test_a_plain_picture_of_any_shape_stays(shape: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), 77, np.uint8)
    assert np.array_equal(clearer_detail(rgb), rgb)


def test_the_input_does_not_change(photo: Photo) -> None:
    rgb = photo("coffee").rgb[:90, :90].copy()
    before = rgb.copy()
    clearer_detail(rgb)
    assert np.array_equal(rgb, before)
