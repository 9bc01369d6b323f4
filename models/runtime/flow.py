"""The tasks of one tenant that wait, by priority: in fair queueing a flow."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from models.runtime.queued_task import Priority, QueuedTask

MAX_IN_A_ROW = 4
"""Tasks of one priority of a tenant that run in a row while lower ones of it wait. Then one of those runs."""

T = TypeVar("T", bound=QueuedTask)


class Flow(Generic[T]):
    """The tasks of one tenant.

    start: virtual time of its next task. running: tasks on threads. held: what its running tasks take of
    the budget.
    """

    def __init__(self, start: float) -> None:
        self.start = start
        self.running = 0
        self.held = 0
        self._queues: dict[Priority, deque[T]] = {priority: deque() for priority in Priority}
        self._in_a_row = dict.fromkeys(Priority, 0)

    def tasks(self) -> list[T]:
        """Return the tasks that wait."""
        return [task for queue in self._queues.values() for task in queue]

    def in_order(self) -> Iterator[tuple[int, T]]:
        """Yield the number of the oldest task and the next one, as if all before it had started."""
        left: Flow[T] = Flow(self.start)
        left._queues = {priority: queue.copy() for priority, queue in self._queues.items()}
        left._in_a_row = dict(self._in_a_row)
        while len(waiting := left.waiting(Priority)) > 1:
            task = left.next(waiting)
            yield left.oldest(waiting), task
            left.pop(task, waiting)
        for priority in waiting:
            yield from ((task.number, task) for task in left.queue(priority))

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def queue(self, priority: Priority) -> deque[T]:
        """Return the tasks of a priority that wait, oldest first."""
        return self._queues[priority]

    def waiting(self, priorities: Iterable[Priority]) -> list[Priority]:
        """Return those of the priorities that have a task, the first one first."""
        return [priority for priority in priorities if self._queues[priority]]

    def oldest(self, priorities: Iterable[Priority]) -> int:
        """Return the number of the oldest task of some priorities; at least one must wait."""
        return min(self._queues[priority][0].number for priority in self.waiting(priorities))

    def next(self, priorities: Iterable[Priority]) -> T:
        """Return the next task: by priority, then oldest first; no priority starves. One must wait."""
        return self._queues[self._next_priority(priorities)][0]

    def pop(self, task: T, priorities: Iterable[Priority]) -> None:
        """Remove a task that starts; it is the oldest of its priority."""
        for passed in self.waiting(priorities):
            if passed is task.priority:
                break
            self._in_a_row[passed] = 0
        self._in_a_row[task.priority] += 1
        self._queues[task.priority].remove(task)

    def _next_priority(self, priorities: Iterable[Priority]) -> Priority:
        *higher, lowest = self.waiting(priorities)
        return next((one for one in higher if self._in_a_row[one] < MAX_IN_A_ROW), lowest)
