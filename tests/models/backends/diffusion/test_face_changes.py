"""The table of changes of a face: it has a row for every action and word, and each value means its own change."""

import re
from itertools import combinations
from string import Formatter

import numpy as np
import pytest

from models.backends.diffusion.face_changes import changes_for
from models.backends.diffusion.face_table import TABLE, Change
from models.roles import Face
from pipelines.people.actions import ACTIONS

NO_MARKS = np.zeros((0, 2), np.float32)
AGES: tuple[tuple[int, int] | None, ...] = (None, (0, 2), (20, 29), (40, 49), (70, 120))
FACES = [Face((20, 28, 56, 62), NO_MARKS, 1, 0, 0, age=age) for age in AGES]
FACE = FACES[0]
NO_CHANGE = {("diversity", "original")}
"""Words that mean the original look; 0 of every range without whole numbers does so too."""
WORDS = [(name, word) for name, action in ACTIONS.items() for word in action.words]
RANGES = {name: (action.low, action.high) for name, action in ACTIONS.items() if not action.whole}
ENDS = [(name, end) for name, ends in RANGES.items() for end in ends if end]


def change(name: str, value: str | float, face: Face = FACE) -> Change:
    (made,) = changes_for(face, {name: value})
    return made


def test_the_table_has_a_row_for_every_action_and_no_other() -> None:
    assert list(TABLE) == list(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_a_row_has_every_word_and_number_of_its_action_and_no_other(name: str) -> None:
    row, action = TABLE[name], ACTIONS[name]
    assert set(row.words) == set(action.words)
    assert bool(row.kinds) != bool(row.levels)
    if action.whole:
        assert (0, len(row.kinds) - 1) == (action.low, action.high)
        return
    assert (row.low, row.levels[-1].until) == (action.low, action.high)
    ends = [level.until for level in row.levels]
    assert ends == sorted(set(ends))
    assert (0 in ends) is (row.low < 0)  # no level lies on both sides of 0


@pytest.mark.parametrize(("name", "word"), WORDS)
@pytest.mark.parametrize("face", FACES, ids=map(str, AGES))
def test_every_word_means_one_whole_change_or_is_listed_as_none(
    face: Face, name: str, word: str
) -> None:
    if (name, word) in NO_CHANGE:
        assert changes_for(face, {name: word}) == []
        return
    made = change(name, word, face)
    assert made.regions
    assert 0 < made.strength < 1
    for text in (made.prompt, made.instruction):
        assert text.strip() == text
        assert re.search(r"\w{3}", text)
        assert not any(field for _, field, _, _ in Formatter().parse(text) if field)


@pytest.mark.parametrize("name", ACTIONS)
def test_two_words_have_two_prompts_and_two_instructions(name: str) -> None:
    words = [word for word in ACTIONS[name].words if (name, word) not in NO_CHANGE]
    for one, other in combinations(words, 2):
        assert change(name, one).prompt != change(name, other).prompt
        assert change(name, one).instruction != change(name, other).instruction


@pytest.mark.parametrize("name", RANGES)
def test_the_middle_of_a_range_changes_nothing(name: str) -> None:
    assert changes_for(FACE, {name: 0.0}) == changes_for(FACE, {name: 0}) == []


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 1])
@pytest.mark.parametrize(("name", "end"), ENDS)
def test_every_other_number_is_a_change(name: str, end: float, share: float) -> None:
    for face in FACES:
        assert 0 < change(name, end * share, face).strength < 1


@pytest.mark.parametrize(("name", "end"), ENDS)
def test_larger_numbers_change_more(name: str, end: float) -> None:
    strengths = [change(name, end * part).strength for part in (0.1, 0.5, 1)]
    assert strengths == sorted(set(strengths))
    assert change(name, end * 0.1).instruction != change(name, end).instruction


@pytest.mark.parametrize("name", [name for name, (low, _) in RANGES.items() if low < 0])
def test_the_two_ends_of_a_range_are_different_changes(name: str) -> None:
    low, high = (change(name, float(end)) for end in RANGES[name])
    assert low.prompt != high.prompt
    assert low.instruction != high.instruction


@pytest.mark.parametrize("name", [name for name, action in ACTIONS.items() if action.whole])
def test_each_whole_number_is_a_different_change(name: str) -> None:
    numbers = range(int(ACTIONS[name].high) + 1)
    for text in ("prompt", "instruction"):
        assert len({getattr(change(name, number), text) for number in numbers}) == len(numbers)


def test_hair_colours_have_the_order_of_their_words() -> None:
    for number, word in enumerate(ACTIONS["haircolor"].words):
        assert change("haircolor", number) == change("haircolor", word)


def test_age_starts_from_the_known_age() -> None:
    old = Face(FACE.rect, NO_MARKS, 1, 0, 0, age=(58, 100))
    assert "39 years old" in change("age", 1.0).prompt
    assert "83 years old" in change("age", 1.0, old).prompt
    assert "83 years old" in change("age", 1.0, old).instruction


@pytest.mark.parametrize("age", [(0, 2), (3, 9), (20, 29), (70, 120)])
def test_negative_ages_never_make_older_and_positive_ones_never_younger(
    age: tuple[int, int],
) -> None:
    face, known = Face(FACE.rect, NO_MARKS, 1, 0, 0, age=age), sum(age) / 2
    for number in (-10.0, -1.0, -0.1, 0.1, 1.0, 10.0):
        made = change("age", number, face)
        aim = int(made.prompt.split()[0])
        assert (aim <= round(known)) if number < 0 else (aim >= round(known))
        assert ("youthful" in made.prompt) is (number < 0)
        assert number > 0 or aim >= min(18, round(known))


@pytest.mark.parametrize("name", ACTIONS)
def test_an_unknown_word_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        changes_for(FACE, {name: "nonsense"})


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ValueError, match="wings"):
        changes_for(FACE, {"wings": "two"})
