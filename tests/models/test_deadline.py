"""For how long work is waited for: deadline and flag, of one caller and of several."""

import threading

import pytest

from models.deadline import Deadline, SharedDeadline, checkpoint, current, deadline_scope
from models.errors import CallerDisconnectedError, DeadlineExceededError, WorkCancelledError


def test_work_goes_on_outside_any_scope() -> None:
    checkpoint()
    assert current().remaining() is None


def test_a_cancelled_scope_ends_what_is_done_within_it_alone() -> None:
    deadline = Deadline()
    with deadline_scope(deadline):
        checkpoint()
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            checkpoint()
        with deadline_scope(Deadline()):
            checkpoint()
    checkpoint()


def test_a_scope_ends_with_its_time() -> None:
    with deadline_scope(Deadline(0)) as deadline, pytest.raises(DeadlineExceededError):
        checkpoint()
    assert deadline.remaining() == 0
    assert 59 < (Deadline(60).remaining() or 0) <= 60


def test_another_thread_has_no_part_in_a_scope() -> None:
    deadline = Deadline()
    deadline.cancel()
    seen: list[Deadline] = []
    with deadline_scope(deadline):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen[0] is not deadline


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
    left = SharedDeadline([Deadline(one) for one in seconds]).remaining()
    assert left is None if most is None else left == pytest.approx(most, abs=1)
