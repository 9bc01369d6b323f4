"""U2Net: a matte of any size, soft only at edges, and deterministic."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.picture import Alpha, Picture, Rgb
from models.backends.onnx.u2net import U2Net, solidify
from models.roles import MATTING, Matting
from models.runtime.pool import Pool


@pytest.fixture(scope="module")
def matting(lite: Pool) -> Iterator[Matting]:
    with lite.use(MATTING) as model:
        yield model


def test_subject_is_opaque_and_background_is_transparent(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    alpha = matting.matte(photo("astronaut").rgb)
    assert alpha[60:100, 200:240].min() == 255  # hair and forehead
    assert alpha[20:90, 310:400].max() == 0  # the wall beside the head


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 900), (900, 1), (2, 3), (33, 700), (319, 321), (513, 1025)]
)
def test_any_picture_size_is_accepted(matting: Matting, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    alpha = matting.matte(rgb)
    assert alpha.shape == shape
    assert alpha.dtype == np.uint8
    assert (rgb == before).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_picture_has_no_subject(matting: Matting, level: int) -> None:
    assert matting.matte(np.full((400, 600, 3), level, np.uint8)).max() < 128


@pytest.mark.slow
def test_parallel_calls_give_the_same_mattes_as_single_ones(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    pictures = [photo(name).rgb for name in ("astronaut", "coffee", "chelsea")]
    alone = [matting.matte(rgb) for rgb in pictures]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(matting.matte, pictures))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_small_subject_keeps_a_matte_as_good_as_a_large_one(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    wall = photo("astronaut").rgb[10:60, 310:385]  # plain: it has no other subject
    rgb, alpha = _disc_on_photo(wall, radius=90)
    found = matting.matte(rgb) / np.float32(255)
    assert np.abs(found - alpha).mean() < 0.003
    assert _iou(found, alpha) > 0.97


def test_subject_with_low_contrast_is_not_half_transparent(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    blurred = np.asarray(cv2.GaussianBlur(photo("coffee").rgb, None, 16.5), np.uint8)
    alpha = matting.matte(blurred) / np.float32(255)
    assert np.mean(alpha > 0.95) > 0.25
    assert np.mean(alpha > 0.95) > 0.6 * np.mean(alpha > 0.1)
    assert alpha[:40, :100].max() == 0


@pytest.mark.parametrize("level", [0.72, 0.78, 0.84])
def test_uncertain_subject_is_made_solid_with_a_soft_edge(level: float) -> None:
    coarse = _blob(level)
    solid = solidify(coarse)
    assert solid[coarse > 0.3].min() > 0.999
    assert (solid[coarse < 0.07] == coarse[coarse < 0.07]).all()
    edge = solid[(coarse > 0.08) & (coarse < 0.18)]
    assert edge.size
    assert edge.min() > 0
    assert edge.max() < 1


@pytest.mark.parametrize("level", [0.1, 0.3, 0.5, 0.97, 1.0])
def test_faint_noise_and_certain_subject_do_not_change(level: float) -> None:
    assert np.array_equal(solidify(_blob(level)), _blob(level))


def test_thin_uncertain_shapes_do_not_change() -> None:
    coarse = np.zeros((320, 320), np.float32)
    coarse[40:280, 50:300:10] = coarse[40:280, 51:300:10] = 0.8
    assert np.array_equal(solidify(coarse), coarse)


def test_only_the_uncertain_of_two_subjects_is_made_solid() -> None:
    both = np.hstack([_blob(0.75)[:, 80:240], _blob(1.0)[:, 80:240]])
    solid = solidify(both)
    assert solid[160, 80] == 1
    assert np.array_equal(solid[:, 160:], both[:, 160:])


def test_slightly_higher_confidence_changes_the_matte_slightly() -> None:
    levels = np.arange(0.4, 1, 0.01, dtype=np.float32)
    mattes = np.stack([solidify(_blob(level)) for level in levels])
    assert np.abs(np.diff(mattes, axis=0)).max() < 0.12


def test_doubtful_face_of_a_cat_is_opaque(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    alpha = matting.matte(photo("chelsea").rgb)
    assert (alpha[40:240, 120:330] > 242).mean() > 0.97  # between the ears and down to the chin
    assert (alpha[255:, 150:300] > 242).mean() > 0.9  # the network's first answer is 0.5 there


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("light", [0.25, 0.12])
def test_a_dark_photograph_has_the_subject_of_the_bright_one(
    matting: Matting, photo: Callable[[str], Picture], name: str, light: float
) -> None:
    rgb = photo(name).rgb
    dark = np.rint(light * rgb).astype(np.uint8)
    assert _iou(matting.matte(dark) / 255, matting.matte(rgb) / 255) > 0.94


class _Answers(U2Net):
    """Answers with given mattes in turn, and keeps the pictures that it was shown."""

    def __init__(self, *answers: Alpha) -> None:
        self._answers = list(answers)
        self.shown: list[Rgb] = []

    def _run(self, picture: Rgb, white: int) -> Alpha:
        self.shown.append(picture)
        return self._answers.pop(0)


def test_a_sure_answer_is_not_asked_for_again() -> None:
    model = _Answers(_blob(1.0))
    model.matte(np.zeros((300, 300, 3), np.uint8))
    assert len(model.shown) == 1


@pytest.mark.parametrize("first", [0.5, 0.0])
def test_an_unsure_or_empty_answer_is_completed_by_one_of_the_mirrored_picture(
    photo: Callable[[str], Picture], first: float
) -> None:
    second = _blob(1.0)
    second[:, 160:] = 0
    model = _Answers(np.float32(first) * _blob(1.0), second[:, ::-1])
    rgb = photo("coffee").rgb
    coarse = model._coarse(rgb)
    assert coarse[160, 140] == 1  # mirrored back
    assert coarse[160, 180] == pytest.approx(first, abs=0.05)
    sharp, averaged = model.shown
    lanczos = np.asarray(Image.fromarray(rgb).resize((320, 320), Image.Resampling.LANCZOS))
    assert np.array_equal(sharp, lanczos)
    area = cv2.resize(rgb, (320, 320), interpolation=cv2.INTER_AREA)
    assert np.abs(averaged[:, ::-1].astype(int) - area).max() <= 1


def test_a_large_picture_is_shown_as_the_lanczos_filter_alone_would_reduce_it(
    photo: Callable[[str], Picture],
) -> None:
    rgb = np.asarray(cv2.resize(photo("coffee").rgb, (2000, 1600)), np.uint8)
    model = _Answers(_blob(1.0))
    model._coarse(rgb)
    lanczos = np.asarray(Image.fromarray(rgb).resize((320, 320), Image.Resampling.LANCZOS))
    assert np.abs(model.shown[0].astype(int) - lanczos).mean() < 0.5


def _disc_on_photo(photo: Rgb, radius: int) -> tuple[Rgb, Alpha]:
    background = cv2.resize(photo, (1500, 1000)).astype(np.float32)
    y, x = np.ogrid[:1000, :1500]
    alpha = np.clip((radius - np.hypot(x - 750, y - 500)) / 2 + 0.5, 0, 1).astype(np.float32)
    mixed = alpha[..., None] * np.float32((30, 60, 200)) + (1 - alpha[..., None]) * background
    return np.rint(mixed).astype(np.uint8), alpha


def _iou(a: Alpha, b: Alpha) -> float:
    return float(np.sum((a > 0.5) & (b > 0.5)) / np.sum((a > 0.5) | (b > 0.5)))


def _blob(level: float) -> Alpha:
    disc = np.zeros((320, 320), np.float32)
    cv2.circle(disc, (160, 160), 50, 1.0, -1)
    return np.asarray(np.float32(level) * cv2.GaussianBlur(disc, None, 4), np.float32)
