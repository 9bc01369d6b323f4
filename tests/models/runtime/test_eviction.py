"""Which models are evicted: the farthest next use first, and none for nothing."""

from collections.abc import Collection

from models.roles import INPAINTING, MATTING, PROMPT_REFINEMENT, SCENE_GENERATION
from models.runtime.eviction import choose, order
from models.runtime.running_requests import Need, RunningRequests

SIZES = {"small": 1, "middle": 5, "large": 10}


def leaves(total: int) -> object:
    def fits(gone: Collection[str]) -> bool:
        return sum(SIZES.values()) - sum(SIZES[one] for one in gone) <= total

    return fits


def test_the_first_of_the_order_go_until_the_rest_fits() -> None:
    by_size = lambda name: SIZES[name]  # noqa: E731 - the order of the example
    assert choose([*SIZES], by_size, leaves(16)) == []
    assert choose([*SIZES], by_size, leaves(15)) == ["small"]
    assert choose([*SIZES], by_size, leaves(10)) == ["small", "middle"]


def test_what_makes_no_difference_stays() -> None:
    order = [*SIZES].index
    assert choose([*SIZES], order, leaves(6)) == ["large"]
    assert choose(["middle", "small", "large"], lambda name: name != "middle", leaves(5)) == [
        "middle",
        "large",
    ]


def test_if_nothing_helps_all_go() -> None:
    assert choose([*SIZES], lambda name: SIZES[name], leaves(-1)) == ["small", "middle", "large"]


def test_what_no_request_needs_goes_first_the_oldest_of_it_foremost() -> None:
    uses = [(Need.PENDING, 1), (Need.USED, 2), (Need.USED, 3), (Need.NONE, 9), (Need.NONE, 5)]
    assert sorted(uses, key=lambda use: order(*use)) == [
        (Need.NONE, 5),
        (Need.NONE, 9),
        (Need.USED, 3),
        (Need.USED, 2),
        (Need.PENDING, 1),
    ]


def test_a_request_needs_its_roles_until_it_has_used_them() -> None:
    requests = RunningRequests()
    with requests.needing([MATTING, SCENE_GENERATION]):
        assert requests.need(INPAINTING) is Need.NONE
        assert requests.need(MATTING) is Need.PENDING
        with requests.using(MATTING):
            assert requests.need(MATTING) is Need.PENDING
        assert requests.need(MATTING) is Need.USED
        assert requests.need(SCENE_GENERATION) is Need.PENDING
    assert {requests.need(role) for role in (MATTING, SCENE_GENERATION)} == {Need.NONE}


def test_a_role_that_is_used_without_being_told_counts_from_then_on() -> None:
    requests = RunningRequests()
    with requests.needing([MATTING]):
        with requests.using(PROMPT_REFINEMENT):
            assert requests.need(PROMPT_REFINEMENT) is Need.PENDING
        assert requests.need(PROMPT_REFINEMENT) is Need.USED
    assert requests.need(PROMPT_REFINEMENT) is Need.NONE
    with requests.using(MATTING):  # of no request, such as the warm-up
        assert requests.need(MATTING) is Need.NONE


def test_what_one_request_has_used_another_may_still_need() -> None:
    requests = RunningRequests()
    with requests.needing([MATTING]), requests.needing([MATTING]):
        with requests.using(MATTING):
            pass
        assert requests.need(MATTING) is Need.PENDING
