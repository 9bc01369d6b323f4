"""For how long work is waited for: deadline and flag, of one caller and of several."""

import threading

import pytest

from models.deadline import (
    CallerDisconnectedError,
    Deadline,
    DeadlineExceededError,
    SharedDeadline,
    WorkCancelledError,
    checkpoint,
    current,
    entered,
)


def test_work_goes_on_outside_any_scope() -> None:
    checkpoint()
    assert current().left() is None


def test_a_cancelled_scope_ends_what_is_done_within_it_alone() -> None:
    scope = Deadline()
    with entered(scope):
        checkpoint()
        scope.cancel()
        with pytest.raises(CallerDisconnectedError):
            checkpoint()
        with entered(Deadline()):
            checkpoint()
    checkpoint()


def test_a_scope_ends_with_its_time() -> None:
    with entered(Deadline(0)) as scope, pytest.raises(DeadlineExceededError):
        checkpoint()
    assert scope.left() == 0
    assert 59 < (Deadline(60).left() or 0) <= 60


def test_another_thread_has_no_part_in_a_scope() -> None:
    scope = Deadline()
    scope.cancel()
    seen: list[Deadline] = []
    with entered(scope):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen[0] is not scope


def test_work_for_several_goes_on_until_the_last_has_left() -> None:
    scopes = [Deadline(), Deadline(100), Deadline(0)]
    shared = SharedDeadline(scopes)
    shared.check()
    scopes[0].cancel()
    shared.check()
    scopes[1].cancel()
    with pytest.raises(WorkCancelledError):
        shared.check()


@pytest.mark.parametrize(
    ("seconds", "most"), [([5, 9], 9), ([5, None], None), ([None, None], None)]
)
def test_several_have_the_time_of_the_most_patient(
    seconds: list[float | None], most: float | None
) -> None:
    left = SharedDeadline([Deadline(one) for one in seconds]).left()
    assert left is None if most is None else left == pytest.approx(most, abs=1)
