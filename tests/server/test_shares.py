"""Places shared out among organisations."""

import pytest

from server.shares import Shares


def taken(shares: Shares, organisation: str) -> int:
    """Take as many places as there are for an organisation; return how many it holds then."""
    while shares.has_place(organisation):
        shares.take(organisation)
    return shares.held(organisation)


def test_one_alone_may_have_all() -> None:
    assert taken(Shares(64), "a") == 64


def test_those_that_come_later_have_their_share_beyond_the_limit() -> None:
    shares = Shares(64)
    assert [taken(shares, name) for name in "abcd"] == [64, 32, 21, 16]


def test_above_its_share_an_organisation_gives_way() -> None:
    shares = Shares(4)
    taken(shares, "a")
    taken(shares, "b")
    shares.give_back("a")
    assert not shares.has_place("a")
    shares.give_back("a")
    shares.give_back("a")
    assert shares.has_place("a")


def test_when_the_others_have_gone_it_may_have_all_again() -> None:
    shares = Shares(4)
    taken(shares, "a")
    taken(shares, "b")
    for _ in range(2):
        shares.give_back("b")
    assert len(shares) == 1
    shares.give_back("a")
    assert shares.has_place("a")


@pytest.mark.parametrize("others", [1, 5, 100])
def test_a_newcomer_always_has_a_place(others: int) -> None:
    shares = Shares(1)
    for number in range(others):
        taken(shares, str(number))
    assert shares.has_place("new")


def test_a_quota_holds_although_places_are_free() -> None:
    assert taken(Shares(64, quota=lambda: 3), "a") == 3


def test_a_quota_holds_from_the_first_token_on() -> None:
    quotas = [0]
    shares = Shares(64, quota=lambda: quotas[0])
    assert taken(shares, "a") == 64
    quotas[0] = 3
    assert taken(Shares(64, quota=lambda: quotas[0]), "a") == 3
    assert not shares.has_place("a")
