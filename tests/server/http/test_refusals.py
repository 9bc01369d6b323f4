"""The last refusals: bounded, one row for equal ones, room shared among organisations, no text of callers."""

from datetime import UTC, datetime, timedelta

import pytest

from server.error_texts import MAX_LENGTH, for_operators
from server.http.refusals import Refusals

CROP = "POST /v1/crop"


def test_equal_refusals_are_one_with_a_count_and_the_last_time() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    refusals = Refusals(clock=lambda: now)
    refusals.note("a", CROP, 400, "file is empty.")
    refusals.note("a", CROP, 429, "Too many.")
    now += timedelta(seconds=5)
    refusals.note("a", CROP, 400, "file is empty.")
    first, second = refusals.latest()
    assert (first.code, first.count, first.time) == (400, 2, now)
    assert (second.code, second.count, second.time) == (429, 1, now - timedelta(seconds=5))


def test_there_are_never_more_than_the_limit() -> None:
    refusals = Refusals(3)
    for number in range(9):
        refusals.note("a", CROP, 400, f"scale must be at most {number}.")
    texts = [one.text for one in refusals.latest()]
    assert texts == [f"scale must be at most {number}." for number in (8, 7, 6)]


def test_nobody_pushes_out_the_refusals_of_others() -> None:
    refusals = Refusals(10)
    refusals.note("quiet", CROP, 503, "The store is unavailable.")
    for number in range(50):
        refusals.note("loud", CROP, 400, f"scale must be at most {number}.")
        refusals.note(None, CROP, 401 + number % 7, f"stranger {number}")
    left = [one.organisation for one in refusals.latest()]
    assert left.count("quiet") == 1
    assert sorted((left.count("loud"), left.count(None))) == [4, 5]


def test_a_path_that_is_no_route_is_not_kept() -> None:
    refusals = Refusals()
    for path in ("one", "<img src=x>", "three"):
        refusals.note(None, None, 404, f"There is no route '/{path}'.")
    (one,) = refusals.latest()
    assert (one.text, one.count) == ("There is no such route.", 3)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("file is not base64.", "file is not base64."),
        ("This server's profile has no model.", "This server's profile has no model."),
        ("https://host/a?signature=1 could not be fetched", "... could not be fetched"),
        ("image: data:image/png;base64,AAAA is wrong", "image: ... is wrong"),
        ("There is no visual 'secret name'.", "There is no visual ...."),
        ('The prompt "a cat, a dog" is refused', "The prompt ... is refused"),
        (f"token rt_{'x' * 40} is unknown", "token ... is unknown"),
        ("one\r\ntwo\x00\x1b[31m\u202ethree\u200b", "one two [31m three"),
        ("", ""),
    ],
)
def test_what_may_be_of_a_caller_is_left_out(text: str, shown: str) -> None:
    assert for_operators(text) == shown


def test_a_text_is_bounded_whatever_its_length() -> None:
    for text in ("word " * 1_000_000, "'" * 1_000_000, "a" * 1_000_000, "\u202e" * 1_000_000):
        assert len(for_operators(text)) <= MAX_LENGTH
    assert for_operators("word " * 100).endswith("...")
