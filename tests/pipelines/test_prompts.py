"""Which prompt the generative operations use, and what they say of it."""

from typing import Any

import numpy as np
import pytest

from imaging.picture import Picture
from models.errors import ReferenceUnsupportedError
from models.roles import (
    CAPTIONING,
    GENERATIVE_FILL,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    Task,
)
from pipelines.background_replace import Scene, background_scene
from pipelines.common.prompts import refined
from pipelines.gen_fill import gen_fill, gen_fill_refined
from tests.helpers.fake_models import GenerativeModels, SeedPainter

PICTURE = Picture(np.full((60, 80, 3), 90, np.uint8))
MASK = np.zeros((60, 80), np.uint8)
MASK[20:40, 20:60] = 255
FINE = "a dog, in fine detail"


class Reader(SeedPainter):
    """Notes the prompts that it gets, and the captions."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.captions: list[str] = []

    def fill_by_prompt(self, rgb: Any, hole: Any, prompt: str, *rest: Any) -> Any:
        """Note the prompt."""
        self.prompts.append(prompt)
        return super().fill_by_prompt(rgb, hole, prompt, *rest)

    def scenes(self, rgb: Any, alpha: Any, prompt: str, *rest: Any, **named: Any) -> Any:
        """Note the prompt."""
        self.prompts.append(prompt)
        return super().scenes(rgb, alpha, prompt, *rest, **named)

    def refine(self, prompt: str, caption: str = "", task: Task = "scene") -> str:
        """Note the caption."""
        self.captions.append(caption)
        return super().refine(prompt, caption, task)


class NoRefinement(GenerativeModels):
    """Models of a profile that cannot refine prompts."""

    fakes = {r: fake for r, fake in GenerativeModels.fakes.items() if r != PROMPT_REFINEMENT}


@pytest.mark.parametrize("prompt", ["", "  "])
def test_a_blank_prompt_is_not_refined(prompt: str) -> None:
    assert refined(prompt, GenerativeModels()) is None


def test_without_a_model_or_a_change_nothing_is_refined() -> None:
    class Same(SeedPainter):
        def refine(self, prompt: str, caption: str = "", task: Task = "scene") -> str:
            return prompt

    assert refined("a dog", NoRefinement()) is None
    assert refined("a dog", GenerativeModels({PROMPT_REFINEMENT: Same()})) is None
    assert refined("a dog", GenerativeModels()) == FINE


@pytest.mark.parametrize(("refine", "used", "told"), [(True, FINE, FINE), (False, "a dog", None)])
def test_a_scene_says_which_prompt_it_used(refine: bool, used: str, told: str | None) -> None:
    model = Reader()
    models = GenerativeModels({SCENE_GENERATION: model})
    made = background_scene(PICTURE, models, Scene("a dog", refine=refine), [1, 2])
    assert len(made.pictures) == 2
    assert model.prompts == [used]
    assert (made.prompt, made.refined_prompt) == (used, told)


def test_a_caption_that_stands_for_a_reference_is_the_prompt_and_not_a_refined_one() -> None:
    class PromptsOnly(SeedPainter):
        def scenes(self, *args: Any, **named: Any) -> Any:
            if named["reference"] is not None:
                raise ReferenceUnsupportedError
            return super().scenes(*args, **named)

    models = GenerativeModels({SCENE_GENERATION: PromptsOnly()})
    made = background_scene(PICTURE, models, Scene(reference=PICTURE), [1])
    assert (made.prompt, made.refined_prompt) == ("a picture of noise", None)


def test_a_fill_is_refined_with_a_caption_of_the_picture() -> None:
    model = Reader()
    models = GenerativeModels({GENERATIVE_FILL: model, PROMPT_REFINEMENT: model})
    made = gen_fill_refined(PICTURE, MASK, models, "a dog", "", [4])
    assert model.captions == ["a picture of noise"]
    assert model.prompts == [FINE]
    assert (made.prompt, made.refined_prompt) == (FINE, FINE)
    plain = gen_fill(PICTURE, MASK, models, FINE, "", [4])
    assert np.array_equal(made.pictures[0].rgb, plain[0].rgb)


def test_a_fill_without_a_model_for_it_or_without_a_mask_is_not_refined() -> None:
    made = gen_fill_refined(PICTURE, MASK, NoRefinement(), "a dog", "", [4])
    assert (made.prompt, made.refined_prompt) == ("a dog", None)
    empty = gen_fill_refined(PICTURE, MASK * 0, GenerativeModels(), "a dog", "", [4, 5])
    assert (len(empty.pictures), empty.refined_prompt) == (2, None)


def test_no_caption_is_made_if_no_model_refines() -> None:
    class Silent(SeedPainter):
        def caption(self, rgb: Any) -> str:
            raise AssertionError("nobody needs a caption")

    models = NoRefinement({CAPTIONING: Silent()})
    assert gen_fill_refined(PICTURE, MASK, models, "a dog", "", [4]).refined_prompt is None
