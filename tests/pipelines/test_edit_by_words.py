"""Edits by words: what the model is told and shown, and which pixels change."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.roles import CAPTIONING, INSTRUCTION_EDITING, PROMPT_REFINEMENT
from pipelines.edit_by_words import Words, edit_by_words, pictures_by_words
from pipelines.errors import BadInstructionError
from pipelines.structured_instruction import (
    prompt_of,
    structured_instruction,
    structured_prompt,
    with_change,
)
from tests.helpers.fake_models import GenerativeModels, SeedPainter

NOISE = Picture(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8))
OTHER = Picture(np.full((50, 50, 3), 7, np.uint8))
MASK = np.zeros((90, 160), np.uint8)
MASK[30:60, 50:110] = 255
WORDS = Words("make it red")


class Editor(SeedPainter):
    """Notes what it is shown and told."""

    def __init__(self) -> None:
        self.shown: list[Sequence[Rgb]] = []
        self.told: list[tuple[Any, ...]] = []
        self.options: dict[str, Any] = {}

    def edit(self, pictures: Sequence[Rgb], *told: Any, **options: Any) -> list[Rgb]:
        """Note it all."""
        self.shown.append(pictures)
        self.told.append(told)
        self.options = options
        return super().edit(pictures, *told, **options)


def without(*roles: Any) -> GenerativeModels:
    """Return models of a profile that lacks these roles."""

    class Fewer(GenerativeModels):
        fakes = {r: fake for r, fake in GenerativeModels.fakes.items() if r not in roles}

    return Fewer()


def test_outside_a_mask_not_one_pixel_changes() -> None:
    edited = edit_by_words([NOISE], GenerativeModels(), WORDS, 1, MASK)
    outside = MASK == 0
    assert np.array_equal(edited.rgb[outside], NOISE.rgb[outside])
    assert (edited.rgb[~outside] != NOISE.rgb[~outside]).any(axis=-1).mean() > 0.9


def test_a_mask_keeps_the_alpha_outside_and_is_opaque_inside() -> None:
    alpha = np.broadcast_to(np.linspace(0, 200, 160).astype(np.uint8), (90, 160))
    edited = edit_by_words([Picture(NOISE.rgb, alpha)], GenerativeModels(), WORDS, 1, MASK)
    assert edited.alpha is not None
    assert np.array_equal(edited.alpha, np.where(MASK > 0, 255, alpha))
    assert np.array_equal(edited.rgb[MASK == 0], NOISE.rgb[MASK == 0])


def test_an_empty_mask_returns_the_picture_itself() -> None:
    assert edit_by_words([NOISE], GenerativeModels(), WORDS, 1, np.zeros_like(MASK)) is NOISE


def test_a_result_has_the_size_of_the_first_picture() -> None:
    edited = edit_by_words([NOISE, OTHER], GenerativeModels(), WORDS, 1)
    assert (edited.width, edited.height, edited.alpha) == (160, 90, None)


def test_a_ratio_keeps_about_the_area_of_the_first_picture() -> None:
    edited = edit_by_words([NOISE, OTHER], GenerativeModels(), WORDS, 1, ratio=Fraction(1, 2))
    assert (edited.width, edited.height) == (85, 170)


def test_the_model_sees_every_picture_over_white() -> None:
    editor = Editor()
    clear = Picture(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8))
    models = GenerativeModels({INSTRUCTION_EDITING: editor})
    words = Words("blend them", "text", 2.0, 0.5)
    edit_by_words([NOISE, clear], models, words, 9)
    assert [rgb.shape for rgb in editor.shown[0]] == [NOISE.rgb.shape, (40, 40, 3)]
    assert (editor.shown[0][1] == 255).all()
    assert editor.told[0][:3] == ("blend them", "text", [9])
    assert editor.options == {"effort": 2.0, "guidance": 0.5}


def test_a_picture_is_made_from_words_alone() -> None:
    editor = Editor()
    models = GenerativeModels({INSTRUCTION_EDITING: editor})
    (made,) = pictures_by_words(models, Words("a lamp"), [3], (640, 360))
    assert (made.width, made.height) == (640, 360)
    assert editor.shown == [[]]


def test_an_instruction_becomes_json_and_the_prompt_its_refined_text() -> None:
    structured = structured_instruction("make it red", [NOISE], GenerativeModels())
    assert json.loads(structured) == {
        "edit_instruction": "make it red, in fine detail",
        "input_description": "a picture of noise",
    }
    assert prompt_of(structured) == "make it red, in fine detail"


def test_without_its_models_an_instruction_stays_as_it_is() -> None:
    models = without(CAPTIONING, PROMPT_REFINEMENT)
    structured = structured_instruction("make it red", [NOISE], models)
    assert json.loads(structured) == {"edit_instruction": "make it red"}


def test_every_member_of_a_structured_instruction_reaches_the_prompt() -> None:
    told = {"lighting": {"direction": "left"}, "objects": ["a lamp"], "edit_instruction": "dim it"}
    prompt = prompt_of(json.dumps(told))
    assert prompt.splitlines()[0] == "dim it"
    assert '"direction": "left"' in prompt
    assert "a lamp" in prompt


def test_a_structured_prompt_describes_and_can_be_changed() -> None:
    structured = structured_prompt("a lamp", GenerativeModels())
    assert prompt_of(structured) == "a lamp, in fine detail"
    assert prompt_of(with_change(structured, "dim it")) == "dim it\na lamp, in fine detail"


@pytest.mark.parametrize(
    "structured",
    [
        "red",
        "[]",
        "{}",
        "3",
        '{"a": "\\ud800"}',
        '{"a": "\\u0000"}',
        '{"a": 1e999}',
        '{"a": NaN}',
        '{"edit_instruction": " "}',
        '{"a": ' * 20 + "1" + "}" * 20,
    ],
)
def test_what_is_no_structured_instruction_is_refused(structured: str) -> None:
    with pytest.raises(BadInstructionError):
        prompt_of(structured)
