"""image/increase_resolution: size, colours and transparency of the result."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.files.decode import decode
from imaging.picture import Picture
from models.roles import SUPER_RESOLUTION
from models.runtime.pool import Pool
from pipelines.image_increase_resolution import image_increase_resolution


@pytest.mark.parametrize("factor", [2, 4])
def test_every_side_is_multiplied(lite: Pool, photo: Callable[[str], Picture], factor: int) -> None:
    rgb = photo("coffee").rgb[:61, :90]
    large = image_increase_resolution(Picture(rgb), lite, factor)
    assert (large.width, large.height) == (90 * factor, 61 * factor)
    assert large.alpha is None
    assert np.abs(large.rgb.mean((0, 1)) - rgb.mean((0, 1))).max() < 1


def test_the_increase_is_two_by_default(lite: Pool) -> None:
    assert image_increase_resolution(Picture(np.zeros((9, 7, 3), np.uint8)), lite).height == 18


@pytest.mark.parametrize("opacity", [0, 1, 200, 255])
def test_uniform_alpha_does_not_change(lite: Pool, opacity: int) -> None:
    picture = Picture(np.full((20, 30, 3), 90, np.uint8), np.full((20, 30), opacity, np.uint8))
    large = image_increase_resolution(picture, lite, 4)
    assert large.alpha is not None
    assert large.alpha.shape == (80, 120)
    assert (large.alpha == opacity).all()


def test_an_alpha_edge_is_smooth_without_ringing(lite: Pool) -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, 20:] = 255
    picture = Picture(np.full((40, 40, 3), 90, np.uint8), alpha)
    large = image_increase_resolution(picture, lite, 4).alpha
    assert large is not None
    row = large[80].astype(int)
    assert (np.diff(row) >= 0).all()
    assert ((row > 0) & (row < 255)).sum() >= 3
    assert (row[:72] == 0).all()
    assert (row[88:] == 255).all()


@pytest.mark.parametrize("hidden", [0, 255])
def test_hidden_colours_do_not_mix_into_the_edge(lite: Pool, hidden: int) -> None:
    rgb = np.full((60, 60, 3), hidden, np.uint8)
    alpha = np.zeros((60, 60), np.uint8)
    y, x = np.ogrid[:60, :60]
    disc = (x - 30) ** 2 + (y - 30) ** 2 < 400
    rgb[disc] = (180, 90, 40)
    alpha[disc] = 255
    large = image_increase_resolution(Picture(rgb, alpha), lite, 4)
    assert large.alpha is not None
    seen = large.rgb[large.alpha > 0].astype(int)
    assert np.abs(seen - (180, 90, 40)).max() <= 1


def test_the_input_does_not_change(lite: Pool) -> None:
    generator = np.random.default_rng(3)
    rgb = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    alpha = generator.integers(0, 2, (30, 40), dtype=np.uint8) * 255
    before = rgb.copy(), alpha.copy()
    image_increase_resolution(Picture(rgb, alpha), lite)
    assert np.array_equal(rgb, before[0])
    assert np.array_equal(alpha, before[1])


def test_an_unsupported_increase_is_refused(lite: Pool) -> None:
    with pytest.raises(ValueError, match="factor 3"):
        image_increase_resolution(Picture(np.zeros((8, 8, 3), np.uint8)), lite, 3)


def test_blocks_of_a_strong_jpeg_are_gone_before_it_is_enlarged(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("chelsea").rgb[:300, :448]
    small = np.asarray(cv2.resize(rgb, (224, 150), interpolation=cv2.INTER_AREA), np.uint8)
    file = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 25])[1]
    blocky = decode(file.tobytes()).rgb
    with lite.use(SUPER_RESOLUTION) as model:
        with_blocks = model.upscale(blocky, 2)
    large = image_increase_resolution(Picture(blocky), lite).rgb
    assert cv2.PSNR(large, rgb) > cv2.PSNR(with_blocks, rgb) + 0.1


def test_a_picture_without_blocks_reaches_the_model_unchanged(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("chelsea").rgb[:120, :160]
    small = np.asarray(cv2.resize(rgb, (80, 60), interpolation=cv2.INTER_AREA), np.uint8)
    with lite.use(SUPER_RESOLUTION) as model:
        expected = model.upscale(small, 2)
    assert np.array_equal(image_increase_resolution(Picture(small), lite).rgb, expected)
