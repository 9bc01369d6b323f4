import numpy as np
import pytest

from imaging.picture import Picture
from pipelines.common.resolution import RESOLUTIONS, fit_resolution, one_megapixel


def plain(width: int, height: int, alpha: np.ndarray | None = None) -> Picture:
    return Picture(np.full((height, width, 3), (10, 200, 90), np.uint8), alpha)


def test_every_published_name_has_its_size() -> None:
    assert dict(RESOLUTIONS) == {
        "nhd": (640, 360),
        "svga": (800, 600),
        "xga": (1024, 768),
        "had": (1280, 720),
        "wuxga": (1920, 1200),
        "uwfhd": (2560, 1080),
        "wqxga": (2560, 1600),
        "uwqhd": (3440, 1440),
        "uhd": (3840, 2160),
    }


@pytest.mark.parametrize(
    ("size", "name", "expected"),
    [
        ((1600, 900), "nhd", (640, 360)),
        ((1000, 1000), "nhd", (360, 360)),
        ((900, 1200), "svga", (450, 600)),
        ((300, 100), "xga", (1024, 341)),
        ((100, 50), "uwfhd", (2160, 1080)),
        ((5000, 10), "nhd", (640, 1)),
        ((640, 360), "nhd", (640, 360)),
    ],
)
def test_a_picture_fits_inside_with_its_ratio(
    size: tuple[int, int], name: str, expected: tuple[int, int]
) -> None:
    result = fit_resolution(plain(*size), name)
    assert (result.width, result.height) == expected
    assert (result.rgb == (10, 200, 90)).all()
    assert result.alpha is None


def test_original_is_the_picture_itself() -> None:
    picture = plain(30, 20)
    assert fit_resolution(picture, "original") is picture


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        fit_resolution(plain(30, 20), "8k")


@pytest.mark.parametrize("size", [(3000, 2000), (300, 200), (216, 5000), (1000, 1000)])
def test_one_megapixel_keeps_the_ratio(size: tuple[int, int]) -> None:
    result = one_megapixel(plain(*size))
    assert abs(result.width * result.height - 1_000_000) < 0.005 * 1_000_000
    assert result.width / result.height == pytest.approx(size[0] / size[1], rel=0.005)


def test_hidden_colours_do_not_mix_into_visible_ones() -> None:
    alpha = np.zeros((400, 600), np.uint8)
    alpha[100:300, 200:400] = 255
    picture = plain(600, 400, alpha)
    picture.rgb[alpha == 0] = (255, 0, 255)
    for name in ("nhd", "uhd"):
        result = fit_resolution(picture, name)
        assert result.alpha is not None
        assert result.alpha.shape == result.rgb.shape[:2]
        assert result.rgb.flags.c_contiguous
        visible = result.rgb[result.alpha > 60].astype(int)
        assert np.abs(visible - (10, 200, 90)).max() <= 4


def test_detail_too_fine_for_the_size_becomes_its_mean() -> None:
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[:, ::2] = 200
    result = fit_resolution(Picture(stripes), "nhd").rgb.astype(int)
    assert np.abs(result[:, 10:-10] - 100).max() <= 3
