"""The table of instructions: every documented value and every spelling that is met, and what is refused."""

from typing import get_args

import pytest

from pipelines.instructions import (
    TABLE,
    Edit,
    documented,
    instruction,
    plain,
    relit,
    with_pictures,
)

VALUES = [(edit, value) for edit, phrase in TABLE.items() for value in phrase.values]


def test_every_edit_has_a_phrase() -> None:
    assert set(TABLE) == set(get_args(Edit))


@pytest.mark.parametrize(("edit", "value"), VALUES)
def test_a_documented_value_is_itself_and_has_words_of_its_own(edit: Edit, value: str) -> None:
    assert documented(edit, value) == value
    told = instruction(edit, value)
    assert TABLE[edit].values[value] in told
    assert "{" not in told
    others = {instruction(edit, other) for other in TABLE[edit].values if other != value}
    assert told not in others


@pytest.mark.parametrize("edit", [edit for edit in TABLE if edit != "light_direction"])
def test_an_instruction_says_what_stays(edit: Edit) -> None:
    value = next(iter(TABLE[edit].values), "a red vase")
    assert "keep" in instruction(edit, value).lower() or "stay" in instruction(edit, value)


@pytest.mark.parametrize(
    ("edit", "sent", "meant"),
    [
        ("colorize", "contemporary color", "color_contemporary"),
        ("colorize", "Vivid Color", "color_vivid"),
        ("colorize", "black and white colors", "black_and_white"),
        ("colorize", "black and white", "black_and_white"),
        ("colorize", "BW", "black_and_white"),
        ("colorize", "sepia vintage", "sepia_vintage"),
        ("relight", "spotlight on subject", "spotlight on subject, keep background settings"),
        ("relight", "starlight nighttime", "starlight lighting nighttime"),
        ("relight", "harsh studio lighting", "harsh studio lighting keep background setting"),
        ("relight", "low angle sunlight", "low-angle sunlight"),
        ("relight", "cloud_filtered_lighting", "cloud-filtered lighting"),
        ("light_direction", "top down", "top-down"),
        ("light_direction", "FRONT", "front"),
        ("restyle", "oil painting", "oil_painting"),
        ("restyle", "3D render", "render_3d"),
        ("reseason", " Fall ", "autumn"),
    ],
)
def test_spellings_that_programs_send(edit: Edit, sent: str, meant: str) -> None:
    assert documented(edit, sent) == meant
    assert instruction(edit, sent) == instruction(edit, meant)


def test_other_spellings_are_reached_and_mean_documented_values() -> None:
    for phrase in TABLE.values():
        for spelling, meant in phrase.others.items():
            assert plain(spelling) == spelling
            assert meant in phrase.values


@pytest.mark.parametrize(
    ("edit", "value"),
    [("colorize", "blue"), ("relight", "neon"), ("light_direction", "inside"), ("restore", "x")],
)
def test_other_values_are_refused_with_the_possible_ones(edit: Edit, value: str) -> None:
    with pytest.raises(ValueError, match="the possible values are") as refused:
        instruction(edit, value)
    for known in filter(None, TABLE[edit].values):
        assert known in str(refused.value)


def test_free_text_is_in_the_instruction() -> None:
    assert "the monsoon, with {rain}." in instruction("reseason", "the monsoon, with {rain}.")
    assert instruction("add_object_by_text", "Add a cat").startswith("Add a cat. ")
    assert instruction("blend", "Put it on the shirt!").startswith("Put it on the shirt! ")
    assert 'exactly this: "50 % off." Keep' in instruction("rewrite_text", "50 % off.")
    assert "Remove the lamp from" in instruction("erase_by_text", "the lamp.")
    assert "of this: a fox." in instruction("sketch_to_colored_image", "a fox.")
    with pytest.raises(ValueError, match="possible"):
        instruction("restyle", " ")


def test_a_light_may_have_a_direction() -> None:
    plain_light = relit("midday", None)
    assert relit("midday", "bottom") == f"{plain_light} The light comes from below."


def test_further_pictures_are_named_by_number() -> None:
    assert "image 2 and image 3," in with_pictures("holding", 2, "")
    assert with_pictures("virtual-tryon", 1, "Roll up the sleeves.").endswith(
        "Roll up the sleeves."
    )
