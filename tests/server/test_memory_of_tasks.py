"""The fair queue with the budget of memory: it never stands still, nor lets others wait for long tasks."""

import pytest

from models.runtime.fair_queue import FairQueue
from models.runtime.queued_task import Priority, QueuedTask
from server.memory_budget import MemoryBudget

CALL, JOB, CHECK = Priority.CALL, Priority.JOB, Priority.CHECK
ALL = tuple(Priority)
MIB = 2**20


class Machine:
    """A fair queue of four threads and a budget of 1,000 MiB."""

    def __init__(self) -> None:
        self.budget = MemoryBudget(1000)
        self.now = 0.0
        self.queue: FairQueue[QueuedTask] = FairQueue(4, clock=lambda: self.now, budget=self.budget)

    def add(self, tenant: str, size: int, priority: Priority = CALL) -> QueuedTask:
        """Queue a task of a second that takes a size in MiB."""
        task = QueuedTask(tenant, priority, 1.0, size * MIB)
        self.queue.add(task)
        return task

    def take(self) -> QueuedTask | None:
        """Start the next task, if one may run."""
        return self.queue.take(ALL)

    def pass_by(self, count: int) -> int:
        """Let up to so many small tasks of another tenant start and end; return how many did."""
        for passed in range(count):
            small = self.add("passing", 10)
            if self.take() is not small:
                self.queue.remove(small)
                return passed
            self.now += 1
            self.queue.finish(small)
        return count


@pytest.mark.parametrize("priority", [CHECK, CALL])
def test_a_task_that_all_wait_for_starts_although_its_tenant_has_queued_others(
    priority: Priority,
) -> None:
    machine = Machine()
    machine.add("b", 600)
    running = machine.take()
    assert running is not None
    job = machine.add("a", 600, JOB)
    assert machine.pass_by(100) < 100
    first = machine.add("a", 10, priority)
    other = machine.add("c", 10)
    assert machine.take() is None
    machine.queue.finish(running)
    assert machine.take() is job
    assert {machine.take(), machine.take()} == {first, other}


def test_nobody_waits_for_a_task_whose_tenant_runs_one_that_keeps_it_waiting() -> None:
    machine = Machine()
    running = machine.add("a", 600)
    assert machine.take() is running
    second = machine.add("a", 600)
    assert machine.pass_by(100) == 100
    machine.queue.finish(running)
    assert machine.take() is second


def test_a_task_that_others_wait_for_stops_holding_them_when_its_tenant_starts_another() -> None:
    machine = Machine()
    machine.add("b", 600)
    running = machine.take()
    assert running is not None
    machine.add("a", 600, JOB)
    assert machine.take() is None
    small = machine.add("a", 10)
    assert machine.take() is small
    assert machine.pass_by(100) == 100
    machine.queue.finish(small)
    assert machine.pass_by(100) < 100


def test_the_whole_budget_is_free_after_tasks_that_ran_were_cancelled_or_were_cleared() -> None:
    machine = Machine()
    for priority in ALL:
        machine.add("a", 300, priority)
    checked = machine.queue.take([CHECK], on_thread=False)
    ran = machine.take()
    assert checked is not None
    assert ran is not None
    machine.queue.finish(checked)
    machine.queue.finish(ran)
    assert len(machine.queue.clear(ALL)) == 2
    assert machine.budget.used == 0
    assert machine.budget.reserved is None
