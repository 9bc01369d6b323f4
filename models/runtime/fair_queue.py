"""The queue of a scheduler: tenants take turns by the time that their tasks have cost.

Start-time fair queueing (P. Goyal, H. M. Vin, H. Cheng: Start-time Fair Queueing, SIGCOMM 1996), after
fair queueing (A. Demers, S. Keshav, S. Shenker: Analysis and Simulation of a Fair Queueing Algorithm,
SIGCOMM 1989). Every tenant has a virtual start time, in seconds of work: it grows by the cost of each
task. The tenant with the earliest one is next. A tenant that comes with its first task starts at the
virtual time, which is the earliest of those that wait or run, so that nobody saves up time by idling.

Two things differ from packets on a line. A task's cost is not known before it ends, so that the charge
is corrected by the time that passes. And tasks cannot be interrupted: where those of others run on every
thread, a tenant below its share of the threads may use an extra one (`FairQueue.take`).
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from models.runtime.budget import Budget
from models.runtime.flow import Flow
from models.runtime.queued_task import Priority, QueuedTask


class TenantLoad(NamedTuple):
    """How many tasks of one tenant run and wait. waiting_jobs: those that wait with `Priority.JOB`."""

    running: int
    waiting: int
    waiting_jobs: int


T = TypeVar("T", bound=QueuedTask)


class FairQueue(Generic[T]):
    """The tasks that wait and run. Not for several threads at the same time: its user holds a lock.

    threads: tasks that run at once. extra: further ones, only for tenants below their share. clock:
    returns seconds. budget: of what tasks take together; a task that does not fit waits, and another
    tenant's may pass it.
    """

    def __init__(
        self,
        threads: int,
        extra: int = 0,
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
    ) -> None:
        self._budget = budget
        self._threads = threads
        self._extra = extra
        self._clock = clock
        self._flows: dict[str, Flow[T]] = {}
        self._running: set[T] = set()
        self._busy = 0
        self._virtual = 0.0
        self._numbers = count()

    def __len__(self) -> int:
        return sum(map(len, self._flows.values()))

    def waiting(self) -> list[T]:
        """Return the tasks that wait."""
        return [task for flow in self._flows.values() for task in flow.tasks()]

    def loads(self) -> dict[str, "TenantLoad"]:
        """Return how many tasks of each tenant run and wait; calls of a batch run for each of their tenants."""
        running = [tenant for task in self._running for tenant in task.tenants]
        loads = {}
        for tenant in dict.fromkeys([*self._flows, *running]):
            flow: Flow[T] = self._flows.get(tenant) or Flow(0.0)
            load = TenantLoad(running.count(tenant), len(flow), len(flow.queue(Priority.JOB)))
            if load.running or load.waiting:
                loads[tenant] = load
        return loads

    def add(self, task: T) -> None:
        """Queue a task."""
        flow = self._flow(task.tenant)
        if not flow and not flow.running:
            flow.start = max(flow.start, self._virtual)
        task.number = next(self._numbers)
        flow.queue(task.priority).append(task)

    def waits(self, task: T) -> bool:
        """Whether a task waits."""
        flow = self._flows.get(task.tenant)
        return flow is not None and task in flow.queue(task.priority)

    def ahead(self, task: T) -> int | None:
        """Return how many tasks would start before one that waits; None if it does not wait.

        As if no further ones came, each cost what is expected of it, and the budget had room for all.
        """
        if not self.waits(task):
            return None
        self._charge_running()
        return next(number for number, one in enumerate(self._order()) if one is task)

    def _order(self) -> Iterator[T]:
        """Yield the tasks that wait in the order of `take`, without taking them."""
        flows = [(flow.start, flow.in_order()) for flow in self._flows.values() if flow]
        heap = [(start, *next(order), order) for start, order in flows]
        heapq.heapify(heap)
        while heap:
            start, _, task, order = heap[0]
            yield task
            following = next(order, None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (start + task.cost, *following, order))

    def remove(self, task: T) -> None:
        """Remove a task that waits."""
        self._flow(task.tenant).queue(task.priority).remove(task)
        self._withdraw(task)

    def clear(self, priorities: Iterable[Priority]) -> list[T]:
        """Remove and return all tasks of some priorities that wait."""
        removed: list[T] = []
        for flow in self._flows.values():
            for priority in priorities:
                removed += flow.queue(priority)
                flow.queue(priority).clear()
        for task in removed:
            self._withdraw(task)
        return removed

    def take(self, priorities: Sequence[Priority], *, on_thread: bool = True) -> T | None:
        """Remove and return the next task of some priorities, which runs from now; None if none may run.

        on_thread: whether it takes one of the threads. Then it waits while all are busy, unless its
        tenant has fewer than its share of them, one at least: in that case it may take an extra one. So
        a tenant waits for a task of another one only if the extra threads are busy too.
        """
        self._charge_running()
        flows = [
            flow
            for flow in self._flows.values()
            if flow.waiting(priorities) and (not on_thread or self._may_run(flow))
        ]
        flows.sort(key=lambda flow: (flow.start, flow.oldest(priorities)))
        task = next(filter(self._fits, [self._next_of(flow, priorities) for flow in flows]), None)
        if task is None:
            return None
        self._advance()
        self._flow(task.tenant).pop(task, priorities)
        self._start(task, on_thread=on_thread)
        return task

    def _next_of(self, flow: Flow[T], priorities: Sequence[Priority]) -> T:
        """Return the next task of a tenant; one that all others wait for comes before its other priorities."""
        reserved = None if self._budget is None else self._budget.reserved
        for priority in flow.waiting(priorities) if reserved is not None else ():
            if flow.queue(priority)[0] is reserved:
                return flow.queue(priority)[0]
        return flow.next(priorities)

    def _start(self, task: T, *, on_thread: bool) -> None:
        """Charge a task that starts to its tenant."""
        task.started_at, task.charged, task.has_thread = self._clock(), task.cost, on_thread
        flow = self._flow(task.tenant)
        flow.start += task.cost
        flow.held += task.memory
        for priority in flow.waiting(Priority) if task.memory else ():
            self._withdraw(flow.queue(priority)[0])
        flow.running += on_thread
        self._busy += on_thread
        self._running.add(task)

    def join(self, task: T, others: Sequence[T]) -> None:
        """Let calls that wait run as one batch with a running one; they leave the queue and share its cost."""
        for other in others:
            self.remove(other)
            task.tenants.append(other.tenant)

    def finish(self, task: T) -> None:
        """End a task: correct its charge by the time that it took."""
        self._charge(task, self._clock() - task.started_at)
        del task.tenants[1:]
        self._running.discard(task)
        flow = self._flow(task.tenant)
        flow.held -= task.memory
        if task.has_thread:
            flow.running -= 1
            self._busy -= 1
        if self._budget is not None and task.memory:
            self._budget.release(task.memory)
        self._forget()

    def _fits(self, task: T) -> bool:
        """Whether the budget has room for a task, which then holds it.

        Others never wait for a task whose tenant holds a part of the budget already: that tenant would let
        them wait for its own long task.
        """
        if self._budget is None or not task.memory:
            return True
        work = None if self._flow(task.tenant).held else task
        return self._budget.try_acquire(task.memory, work)

    def _withdraw(self, task: T) -> None:
        if self._budget is not None and task.memory:
            self._budget.withdraw(task)

    def _flow(self, tenant: str) -> Flow[T]:
        if tenant not in self._flows:
            self._flows[tenant] = Flow(self._virtual)
        return self._flows[tenant]

    def _active(self) -> list[Flow[T]]:
        return [flow for flow in self._flows.values() if flow or flow.running]

    def _may_run(self, flow: Flow[T]) -> bool:
        """Whether a thread is free for a tenant."""
        if self._busy < self._threads:
            return True
        share = -(-self._threads // len(self._active()))
        return flow.running < share and self._busy < self._threads + self._extra

    def _advance(self) -> None:
        """Set the virtual time: the earliest start of a tenant that waits or runs; it never goes back."""
        self._virtual = max(self._virtual, min(flow.start for flow in self._active()))

    def _charge_running(self) -> None:
        """Charge the tasks that already run for longer than they were expected to."""
        now = self._clock()
        for task in self._running:
            if now - task.started_at > task.charged:
                self._charge(task, now - task.started_at)

    def _charge(self, task: T, seconds: float) -> None:
        """Let a task have been charged with some seconds in all, in equal parts to those who share it."""
        for tenant in task.tenants:
            self._flow(tenant).start += (seconds - task.charged) / len(task.tenants)
        task.charged = seconds

    def _forget(self) -> None:
        """Drop the tenants without tasks that a new one would equal; all of them when nothing waits or runs."""
        if not self._active() and not self._running:
            self._flows.clear()
            return
        for tenant, flow in list(self._flows.items()):
            if not flow and not flow.running and not flow.held and flow.start <= self._virtual:
                del self._flows[tenant]
