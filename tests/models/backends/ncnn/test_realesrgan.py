"""Real-ESRGAN: sharper than Lanczos, close to the photograph, and without visible tiles."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.picture import Picture, Rgb
from models.backends.ncnn.realesrgan import RealEsrgan, detail_share
from models.runtime.pool import Pool

Photo = Callable[[str], Picture]
NAMES = ("astronaut", "coffee", "chelsea")


@pytest.fixture(scope="module")
def network(lite: Pool, weights_dir: Path) -> Callable[..., RealEsrgan]:
    """A function that builds the model of `lite` with other settings; fixture `lite` has its weights."""

    def build(**settings: int) -> RealEsrgan:
        name = weights_dir / "realesr-animevideov3-x4"
        return RealEsrgan(name.with_suffix(".param"), name.with_suffix(".bin"), **settings)

    return build


def resized(rgb: Rgb, width: int, height: int) -> Rgb:
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))


def psnr(a: Rgb, b: Rgb) -> float:
    return float(-10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2)))


def high(rgb: Rgb) -> float:
    """Return the strength of the finest detail."""
    return float(cv2.Laplacian(rgb.astype(np.float32), cv2.CV_32F).std())


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_reduced_photo_is_restored_closer_and_sharper_than_by_lanczos(
    network: Callable[..., RealEsrgan], photo: Photo, name: str, factor: int
) -> None:
    original = photo(name).rgb
    height, width = (side // factor for side in original.shape[:2])
    original = original[: height * factor, : width * factor]
    small = resized(original, width, height)
    plain = resized(small, width * factor, height * factor)
    ours = network().upscale(small, factor)
    assert ours.shape == original.shape
    assert psnr(ours, original) > psnr(plain, original) + 0.1
    assert high(ours) > 1.1 * high(plain)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_colours_stay_true(
    network: Callable[..., RealEsrgan], photo: Photo, name: str, factor: int
) -> None:
    small = photo(name).rgb[50:180, 100:250]
    ours = network().upscale(small, factor)
    drift = ours.mean(axis=(0, 1)) - small.mean(axis=(0, 1))
    assert np.abs(drift).max() < 1
    back = cv2.resize(ours, (150, 130), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(back - small).mean() < 2


@pytest.mark.parametrize("factor", [2, 4])
def test_seams_between_tiles_do_not_show(
    network: Callable[..., RealEsrgan], photo: Photo, factor: int
) -> None:
    rgb = photo("coffee").rgb[60:190, 150:301]
    whole = network(tile=1000).upscale(rgb, factor)
    tiled = network(tile=48).upscale(rgb, factor)
    apart = np.abs(whole.astype(int) - tiled)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_more_threads_give_the_same_pixels(
    network: Callable[..., RealEsrgan], photo: Photo
) -> None:
    rgb = photo("chelsea").rgb[:100, :150]
    one = network(tile=64).upscale(rgb, 2)
    assert np.array_equal(one, network(tile=64, threads=3).upscale(rgb, 2))


def test_concurrent_calls_do_not_affect_each_other(
    network: Callable[..., RealEsrgan], photo: Photo
) -> None:
    model = network()
    crops = [photo(name).rgb[80:140, 80:160] for name in NAMES]
    alone = [model.upscale(crop, 4) for crop in crops]
    with ThreadPoolExecutor(3) as callers:
        together = list(callers.map(lambda crop: model.upscale(crop, 4), crops * 2))
    assert all(map(np.array_equal, together, alone * 2))


def test_a_greyscale_picture_stays_grey(network: Callable[..., RealEsrgan], photo: Photo) -> None:
    grey = cv2.cvtColor(photo("astronaut").rgb[50:150, 150:280], cv2.COLOR_RGB2GRAY)
    ours = network().upscale(np.repeat(grey[..., None], 3, axis=2), 4)
    assert np.ptp(ours, axis=2).max() == 0


def test_the_input_is_not_modified(network: Callable[..., RealEsrgan], photo: Photo) -> None:
    rgb = photo("coffee").rgb[:64, :64].copy()
    before = rgb.copy()
    network().upscale(rgb, 2)
    assert np.array_equal(rgb, before)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (129, 2), (257, 131)])
def test_any_size_is_enlarged(network: Callable[..., RealEsrgan], shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for factor in (2, 4):
        assert network().upscale(rgb, factor).shape == (shape[0] * factor, shape[1] * factor, 3)


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_a_flat_picture_stays_flat(network: Callable[..., RealEsrgan], level: int) -> None:
    ours = network().upscale(np.full((20, 30, 3), level, np.uint8), 4)
    assert (ours == level).all()


def test_an_unsupported_factor_is_refused(network: Callable[..., RealEsrgan]) -> None:
    with pytest.raises(ValueError, match="factor 3"):
        network().upscale(np.zeros((8, 8, 3), np.uint8), 3)


def test_invalid_files_are_refused(tmp_path: Path) -> None:
    param, weights = tmp_path / "x.param", tmp_path / "x.bin"
    param.write_text("not a network")
    weights.write_bytes(b"")
    with pytest.raises(ValueError, match="not a network that ncnn can read"):
        RealEsrgan(param, weights)


def test_detail_is_added_at_sharp_edges_and_not_in_soft_areas() -> None:
    sharp = np.zeros((64, 64), np.float32)
    sharp[:, 32:] = 200
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 5), np.float32)
    assert detail_share(sharp)[20:44, 30:34].min() > 0.5
    assert detail_share(sharp)[:, :16].max() == 0
    assert detail_share(soft).max() == 0
