"""Text to image: the sizes of results, the sentences of a prompt, and one picture for each seed."""

from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.roles import SUPER_RESOLUTION
from pipelines.edit_by_words import Words
from pipelines.text_to_image import GUIDES, Resolution, full_prompt, result_size, text_to_image
from tests.helpers.fake_models import GenerativeModels, PlainResolution


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("1MP", (1, 1), (1024, 1024)),
        ("1MP", (16, 9), (1365, 768)),
        ("1MP", (9, 16), (768, 1365)),
        ("HD", (1, 1), (1536, 1536)),
        ("HD", (16, 9), (1920, 1080)),
        ("HD", (9, 16), (1080, 1920)),
        ("4MP", (1, 1), (2048, 2048)),
    ],
)
def test_a_result_has_the_area_and_the_ratio(
    resolution: Resolution, ratio: tuple[int, int], size: tuple[int, int]
) -> None:
    assert result_size(Fraction(*ratio), resolution) == size


@pytest.mark.parametrize("ratio", [Fraction(100_000), Fraction(1, 100_000)])
def test_a_result_is_never_a_thread(ratio: Fraction) -> None:
    width, height = result_size(ratio)
    assert max(width, height) / min(width, height) == pytest.approx(5, abs=0.02)
    assert width * height == pytest.approx(1024 * 1024, rel=0.01)


def test_a_prompt_alone_is_what_the_caller_wrote() -> None:
    assert full_prompt(" a red balloon ") == "a red balloon"


def test_a_medium_and_pictures_are_told_in_sentences() -> None:
    told = full_prompt("a red balloon", "photography", ("controlnet_canny", "style_only"))
    assert told.startswith("a red balloon. It is a photograph. ")
    assert told.index("outlines of image 1") < told.index("style of image 2")
    assert full_prompt("Stop!", "art").startswith("Stop! ")


def test_every_guide_has_a_sentence_of_its_own() -> None:
    told = {full_prompt("a lamp", None, (guide,)) for guide in GUIDES}
    assert len(told) == len(GUIDES) == 6
    assert all("image 1" in text for text in told)


def test_each_seed_gives_a_picture_of_its_own_and_the_same_again() -> None:
    def made(*seeds: int) -> list[Picture]:
        return text_to_image(GenerativeModels(), Words("a lamp"), seeds, (64, 36))

    first, second = made(1, 2)
    assert (first.width, first.height, first.alpha) == (64, 36, None)
    assert not np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(made(2)[0].rgb, second.rgb)


def test_a_picture_beside_the_words_has_an_effect() -> None:
    grey = Picture(np.full((40, 40, 3), 9, np.uint8))
    words = Words("a lamp")
    alone, shown = (
        text_to_image(GenerativeModels(), words, [1], (64, 64), pictures)[0]
        for pictures in ((), (grey,))
    )
    assert not np.array_equal(alone.rgb, shown.rgb)


def test_a_large_result_is_enlarged_by_the_model_for_that() -> None:
    class Doubling(PlainResolution):
        sizes: ClassVar[list[tuple[int, int]]] = []

        def upscale(self, rgb: Rgb, factor: int) -> Rgb:
            self.sizes.append((rgb.shape[1], rgb.shape[0]))
            return super().upscale(rgb, factor)

    models = GenerativeModels({SUPER_RESOLUTION: Doubling()})
    (made,) = text_to_image(models, Words("a lamp"), [1], (1920, 1080))
    assert (made.width, made.height) == (1920, 1080)
    assert Doubling.sizes == [(1365, 768)]
