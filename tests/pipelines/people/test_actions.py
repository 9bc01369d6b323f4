"""The actions of /create: which are offered, and which values are accepted."""

import numpy as np
import pytest

from models.roles import Face
from pipelines.errors import BadActionError
from pipelines.people.actions import ACTIONS, actions_for, check_action

FACE = Face((0, 0, 100, 100), np.zeros((5, 2), np.float32), score=1, yaw=0, roll=0)
OFFERED = actions_for(FACE)

# The values that the published /create lists for each action, and its ranges.
PUBLISHED = {
    "age": (["mid-20", "mid-40", "mid-60"], -10, 10),
    "diversity": (
        [
            "africa",
            "korea",
            "india",
            "japan",
            "sweden",
            "germany",
            "russia",
            "mexico",
            "brazil",
            "england",
        ],
        0,
        1,
    ),
    "expression": (
        ["happy", "surprised", "dreaming", "angry", "fear", "contempt", "disgusted", "sad"],
        0,
        1.5,
    ),
    "glasses": (["light", "heavy", "none"], 0, 6),
    "haircolor": (["black", "brown", "red", "blond", "gray"], 0, 4),
    "gender": (["femininity", "masculinity"], -10, 10),
    "makeup": (["light", "heavy", "none"], -10, 10),
    "hair_line": (["high", "low"], -20, 20),
    "Beard": (["shaved", "medium", "full"], -2, 2),
}
WHOLE = {"glasses", "haircolor"}


def test_every_published_action_is_offered_in_its_published_spelling() -> None:
    assert set(OFFERED) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_word_is_accepted_unchanged(name: str) -> None:
    for word in PUBLISHED[name][0]:
        assert check_action(name, word, OFFERED) == word


@pytest.mark.parametrize("name", OFFERED)
def test_every_offered_word_is_accepted(name: str) -> None:
    for word in OFFERED[name]:
        assert check_action(name, word, OFFERED) == word


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_ends_of_the_range_are_accepted_as_numbers_and_strings(name: str) -> None:
    for end in PUBLISHED[name][1:]:
        assert check_action(name, end, OFFERED) == end
        assert check_action(name, str(end), OFFERED) == end


@pytest.mark.parametrize("name", PUBLISHED)
def test_numbers_beyond_the_range_are_refused(name: str) -> None:
    _, low, high = PUBLISHED[name]
    for number in (low - 1, high + 1, low - 0.001, high + 0.001):
        with pytest.raises(BadActionError, match=f"{name}: the number must lie between"):
            check_action(name, number, OFFERED)
        with pytest.raises(BadActionError, match="must lie between"):
            check_action(name, str(number), OFFERED)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_only_whole_numbers_are_accepted_where_documented(name: str) -> None:
    assert check_action(name, 3, OFFERED) == 3
    taken = check_action(name, "3.0", OFFERED)
    assert isinstance(taken, int)
    for number in (2.5, "2.5"):
        with pytest.raises(BadActionError, match="only whole numbers"):
            check_action(name, number, OFFERED)


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - WHOLE))
def test_decimals_are_accepted_where_documented(name: str) -> None:
    assert check_action(name, "0.5", OFFERED) == 0.5
    assert check_action(name, ".25", OFFERED) == 0.25


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        "nan",
        "inf",
        "-Infinity",
        "1e0",
        "1_0",
        "0x1",
        "١",
        "",
        " ",
        "mid-30",
        "MID-20",
        "mid-20:0.5",
        "1" * 1000,
        10**400,
        True,
        False,
        None,
        ["mid-20"],
        {"mid-20": 1},
        b"mid-20",
    ],
)
def test_other_words_and_numbers_out_of_range_are_refused(value: object) -> None:
    with pytest.raises(BadActionError, match="age"):
        check_action("age", value, OFFERED)


@pytest.mark.parametrize("name", ["beard", "Age", "hairline", "", "x" * 10_000])
def test_an_unknown_action_is_refused(name: str) -> None:
    with pytest.raises(BadActionError, match="is not offered by this person"):
        check_action(name, "mid-20", OFFERED)


def test_an_action_that_this_person_does_not_offer_is_refused() -> None:
    offered = {name: words for name, words in OFFERED.items() if name != "glasses"}
    with pytest.raises(BadActionError, match="'glasses' is not offered"):
        check_action("glasses", "heavy", offered)


def test_a_word_that_this_person_does_not_offer_is_refused() -> None:
    offered = {**OFFERED, "glasses": ["none"]}
    assert check_action("glasses", "none", offered) == "none"
    with pytest.raises(BadActionError, match="give one of none, or a whole number between 0 and 6"):
        check_action("glasses", "heavy", offered)


def test_the_error_does_not_repeat_a_long_value() -> None:
    for name, value in (("age", "x" * 10_000), ("x" * 10_000, "mid-20")):
        with pytest.raises(BadActionError) as refusal:
            check_action(name, value, OFFERED)
        assert len(str(refusal.value)) < 300


def test_spaces_around_a_value_do_not_matter() -> None:
    assert check_action("age", " mid-20 ", OFFERED) == "mid-20"
    assert check_action("age", " -3 ", OFFERED) == -3


def test_each_person_has_an_independent_offer() -> None:
    actions_for(FACE)["age"].clear()
    assert actions_for(FACE)["age"] == list(ACTIONS["age"].words)
