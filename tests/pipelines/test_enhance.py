"""enhance: the size, the detail, the colours and the transparency of the result."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.files.decode import decode
from imaging.picture import Picture, Rgb
from models.roles import SUPER_RESOLUTION
from models.runtime.pool import Pool
from pipelines.enhance import MAX_PIXELS, enhance, enhanced_size
from pipelines.image_increase_resolution import image_increase_resolution
from scripts.quality_measures.enlarging import detail_strength, middle, psnr, reduced, ssim
from tests.helpers.fake_models import FakeModels, PlainResolution

Photo = Callable[[str], Picture]


class RecordingResolution(PlainResolution):
    """Notes by how much it is asked to enlarge."""

    def __init__(self) -> None:
        self.factors: list[int] = []

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged `factor` times."""
        self.factors.append(factor)
        return super().upscale(rgb, factor)


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [
        ((320, 240), None, (640, 480)),
        ((1, 1), None, (2, 2)),
        ((2500, 1000), None, (5000, 2000)),
        ((4000, 2500), None, (4000, 2500)),
        ((8000, 4000), None, (8000, 4000)),
        ((1000, 1000), "4MP", (2000, 2000)),
        ((500, 250), "1MP", (1414, 707)),
        ((2000, 1000), "1MP", (2000, 1000)),
        ((2000, 1000), "2MP", (2000, 1000)),
        ((100, 80), "4MP", (400, 320)),
        ((8000, 4000), "4MP", (8000, 4000)),
    ],
)
def test_the_size_is_doubled_or_what_the_resolution_says(
    size: tuple[int, int], resolution: str | None, expected: tuple[int, int]
) -> None:
    assert enhanced_size(*size, resolution) == expected


@pytest.mark.parametrize("size", [(3000, 2000), (3999, 2500), (2001, 1999), (99_999, 99)])
def test_more_than_ten_megapixels_are_not_made(size: tuple[int, int]) -> None:
    width, height = enhanced_size(*size)
    assert 0.97 * MAX_PIXELS < width * height <= MAX_PIXELS
    assert width >= size[0]
    assert height >= size[1]
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


def test_an_unknown_resolution_is_refused() -> None:
    with pytest.raises(KeyError):
        enhanced_size(10, 10, "3MP")


@pytest.mark.parametrize(
    ("size", "resolution", "factors"),
    [
        ((60, 40), None, [2]),
        ((1200, 800), "1MP", []),
        ((800, 800), "1MP", []),
        ((600, 600), "1MP", [2]),
        ((300, 300), "1MP", [4]),
    ],
)
def test_the_model_enlarges_what_becomes_much_larger(
    size: tuple[int, int], resolution: str | None, factors: list[int]
) -> None:
    model = RecordingResolution()
    picture = Picture(np.full((size[1], size[0], 3), 90, np.uint8))
    result = enhance(picture, FakeModels({SUPER_RESOLUTION: model}), resolution)
    assert model.factors == factors
    assert (result.width, result.height) == enhanced_size(*size, resolution)


@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
def test_there_is_more_detail_than_in_a_plain_enlargement_and_as_much_likeness(
    lite: Pool, photo: Photo, name: str
) -> None:
    original = middle(photo(name).rgb)[:160, :200]
    small = reduced(original, None)
    plain = image_increase_resolution(Picture(small), lite).rgb
    clear = enhance(Picture(small), lite).rgb
    assert detail_strength(clear) > 1.05 * detail_strength(plain)
    assert ssim(clear, original) > ssim(plain, original) - 0.003
    assert np.abs(clear.mean((0, 1)) - small.mean((0, 1))).max() < 0.5


def test_blocks_of_a_strong_jpeg_are_gone_too(lite: Pool, photo: Photo) -> None:
    original = photo("chelsea").rgb[:300, :448]
    small = np.asarray(cv2.resize(original, (224, 150), interpolation=cv2.INTER_AREA), np.uint8)
    file = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 25])[1]
    blocky = decode(file.tobytes()).rgb
    with lite.use(SUPER_RESOLUTION) as model:
        with_blocks = model.upscale(blocky, 2)
    assert psnr(enhance(Picture(blocky), lite).rgb, original) > psnr(with_blocks, original)


def test_uniform_alpha_does_not_change() -> None:
    picture = Picture(np.full((20, 30, 3), 90, np.uint8), np.full((20, 30), 130, np.uint8))
    result = enhance(picture, FakeModels())
    assert result.alpha is not None
    assert result.alpha.shape == (40, 60)
    assert (result.alpha == 130).all()


@pytest.mark.parametrize("hidden", [0, 255])
def test_hidden_colours_neither_mix_into_the_edge_nor_show_when_it_is_opaque(hidden: int) -> None:
    rgb = np.full((60, 60, 3), hidden, np.uint8)
    rgb[:, 30:] = (180, 90, 40)
    alpha = np.zeros((60, 60), np.uint8)
    alpha[:, 30:] = 255
    kept = enhance(Picture(rgb, alpha), FakeModels())
    assert kept.alpha is not None
    assert np.abs(kept.rgb[kept.alpha > 0].astype(int) - (180, 90, 40)).max() <= 1
    opaque = enhance(Picture(rgb, alpha), FakeModels(), preserve_alpha=False)
    assert opaque.alpha is None
    assert (opaque.rgb[:, :50] == 255).all()
    assert np.array_equal(opaque.rgb[:, 70:], kept.rgb[:, 70:])
