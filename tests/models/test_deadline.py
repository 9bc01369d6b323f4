"""Deadlines and cancellation of work, for one caller and for several."""

import threading

import pytest

from models.deadline import Deadline, SharedDeadline, checkpoint, current, deadline_scope
from models.errors import CallerDisconnectedError, DeadlineExceededError, WorkCancelledError


def test_work_without_a_scope_is_never_cancelled() -> None:
    checkpoint()
    assert current().remaining() is None


def test_cancelling_a_scope_stops_only_the_work_in_it() -> None:
    deadline = Deadline()
    with deadline_scope(deadline):
        checkpoint()
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            checkpoint()
        with deadline_scope(Deadline()):
            checkpoint()
    checkpoint()


def test_work_stops_at_the_deadline_of_its_scope() -> None:
    with deadline_scope(Deadline(0)) as deadline, pytest.raises(DeadlineExceededError):
        checkpoint()
    assert deadline.remaining() == 0
    assert 59 < (Deadline(60).remaining() or 0) <= 60


def test_a_scope_does_not_apply_to_other_threads() -> None:
    deadline = Deadline()
    deadline.cancel()
    seen: list[Deadline] = []
    with deadline_scope(deadline):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen[0] is not deadline


def test_work_for_several_callers_continues_until_all_have_disconnected() -> None:
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
def test_work_for_several_callers_has_the_latest_deadline(
    seconds: list[float | None], most: float | None
) -> None:
    remaining = SharedDeadline([Deadline(one) for one in seconds]).remaining()
    assert remaining is None if most is None else remaining == pytest.approx(most, abs=1)
